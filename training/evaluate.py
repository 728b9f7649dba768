"""The evaluation report of a scored model, as plain values for JSON; :mod:`training.evaluation_markdown` shows it.

Numbers are leaves ``{"value", "low", "high", "n"}`` with bootstrap intervals over groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from training.calibrate import Calibration, calibration_report
from training.metrics import (
    BLOCK_CELLS,
    Bools,
    Floats,
    Ints,
    Resampling,
    Scored,
    classification,
    estimate,
    group_codes,
    ratio,
    resample_weights,
    resampled_totals,
)
from training.slices import (
    MIN_ROWS,
    Aggregate,
    Articles,
    all_right,
    article_report,
    contrast_sets,
    invariance_sets,
    set_report,
    slice_report,
    unchanged,
)

SELECTED = (1.0, 0.9, 0.8, 0.7, 0.5)

Report = dict[str, Any]


def _selected_accuracy(weights: Floats, right: Floats, ends: Ints, coverages: Sequence[float]) -> Floats:
    """Accuracy at each coverage, then the area under the risk-coverage curve, shape (b, len(coverages) + 1).

    ``weights`` (b, n) and ``right`` (n,) run from the most to the least confident row; ``ends`` are the last rows of
    each run of equal confidence, inside which accuracy is taken as even: the order of ties must not matter.
    """
    kept = weights.cumsum(axis=1)[:, ends]
    correct = (weights * right).cumsum(axis=1)[:, ends]
    total = kept[:, -1]
    columns: list[Floats] = []
    for coverage in coverages:
        wanted = coverage * total
        last = np.minimum((kept < wanted[:, None]).sum(axis=1), len(ends) - 1)[:, None]
        before = np.maximum(last - 1, 0)
        kept_before = np.where(last > 0, np.take_along_axis(kept, before, 1), 0.0)[:, 0]
        correct_before = np.where(last > 0, np.take_along_axis(correct, before, 1), 0.0)[:, 0]
        run, run_right = (np.take_along_axis(sums, last, 1)[:, 0] for sums in (kept, correct))
        part = ratio(wanted - kept_before, run - kept_before)
        columns.append(ratio(correct_before + part * (run_right - correct_before), wanted))
    risk = 1.0 - np.divide(correct, kept, out=np.ones_like(kept), where=kept > 0)
    columns.append((np.diff(kept, axis=1, prepend=0.0) * risk).sum(axis=1) / total)
    return np.stack(columns, axis=1)


def _row_weights(rows: Scored, how: Resampling) -> Iterator[Floats]:
    """Weights of the rows in the sample (ones, first), then in each resample of their groups, in blocks (b, n)."""
    yield np.ones((1, len(rows)))
    codes, count = group_codes(rows.groups)
    if count > 1:
        for weights in resample_weights(count, how):
            for part in np.array_split(weights, 1 + len(weights) * len(rows) // BLOCK_CELLS):
                yield part[:, codes]


def selective_report(scored: Scored, task: str, temperature: float, threshold: float, how: Resampling) -> Report:
    """What answering only the most confident rows gains, over rows with gold.

    ``accuracy_at`` fixed coverages, ``aurc`` (area under the risk-coverage curve, Geifman & El-Yaniv 2019; lower is
    better), the ``curve`` of (coverage, risk), and ``kept``: coverage and accuracy at the abstention threshold.
    """
    rows = scored.with_gold(task)
    confidence = rows.probabilities(task, temperature).max(axis=1)
    right = (rows.predicted(task) == rows.gold[task]).astype(np.float64)
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))
    n = len(rows)
    drawn = (_selected_accuracy(weights[:, order], right[order], ends, SELECTED) for weights in _row_weights(rows, how))
    values = np.concatenate(list(drawn))
    steps = [step / 20 for step in range(1, 21)]
    curve = 1.0 - _selected_accuracy(np.ones((1, n)), right[order], ends, steps)[0, :-1]
    kept = (confidence >= threshold).astype(np.float64)
    totals = resampled_totals(rows.groups, np.stack([kept, kept * right, np.ones(n)], axis=1), how)
    return {
        "accuracy_at": {f"{share:g}": estimate(values[:, place], n, how) for place, share in enumerate(SELECTED)},
        "aurc": estimate(values[:, -1], n, how),
        "curve": [[coverage, float(risk)] for coverage, risk in zip(steps, curve, strict=True)],
        "kept": {
            "threshold": threshold,
            "coverage": estimate(ratio(totals[:, 0], totals[:, 2]), n, how),
            "accuracy": estimate(ratio(totals[:, 1], totals[:, 0]), int(kept.sum()), how),
        },
    }


def worst_errors(scored: Scored, task: str, temperature: float, limit: int = 20) -> list[dict[str, Any]]:
    """The wrong rows that the model is surest of, surest first: id, group, gold, predicted, confidence and facets."""
    rows = scored.with_gold(task)
    confidence, predicted, gold = (
        rows.probabilities(task, temperature).max(axis=1),
        rows.predicted(task),
        rows.gold[task],
    )
    wrong: Bools = predicted != gold
    surest = sorted(np.flatnonzero(wrong), key=lambda row: (-confidence[row], rows.ids[row]))[:limit]
    names = rows.labels[task]
    return [
        {
            "id": rows.ids[row],
            "group": rows.groups[row],
            "gold": names[gold[row]],
            "predicted": names[predicted[row]],
            "confidence": float(confidence[row]),
            **{facet: values[row] for facet, values in rows.facets.items() if values[row] is not None},
        }
        for row in surest
    ]


def evaluate(
    scored: Mapping[str, Scored],
    calibration: Calibration,
    *,
    invariance: Sequence[str] = (),
    articles: Mapping[str, Mapping[str, Articles]] | None = None,
    aggregates: Mapping[str, Aggregate] | None = None,
    how: Resampling | None = None,
) -> Report:
    """Everything that is known of a model on held-out rows, as plain values.

    ``scored`` maps a split to its rows. ``invariance`` names the phenomena under which no label should change.
    ``articles`` maps split and task to the articles the rows come from; ``aggregates`` maps a task to how passages
    become an article. A task without gold in a split has ``n`` 0 there and nothing else.

    Raises ValueError where the calibration lacks a task, or articles come without a way to aggregate them.
    """
    how = how or Resampling()
    report: Report = {
        "settings": {
            "resamples": how.resamples,
            "confidence": how.confidence,
            "seed": how.seed,
            "invariance": list(invariance),
            "min_slice_rows": MIN_ROWS,
            "calibration": calibration.to_dict(),
        },
        "splits": {},
    }
    for split, rows in scored.items():
        tasks = {}
        for task in rows.tasks:
            if task not in calibration.temperatures or task not in calibration.thresholds:
                raise ValueError(f"the calibration has no task {task!r}, only {sorted(calibration.temperatures)}")
            tasks[task] = _task_report(rows, task, calibration, invariance, how)
            whole = (articles or {}).get(split, {}).get(task)
            if whole is not None:
                if task not in (aggregates or {}):
                    raise ValueError(f"articles of {task!r} are given without an aggregation function for that task")
                aggregate = (aggregates or {})[task]
                temperature = calibration.temperatures[task]
                tasks[task]["articles"] = article_report(rows, task, temperature, whole, aggregate, how)
        report["splits"][split] = {"rows": len(rows), "groups": len(set(rows.groups)), "tasks": tasks}
    return report


def _task_report(
    rows: Scored, task: str, calibration: Calibration, invariance: Sequence[str], how: Resampling
) -> dict[str, Any]:
    if not (rows.gold[task] >= 0).any():
        return {"n": 0}
    temperature, threshold = calibration.temperatures[task], calibration.thresholds[task]
    contrast, steady = contrast_sets(rows, task, invariance), invariance_sets(rows, task, invariance)
    return {
        **classification(rows, task, how),
        "calibration": calibration_report(rows, task, temperature, how),
        "selective": selective_report(rows, task, temperature, threshold, how),
        "slices": slice_report(rows, task, how),
        "contrast": set_report(contrast, all_right(contrast, rows, task), how),
        "invariance": set_report(steady, unchanged(steady, rows, task), how),
        "worst": worst_errors(rows, task, temperature),
    }
