from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.training.scored_rows import LABELS, answer, plain_calibration, simulate, with_errors
from training.evaluate import SELECTED, evaluate, selective_report, worst_errors
from training.evaluation_markdown import to_markdown
from training.metrics import Resampling, Scored
from training.slices import Articles

HOW = Resampling(resamples=100)


def leaves(report: object) -> list[dict[str, float | None]]:
    """Every leaf of a report."""
    if isinstance(report, dict):
        if set(report) == {"value", "low", "high", "n"}:
            return [report]
        return [leaf for part in report.values() for leaf in leaves(part)]
    return [leaf for part in report for leaf in leaves(part)] if isinstance(report, list) else []


def test_evaluate_selective_accuracy_is_that_of_the_most_confident_rows() -> None:
    scored = simulate(200, seed=3)
    confidence = scored.probabilities("stance").max(axis=1)
    right = (scored.predicted("stance") == scored.gold["stance"])[np.argsort(-confidence)]
    report = selective_report(scored, "stance", 1.0, 0.0, HOW)
    for coverage in SELECTED:
        leaf = report["accuracy_at"][f"{coverage:g}"]
        assert leaf["value"] == pytest.approx(right[: round(coverage * 200)].mean())
        assert leaf["low"] <= leaf["value"] <= leaf["high"]
    risks = 1.0 - right.cumsum() / np.arange(1, 201)
    assert report["aurc"]["value"] == pytest.approx(risks.mean())
    assert report["curve"][-1] == [1.0, pytest.approx(risks[-1])]


