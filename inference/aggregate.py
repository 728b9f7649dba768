"""From passage scores to an article: shares, an index in [−1, 1] with its interval, and one label.

The index of a task is (plus − minus) / passages over the predicted labels. Its interval says how far it could lie
given the calibrated doubt about each passage: the sum of independent draws, one a passage, each +1, 0 or −1 with the
passage's own probabilities. That distribution is computed exactly by convolution (a Poisson-multinomial sum).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle
from inference.classifier import Prediction

#: Above this many passages the sum is normal to far better than the printed digits (Lyapunov's theorem).
EXACT_PASSAGES = 400


@dataclass(frozen=True, slots=True)
class ArticleRule:
    """An article takes a side from an index of ``tilt`` on; else it is ``mixed`` from a share of ``pushes`` on."""

    tilt: float = 0.15
    pushes: float = 0.34


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One task over one article; ``index``, ``low`` and ``high`` are None for a task without an axis."""

    shares: dict[str, float]
    label: str
    index: float | None
    low: float | None
    high: float | None


def index_interval(plus: Sequence[float], minus: Sequence[float], coverage: float = 0.95) -> tuple[float, float]:
    """Central interval of (Σ X) / n for independent X in {+1, 0, −1} with P(+1) = ``plus``, P(−1) = ``minus``."""
    n = len(plus)
    tail = (1.0 - coverage) / 2.0
    if n > EXACT_PASSAGES:
        pros, cons = np.asarray(plus), np.asarray(minus)
        mean = float((pros - cons).mean())
        deviation = float(np.sqrt((pros + cons - (pros - cons) ** 2).sum()) / n)
        reach = NormalDist().inv_cdf(1.0 - tail) * deviation
        return max(-1.0, mean - reach), min(1.0, mean + reach)
    distribution: npt.NDArray[np.float64] = np.ones(1)
    for p, m in zip(plus, minus, strict=True):
        distribution = np.convolve(distribution, np.array([m, max(0.0, 1.0 - p - m), p]))
    cumulative = distribution.cumsum() / distribution.sum()
    low = int(np.searchsorted(cumulative, tail)) - n
    high = int(np.searchsorted(cumulative, 1.0 - tail)) - n
    return low / n, min(high, n) / n


def article_label(index: float, pushes: float, plus: str, minus: str, neutral: str, rule: ArticleRule) -> str:
    """``plus`` or ``minus`` beyond the rule's tilt; else ``mixed`` when enough passages push, else ``neutral``."""
    if index >= rule.tilt:
        return plus
    if index <= -rule.tilt:
        return minus
    return "mixed" if pushes >= rule.pushes else neutral


def summarise(
    predictions: Sequence[Prediction],
    labels: Mapping[str, Sequence[str]],
    axes: Mapping[str, tuple[str, str]],
    rule: ArticleRule,
) -> dict[str, TaskSummary]:
    """Summarise an article's passages, a task at a time; ``predictions`` must not be empty."""
    n = len(predictions)
    summaries: dict[str, TaskSummary] = {}
    for task, names in labels.items():
        counts = dict.fromkeys(names, 0)
        for prediction in predictions:
            counts[prediction.labels[task]] += 1
        shares = {name: count / n for name, count in counts.items()}
        most_frequent = max(names, key=lambda name: counts[name])
        if task not in axes:
            summaries[task] = TaskSummary(shares, most_frequent, None, None, None)
            continue
        plus, minus = axes[task]
        index = (counts[plus] - counts[minus]) / n
        low, high = index_interval(
            [prediction.probabilities[task][plus] for prediction in predictions],
            [prediction.probabilities[task][minus] for prediction in predictions],
        )
        rest = [name for name in names if name not in (plus, minus)]
        label = article_label(index, shares[plus] + shares[minus], plus, minus, rest[0] if rest else "neutral", rule)
        # The interval is about the passages' true labels; show it so that it never excludes the printed index.
        summaries[task] = TaskSummary(shares, label, index, min(low, index), max(high, index))
    return summaries


def rule_of(bundle: Bundle) -> ArticleRule:
    """The article rule that was chosen with the model, or the default for a model that carries none."""
    return ArticleRule(**bundle.article_rule)
