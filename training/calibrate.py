"""Calibration on held-out rows: a temperature a task, how far confidence is from accuracy, and when to abstain.

Temperature scaling and expected calibration error: Guo et al. 2017, "On Calibration of Modern Neural Networks".
Abstention with a guarantee on risk: after Geifman & El-Yaniv 2017, "Selective Classification for Deep Neural Networks".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.classifier import softmax
from training.metrics import Bools, Estimate, Floats, Ints, Resampling, Scored, estimate, group_codes, resampled_totals

TEMPERATURES = (0.05, 20.0)
BINS = 15

#: Coverages that abstention tries in turn, and the fewest groups it begins with: both set before any data is seen.
COVERAGES = tuple(step / 50 for step in range(10, 51))
FIRST_GROUPS = 50

#: Above any probability: the threshold of a task that no coverage makes safe enough.
ALWAYS_ABSTAIN = 2.0


@dataclass(frozen=True)
class Calibration:
    """What a model folder stores of its calibration, all per task.

    A passage is abstained where its calibrated top probability is under its task's threshold; 0 never abstains. On
    validation, ``coverage`` is the share that was kept and ``accuracy`` (None where nothing was kept) the share of it
    that was right. With probability ``confidence`` the error rate of kept passages is at most ``risk`` on data like
    the validation rows.
    """

    temperatures: dict[str, float]
    thresholds: dict[str, float]
    risk: float
    confidence: float
    coverage: dict[str, float]
    accuracy: dict[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """The inverse of :meth:`to_dict`. Raises ValueError where a key is missing or unknown."""
        try:
            return cls(**content)
        except TypeError as error:
            raise ValueError(f"this is no stored calibration ({error}); calibrate the model again") from error


def negative_log_likelihood(probabilities: Floats, gold: npt.NDArray[Any]) -> Floats:
    """−log of the gold label's probability, in nats, of each row."""
    loss: Floats = -np.log(np.maximum(probabilities[np.arange(len(gold)), gold], np.finfo(np.float64).tiny))
    return loss


def fit_temperature(logits: npt.NDArray[Any], gold: npt.NDArray[Any]) -> float:
    """The temperature that minimises the mean negative log-likelihood of ``gold``, within 0.05 to 20.

    The loss is convex in 1/temperature, so its slope has one root. The gold labels are softened by one row's weight
    spread over all labels (Platt 1999): without it, rows that are all right would ask for a temperature of 0.
    Logits that do not depend on the row's labels at all keep temperature 1.
    """
    from scipy.optimize import brentq

    n, k = logits.shape
    if n == 0:
        raise ValueError("no row has a gold label to fit a temperature on; give validation rows with labels")
    scores = logits.astype(np.float64)
    soft = np.full((n, k), 1.0 / (k * (n + 1)))
    soft[np.arange(n), gold] += n / (n + 1)
    wanted = float((soft * scores).sum())

    def slope(log_temperature: float) -> float:
        return float((softmax(scores, float(np.exp(log_temperature))) * scores).sum()) - wanted

    low, high = (float(np.log(bound)) for bound in TEMPERATURES)
    at_low, at_high = slope(low), slope(high)
    flat = 1e-12 * max(1.0, float(np.abs(scores).sum()))
    if at_low - at_high <= flat:
        return 1.0
    if at_low <= 0:
        return TEMPERATURES[0]
    if at_high >= 0:
        return TEMPERATURES[1]
    return float(np.exp(brentq(slope, low, high, xtol=1e-10)))


def equal_width_edges(bins: int = BINS) -> Floats:
    """``bins`` + 1 edges from 0 to 1."""
    return np.linspace(0.0, 1.0, bins + 1)