def test_evaluate_area_counts_the_surest_row_too() -> None:
    scored = with_errors(simulate(4, group_size=1), "stance", [0, 3])
    scored = answer(scored, "stance", scored.predicted("stance"), [0.9, 0.8, 0.7, 0.6])
    report = selective_report(scored, "stance", 1.0, 0.0, HOW)
    assert report["aurc"]["value"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_evaluate_selective_accuracy_does_not_depend_on_the_order_of_ties() -> None:
    scored = with_errors(simulate(100, group_size=1), "stance", range(40), confidence=0.8)
    report = selective_report(scored, "stance", 1.0, 0.0, HOW)
    turned = selective_report(scored.select(range(99, -1, -1)), "stance", 1.0, 0.0, HOW)
    assert report["accuracy_at"]["0.5"]["value"] == pytest.approx(0.6)
    assert turned["accuracy_at"]["0.5"] == pytest.approx(report["accuracy_at"]["0.5"])


def test_evaluate_selective_intervals_equal_those_of_rows_repeated_by_hand() -> None:
    """A group drawn twice counts as its rows twice: the blocked arithmetic against plain repetition."""
    scored, how = simulate(60, seed=8), Resampling(resamples=40, seed=2)
    confidence = scored.probabilities("stance").max(axis=1)
    right = scored.predicted("stance") == scored.gold["stance"]
    generator, values = np.random.default_rng(2), []
    for drawn in generator.integers(0, 30, (40, 30)):
        rows = np.concatenate([[2 * group, 2 * group + 1] for group in drawn])
        order = rows[np.argsort(-confidence[rows], kind="stable")]
        values.append(right[order[:30]].mean())
    leaf = selective_report(scored, "stance", 1.0, 0.0, how)["accuracy_at"]["0.5"]
    assert leaf["low"] == pytest.approx(np.quantile(values, 0.025), abs=0.02)
    assert leaf["high"] == pytest.approx(np.quantile(values, 0.975), abs=0.02)


def test_evaluate_kept_rows_are_those_at_or_above_the_threshold() -> None:
    scored = simulate(100, group_size=1)
    scored = answer(scored, "stance", scored.gold["stance"], np.where(np.arange(100) < 30, 0.95, 0.6))
    kept = selective_report(scored, "stance", 1.0, 0.9, HOW)["kept"]
    assert kept["coverage"]["value"] == pytest.approx(0.3)
    assert kept["accuracy"]["value"] == 1.0
    none = selective_report(scored, "stance", 1.0, 2.0, HOW)["kept"]
    assert none["coverage"]["value"] == 0.0
    assert none["accuracy"] == {"value": None, "low": None, "high": None, "n": 0}


def test_evaluate_worst_errors_are_the_surest_wrong_rows() -> None:
    scored = with_errors(simulate(50), "stance", [4, 9, 20], confidence=0.7)
    logits = scored.logits["stance"].copy()
    logits[9] *= 3.0
    scored = replace(scored, logits={**scored.logits, "stance": logits})
    worst = worst_errors(scored, "stance", 1.0, limit=2)
    assert [row["id"] for row in worst] == ["row-00009", "row-00004"]
    assert worst[0]["gold"] == LABELS["stance"][scored.gold["stance"][9]]
    assert worst[0]["gold"] != worst[0]["predicted"]
    assert worst[0]["topic"] == scored.facets["topic"][9]


def whole_report(scored: Scored) -> dict:
    """A report with every part: contrast and invariance groups, articles, a split without gold for a task."""
    n = len(scored)
    phenomena = [("negation" if row < n // 4 else "actor-swap" if row < n // 2 else None) for row in range(n)]
    scored = replace(scored, facets={**scored.facets, "phenomenon": phenomena})
    bare = replace(scored, gold={**scored.gold, "sentiment": np.full(n, -1)})
    articles = Articles(
        [None if row < n // 2 else f"article-{row // 10}" for row in range(n)],
        [row % 10 for row in range(n)],
        {f"article-{number}": "neutral" for number in range(n // 10)},
        {f"article-{number}": 0.0 for number in range(n // 10)},
    )
    return evaluate(
        {"unseen": scored, "seen": bare},
        plain_calibration(0.5),
        invariance=["actor-swap"],
        articles={"unseen": {"stance": articles}},
        aggregates={"stance": lambda probabilities: ("neutral", float(probabilities[:, 0].mean()))},
        how=HOW,
    )


def test_evaluate_report_is_plain_json_whose_intervals_hold_their_values() -> None:
    report = whole_report(simulate(320))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    found = leaves(report)
    assert len(found) > 100
    for leaf in found:
        if leaf["low"] is not None:
            assert leaf["low"] - 1e-9 <= leaf["value"] <= leaf["high"] + 1e-9
    task = report["splits"]["unseen"]["tasks"]["stance"]
    assert task["contrast"]["all"]["n"] > 0
    assert task["invariance"]["all"]["n"] > 0
    assert task["articles"]["accuracy"]["value"] == 1.0
    assert report["splits"]["seen"]["tasks"]["sentiment"] == {"n": 0}
    assert "articles" not in report["splits"]["seen"]["tasks"]["stance"]


def test_evaluate_report_is_the_same_twice() -> None:
    assert whole_report(simulate(160)) == whole_report(simulate(160))


def test_evaluate_temperature_changes_confidence_and_no_label() -> None:
    scored = simulate(200)
    warm = replace(plain_calibration(), temperatures={"stance": 3.0, "sentiment": 1.0})
    one, other = (
        evaluate({"unseen": scored}, calibration, how=HOW)["splits"]["unseen"]["tasks"]["stance"]
        for calibration in (plain_calibration(), warm)
    )
    assert one["macro_f1"] == other["macro_f1"]
    assert one["calibration"]["ece"]["value"] != other["calibration"]["ece"]["value"]


def test_evaluate_names_the_task_that_is_not_calibrated_and_the_missing_aggregation() -> None:
    scored = simulate(30)
    half = replace(plain_calibration(), temperatures={"stance": 1.0})
    with pytest.raises(ValueError, match="no task 'sentiment'"):
        evaluate({"unseen": scored}, half, how=HOW)
    articles = Articles(["a"] * 30, list(range(30)), {"a": "neutral"}, {})
    with pytest.raises(ValueError, match="without an aggregation function"):
        evaluate({"unseen": scored}, plain_calibration(), articles={"unseen": {"stance": articles}}, how=HOW)


def test_evaluate_markdown_has_whole_tables_with_every_split_and_task() -> None:
    report = whole_report(simulate(320))
    text = to_markdown(report)
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) > 10
    for block in blocks:
        assert len({line.replace("\\|", "").count("|") for line in block}) == 1
        assert set(block[1]) <= set("| -")
    assert "| seen | sentiment | 0 |" in text
    assert "contrast: every member right" in text
    macro = report["splits"]["unseen"]["tasks"]["stance"]["macro_f1"]
    assert f"{macro['value']:.3f} ({macro['low']:.3f}–{macro['high']:.3f})" in text
    assert text.endswith("\n")


def test_evaluate_markdown_keeps_a_pipe_in_a_label_inside_its_cell() -> None:
    scored = simulate(60)
    labels = {**scored.labels, "stance": ("for|with", "neutral", "against")}
    text = to_markdown(evaluate({"unseen": replace(scored, labels=labels)}, plain_calibration(), how=HOW))
    assert "| for\\|with |" in text
