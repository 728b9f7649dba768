"""Evaluate a model folder on a user's own annotated file, alone or against another model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from inference.bundle import Bundle, open_bundle
from training.calibrate import Calibration
from training.compare import compare, comparison_markdown
from training.config import Columns, DataConfig, ModelConfig, RunConfig, TaskConfig
from training.corpus import Example, read_rows, to_examples
from training.evaluate import evaluate
from training.evaluation_markdown import to_markdown
from training.metrics import Scored
from training.scoring import bundle_logits, to_scored


def config_of(bundle: Bundle, data: Path) -> RunConfig:
    """The configuration under which ``bundle`` answers: its own tasks, the corpus contract's columns."""
    axes = bundle.axes
    tasks = {
        task.name: TaskConfig(
            labels=list(task.labels),
            plus=axes[task.name][0] if task.name in axes else None,
            minus=axes[task.name][1] if task.name in axes else None,
        )
        for task in bundle.tasks
    }
    model = ModelConfig(encoder=str(bundle.folder), max_length=bundle.max_length)
    return RunConfig(name=bundle.name, tasks=tasks, data=DataConfig(path=data), model=model)


def calibration_of(folder: Path) -> Calibration:
    """The calibration that a model folder carries."""
    manifest = json.loads((folder / "penchant.json").read_text(encoding="utf-8"))
    return Calibration.from_dict(manifest["calibration"])


def evaluate_model(
    model: str, data: Path, against: str | None = None, output: Path | None = None
) -> tuple[dict[str, Any], str]:
    """The report of ``model`` on the rows of ``data``, as JSON and as Markdown; rows keep their own splits.

    Raises ModelError for a folder that is no model and CorpusError for rows that it cannot be evaluated on.
    """
    folder = _folder(model)
    config = config_of(open_bundle(folder), data)
    examples = to_examples(read_rows(data), config.tasks, Columns(), config.data.facets, str(data))
    by_split: dict[str, list[Example]] = {}
    for example in examples:
        by_split.setdefault(example.split or "all", []).append(example)
    scored = _score(config, folder, by_split)
    report = evaluate(scored, calibration_of(folder), invariance=config.data.invariance)
    text = to_markdown(report)
    if against is not None:
        other = _folder(against)
        calibrations = (calibration_of(folder), calibration_of(other))
        report["comparison"] = compare(scored, _score(config, other, by_split), calibrations)
        text += "\n" + comparison_markdown(report["comparison"], (model, against)) + "\n"
    if output is not None:
        from training.illustrate import plot_report

        output.mkdir(parents=True, exist_ok=True)
        (output / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
        (output / "report.md").write_text(text, encoding="utf-8")
        plot_report(report, output / "plots")
    return report, text


def _folder(model: str) -> Path:
    if not model.startswith("models:/"):
        return Path(model)
    from training.registry import fetch_model

    return fetch_model(model)


def _score(config: RunConfig, folder: Path, by_split: dict[str, list[Example]]) -> dict[str, Scored]:
    return {
        split: to_scored(config, examples, bundle_logits(folder, examples)[0]) for split, examples in by_split.items()
    }