def equal_mass_edges(confidence: Floats, bins: int = BINS) -> Floats:
    """Edges at the quantiles of ``confidence``: bins of equal counts, fewer where values repeat."""
    inner = np.unique(np.quantile(confidence, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    return np.concatenate([[0.0], inner[(inner > 0.0) & (inner < 1.0)], [1.0]])


def bin_of(confidence: Floats, edges: Floats) -> Ints:
    """The bin of each value; a bin holds its upper edge, not its lower one, as in Guo et al."""
    return np.digitize(confidence, edges[1:-1], right=True).astype(np.int64)


def gap_columns(confidence: Floats, right: npt.NDArray[Any], edges: Floats) -> Floats:
    """Columns that sum to the gaps of b bins: right − confidence in the row's bin, and a last 1; shape (n, b + 1)."""
    columns = np.zeros((len(confidence), len(edges)))
    columns[np.arange(len(confidence)), bin_of(confidence, edges)] = right - confidence
    columns[:, -1] = 1.0
    return columns


def error_of_gaps(totals: Floats) -> Floats:
    """Expected calibration error from sums of :func:`gap_columns`, shape (…): Σ over bins of |gap| / n."""
    gaps: Floats = np.abs(totals[..., :-1]).sum(axis=-1) / np.maximum(totals[..., -1], 1.0)
    return gaps


def expected_calibration_error(confidence: Floats, right: npt.NDArray[Any], edges: Floats | None = None) -> float:
    """Mean |accuracy − confidence| over the bins, weighted by their rows (Guo et al. 2017; 15 bins of equal width)."""
    edges = equal_width_edges() if edges is None else edges
    return float(error_of_gaps(gap_columns(confidence, right, edges).sum(axis=0)))


def reliability_table(confidence: Floats, right: npt.NDArray[Any], edges: Floats) -> list[dict[str, Any]]:
    """One row a bin that holds something: its edges, rows, mean confidence and accuracy."""
    place = bin_of(confidence, edges)
    table: list[dict[str, Any]] = []
    for index in np.unique(place):
        inside = place == index
        table.append(
            {
                "low": float(edges[index]),
                "high": float(edges[index + 1]),
                "n": int(inside.sum()),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(right[inside].mean()),
            }
        )
    return table


def brier_score(probabilities: Floats, gold: npt.NDArray[Any]) -> Floats:
    """Squared distance of each row's probabilities from its gold label, Σ over labels: 0 best, 2 worst (Brier 1950)."""
    distance = probabilities.copy()
    distance[np.arange(len(gold)), gold] -= 1.0
    squared: Floats = (distance**2).sum(axis=1)
    return squared


def calibration_error_estimate(totals: Floats, n: int, how: Resampling) -> Estimate:
    """An interval for a calibration error from resampled sums of :func:`gap_columns`.

    Resampling adds noise to every bin, so a resample's error is on average above the sample's; the interval is moved
    down by that excess and cut at 0, else it could lie wholly above the value it is about.
    """
    errors = error_of_gaps(totals)
    if len(errors) > 1:
        excess = max(0.0, float(errors[1:].mean() - errors[0]))
        errors = np.concatenate([errors[:1], np.maximum(errors[1:] - excess, 0.0)])
    return estimate(errors, n, how)


def calibration_report(scored: Scored, task: str, temperature: float, how: Resampling) -> dict[str, Any]:
    """Calibration of ``task`` over rows with gold: ECE, adaptive ECE, Brier score, log-loss, reliability tables."""
    rows = scored.with_gold(task)
    probabilities, gold, n = rows.probabilities(task, temperature), rows.gold[task], len(rows)
    confidence, right = probabilities.max(axis=1), (rows.predicted(task) == gold).astype(np.float64)
    even, mass = equal_width_edges(), equal_mass_edges(confidence)
    losses = np.stack([brier_score(probabilities, gold), negative_log_likelihood(probabilities, gold)], axis=1)
    columns = np.concatenate(
        [gap_columns(confidence, right, even), gap_columns(confidence, right, mass), losses], axis=1
    )
    totals = resampled_totals(rows.groups, columns, how)
    count, cut = totals[:, len(even) - 1], len(even) + len(mass)
    return {
        "ece": calibration_error_estimate(totals[:, : len(even)], n, how),
        "adaptive_ece": calibration_error_estimate(totals[:, len(even) : cut], n, how),
        "brier": estimate(totals[:, cut] / count, n, how),
        "log_loss": estimate(totals[:, cut + 1] / count, n, how),
        "reliability": reliability_table(confidence, right, even),
        "reliability_equal_mass": reliability_table(confidence, right, mass),
    }


def error_upper_bound(errors: float, n: float, confidence: float) -> float:
    """One-sided Clopper–Pearson bound: the error rate is at most this with probability ``confidence``.

    ``errors`` and ``n`` may be fractions, since rows that hang together count for less than one each.
    """
    from scipy.special import betaincinv

    return 1.0 if errors >= n else float(betaincinv(errors + 1.0, n - errors, confidence))


def error_correlation(wrong: Floats, codes: Ints) -> float:
    """Intraclass correlation of errors within groups, by analysis of variance, within 0 to 1.

    Groups of one row each have none: 0. Where no row is wrong, or every row is, it cannot be seen: 1, the careful end.
    """
    sizes = np.bincount(codes).astype(np.float64)
    n, count = float(len(wrong)), len(sizes)
    if count == n:
        return 0.0
    means = np.bincount(codes, weights=wrong) / sizes
    between = float((sizes * (means - wrong.mean()) ** 2).sum())
    within = float(((wrong - means[codes]) ** 2).sum())
    if count < 2 or between + within == 0.0:
        return 1.0
    typical = (n - float((sizes**2).sum()) / n) / (count - 1)
    mean_between, mean_within = between / (count - 1), within / (n - count)
    correlation = (mean_between - mean_within) / (mean_between + (typical - 1.0) * mean_within)
    return float(np.clip(correlation, 0.0, 1.0))


def choose_threshold(
    confidence: Floats, right: Bools, groups: Sequence[str], risk: float, certainty: float
) -> tuple[float, float, float | None]:
    """The lowest threshold on ``confidence`` such that the error rate above it is shown to be within ``risk``.

    The most confident 20, 22 … 100 % of the rows are kept in turn and their error rate is bounded from above at
    ``certainty`` (Clopper–Pearson), until a bound is beyond ``risk``; the coverage before that one wins. With few
    groups it begins at the coverage that keeps 50. Geifman & El-Yaniv search by bisection and must correct each bound
    for the number of tests. Tests in an order fixed beforehand need no correction (fixed-sequence testing, as in
    Angelopoulos et al. 2021, "Learn then Test"): to end up too wide, the first coverage that is truly too wide must
    pass, and that has probability 1 − ``certainty`` at most. Rows of a group err together: counts are divided by the
    design effect 1 + (mean group size − 1) × intraclass correlation (Kish 1965).

    Returns (threshold, coverage, accuracy of kept rows). Threshold 0 keeps everything; where no coverage is safe it is
    ``ALWAYS_ABSTAIN``, with coverage 0 and accuracy None.
    """
    n = len(confidence)
    codes, units = group_codes(groups)
    wrong = 1.0 - right.astype(np.float64)
    correlation = error_correlation(wrong, codes)
    ordered = np.sort(confidence)[::-1]

    def lowest(coverage: float) -> float:
        return float(ordered[max(1, int(np.ceil(coverage * n))) - 1])

    def safe(coverage: float) -> bool:
        kept = confidence >= lowest(coverage)
        sizes = np.bincount(codes[kept])
        count, errors = float(kept.sum()), float(wrong[kept].sum())
        effect = 1.0 + (float((sizes**2).sum()) / count - 1.0) * correlation
        return error_upper_bound(errors / effect, count / effect, certainty) <= risk

    tried = (coverage for coverage in COVERAGES if coverage * units >= min(units, FIRST_GROUPS))
    widest = max(takewhile(safe, tried), default=0.0)
    if widest == 0.0:
        return ALWAYS_ABSTAIN, 0.0, None
    kept = confidence >= lowest(widest)
    threshold = 0.0 if kept.all() else lowest(widest)
    return threshold, float(kept.mean()), float(right[kept].mean())


def fit_calibration(validation: Scored, risk: float = 0.10, confidence: float = 0.9) -> Calibration:
    """Fit a temperature and an abstention threshold a task on validation rows.

    Raises ValueError where a task has no gold label there.
    """
    temperatures: dict[str, float] = {}
    thresholds: dict[str, float] = {}
    coverage: dict[str, float] = {}
    accuracy: dict[str, float | None] = {}
    for task in validation.tasks:
        rows = validation.with_gold(task)
        if len(rows) == 0:
            raise ValueError(f"validation has no gold label for task {task!r}; label some rows or remove the task")
        temperatures[task] = fit_temperature(rows.logits[task], rows.gold[task])
        top = rows.probabilities(task, temperatures[task]).max(axis=1)
        right = rows.predicted(task) == rows.gold[task]
        thresholds[task], coverage[task], accuracy[task] = choose_threshold(top, right, rows.groups, risk, confidence)
    return Calibration(temperatures, thresholds, risk, confidence, coverage, accuracy)
