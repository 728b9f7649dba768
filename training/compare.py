"""Two models on the same rows: paired bootstrap of a difference, and McNemar's exact test.

Both models see every resample of the groups together, so that what is hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.calibrate import Calibration, equal_width_edges, error_of_gaps, gap_columns
from training.metrics import Floats, Resampling, Scored, confusion_columns, macro_f1, ratio, resampled_totals
from training.slices import RowSet

Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Difference:
    """``difference`` = ``a`` − ``b`` with its interval, over ``n`` units in ``groups`` groups.

    ``p_lower`` is the one-sided bootstrap p-value for "A is lower than B", ``p_higher`` for "A is higher", ``p_value``
    twice the smaller. From fewer than two groups there is neither interval nor p-value (None).
    """

    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    p_lower: float | None
    p_higher: float | None
    n: int
    groups: int


def align(a: Scored, b: Scored) -> Scored:
    """The rows of ``b`` in the order of ``a``.

    Raises ValueError where the two were not scored on the same rows: other ids, tasks, labels or gold.
    """
    if a.labels != b.labels:
        raise ValueError(f"the two models answer different tasks or labels: {a.labels} and {b.labels}")
    place = {name: row for row, name in enumerate(b.ids)}
    missing = [name for name in a.ids if name not in place]
    if missing or len(a) != len(b):
        extra = sorted(set(b.ids) - set(a.ids))
        raise ValueError(
            f"the two models were not scored on the same rows: {len(missing)} ids only in the first {missing[:3]}, "
            f"{len(extra)} only in the second {extra[:3]}; score both on one file"
        )
    ordered = b.select([place[name] for name in a.ids])
    for task in a.tasks:
        other = np.flatnonzero(a.gold[task] != ordered.gold[task])
        if len(other):
            raise ValueError(
                f"{len(other)} rows have another gold label of {task!r} for the second model, the first is "
                f"{a.ids[other[0]]!r}; score both on one file"
            )
    return ordered


def paired(
    groups: Sequence[str], a: npt.NDArray[Any], b: npt.NDArray[Any], statistic: Statistic, how: Resampling
) -> Difference:
    """Difference of a statistic of column sums between two models; ``a`` and ``b`` have a row a unit, shape (n, m)."""
    width = a.shape[1]
    totals = resampled_totals(groups, np.concatenate([a, b], axis=1), how)
    of_a, of_b = statistic(totals[:, :width]), statistic(totals[:, width:])
    differences = of_a - of_b
    drawn = differences[1:][np.isfinite(differences[1:])]
    low = high = p_lower = p_higher = p_value = None
    if drawn.size:
        tail = (1.0 - how.confidence) / 2.0
        low, high = (float(bound) for bound in np.quantile(drawn, [tail, 1.0 - tail]))
        # The sample itself counts as one draw (Davison & Hinkley 1997), so that no p-value is 0.
        p_lower = float(1 + (drawn >= 0).sum()) / (1 + drawn.size)
        p_higher = float(1 + (drawn <= 0).sum()) / (1 + drawn.size)
        p_value = min(1.0, 2.0 * min(p_lower, p_higher))
    return Difference(
        float(of_a[0]),
        float(of_b[0]),
        float(differences[0]),
        low,
        high,
        p_value,
        p_lower,
        p_higher,
        len(a),
        len(set(groups)),
    )


def mean_of_columns(totals: Floats) -> Floats:
    """The statistic of a plain mean: the first column's sum over the second's."""
    return ratio(totals[:, 0], totals[:, 1])


def with_ones(values: npt.NDArray[Any]) -> Floats:
    """Columns for :func:`mean_of_columns`."""
    return np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)


def macro_f1_difference(a: Scored, b: Scored, task: str, how: Resampling) -> Difference:
    """Macro-F1 of ``a`` − macro-F1 of ``b``; rows must be aligned and all have gold."""
    k = len(a.labels[task])
    gold = a.gold[task]
    cells = [confusion_columns(gold, one.predicted(task), k) for one in (a, b)]
    return paired(a.groups, cells[0], cells[1], lambda totals: macro_f1(totals.reshape(-1, k, k)), how)


def accuracy_difference(a: Scored, b: Scored, task: str, how: Resampling) -> Difference:
    """Accuracy of ``a`` − accuracy of ``b``; rows must be aligned and all have gold."""
    right = [with_ones(one.predicted(task) == one.gold[task]) for one in (a, b)]
    return paired(a.groups, right[0], right[1], mean_of_columns, how)


def calibration_error_difference(
    a: Scored, b: Scored, task: str, temperatures: tuple[float, float], how: Resampling
) -> Difference:
    """Expected calibration error of ``a`` − that of ``b`` (above 0: ``a`` is worse calibrated)."""
    columns = []
    for one, temperature in zip((a, b), temperatures, strict=True):
        right = (one.predicted(task) == one.gold[task]).astype(np.float64)
        columns.append(gap_columns(one.probabilities(task, temperature).max(axis=1), right, equal_width_edges()))
    return paired(a.groups, columns[0], columns[1], error_of_gaps, how)


def share_difference(
    sets: Sequence[RowSet], held_a: npt.NDArray[Any], held_b: npt.NDArray[Any], how: Resampling
) -> Difference:
    """Share of row sets that hold under ``a`` − share under ``b``."""
    return paired([one.group for one in sets], with_ones(held_a), with_ones(held_b), mean_of_columns, how)


@dataclass(frozen=True)
class McNemar:
    """Rows that only one of two models has right, and the exact two-sided p-value that this split is chance.

    The test takes rows as independent; with groups of rows, the paired bootstrap is the one to decide by.
    """

    only_a: int
    only_b: int
    p_value: float


def mcnemar(a: Scored, b: Scored, task: str) -> McNemar:
    """McNemar's exact (binomial) test on accuracy; rows must be aligned and all have gold."""
    from scipy.special import bdtr

    right_a, right_b = (one.predicted(task) == one.gold[task] for one in (a, b))
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    split = only_a + only_b
    p_value = min(1.0, 2.0 * float(bdtr(min(only_a, only_b), split, 0.5))) if split else 1.0
    return McNemar(only_a, only_b, p_value)


