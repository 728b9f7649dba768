"""The model's facts and its card, generated from what the run measured: no number is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.config import RunConfig

TEMPLATES = Path(__file__).parent / "templates"


def model_facts(
    config: RunConfig, report: Mapping[str, Any], corpus_digest: str, sizes: Mapping[str, int], seed: int
) -> dict[str, Any]:
    """What travels with the model in ``penchant.json``: where it comes from and what it was measured to do."""
    tests: dict[str, Any] = {}
    for split, content in report["splits"].items():
        for task, found in content["tasks"].items():
            if not found["n"]:
                continue
            measures = {
                "macro_f1": found["macro_f1"],
                "accuracy": found["accuracy"],
                "ece": found["calibration"]["ece"],
                "accuracy_at_80": found["selective"]["accuracy_at"]["0.8"],
                "contrast_groups_right": found["contrast"]["all"],
                "invariance_groups_unchanged": found["invariance"]["all"],
            }
            if "articles" in found:
                measures["articles_right"] = found["articles"]["accuracy"]
                measures["article_index_error"] = found["articles"]["index_error"]
            tests.setdefault(split, {})[task] = {name: leaf for name, leaf in measures.items() if leaf["n"]}
    return {
        "run": config.name,
        "seed": seed,
        "encoder": str(config.model.encoder),
        "corpus": {"sha256": corpus_digest, "rows": dict(sizes)},
        "tests": _rounded(tests),
    }


def _rounded(content: Any) -> Any:
    if isinstance(content, float):
        return round(content, 4)
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    return content


def model_card(config: RunConfig, facts: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """The model card in Markdown, from ``templates/model_card.md.j2``."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  # Markdown, from the project's own numbers
        keep_trailing_newline=True,
    )
    environment.filters["leaf"] = _leaf
    return environment.get_template("model_card.md.j2").render(config=config, facts=facts, report=report)


def _leaf(leaf: Mapping[str, Any] | None) -> str:
    if leaf is None or leaf["value"] is None:
        return "–"
    spread = "" if leaf["low"] is None else f" ({leaf['low']:.3f}–{leaf['high']:.3f})"
    return f"{leaf['value']:.3f}{spread}"