def compare(
    a: Mapping[str, Scored],
    b: Mapping[str, Scored],
    calibrations: tuple[Calibration, Calibration],
    how: Resampling | None = None,
) -> dict[str, Any]:
    """Plain report of A − B, by split and task: macro-F1, accuracy and calibration error differences, McNemar.

    Raises ValueError where a split of ``a`` is missing from ``b`` or was scored on other rows.
    """
    how = how or Resampling()
    report: dict[str, Any] = {}
    for split, scored in a.items():
        if split not in b:
            raise ValueError(f"the second model was not scored on split {split!r}, only on {list(b)}")
        other = align(scored, b[split])
        report[split] = {}
        for task in scored.tasks:
            labelled = scored.gold[task] >= 0
            if not labelled.any():
                continue
            first, second = scored.select(labelled), other.select(labelled)
            temperatures = (calibrations[0].temperatures[task], calibrations[1].temperatures[task])
            report[split][task] = {
                "macro_f1": asdict(macro_f1_difference(first, second, task, how)),
                "accuracy": asdict(accuracy_difference(first, second, task, how)),
                "ece": asdict(calibration_error_difference(first, second, task, temperatures, how)),
                "mcnemar": asdict(mcnemar(first, second, task)),
            }
    return report


def comparison_markdown(report: Mapping[str, Any], names: tuple[str, str]) -> str:
    """The report of :func:`compare` as a Markdown table, models named ``names``."""
    lines = [
        f"| split | task | measure | {names[0]} | {names[1]} | difference (interval) | p |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for split, tasks in report.items():
        for task, measures in tasks.items():
            for measure, name in (("macro_f1", "macro-F1"), ("accuracy", "accuracy"), ("ece", "calibration error")):
                one = measures[measure]
                spread = "" if one["low"] is None else f" ({one['low']:+.3f} to {one['high']:+.3f})"
                p_value = "–" if one["p_value"] is None else f"{one['p_value']:.4f}"
                numbers = f"{one['a']:.3f} | {one['b']:.3f} | {one['difference']:+.3f}{spread} | {p_value}"
                lines.append(f"| {split} | {task} | {name} | {numbers} |")
            test = measures["mcnemar"]
            alone = f"{test['only_a']} rows | {test['only_b']} rows | | {test['p_value']:.4f}"
            lines.append(f"| {split} | {task} | right alone (McNemar) | {alone} |")
    return "\n".join(lines) + "\n"
