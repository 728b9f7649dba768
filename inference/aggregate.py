"""From passage scores to an article: shares, an index in [−1, 1] with its interval, and one label.

The index of a task is (plus − minus) / passages over the predicted labels. Its interval says how far it could lie
given the calibrated doubt about each passage: the sum of independent draws, one a passage, each +1, 0 or −1 with the
passage's own probabilities. That distribution is computed exactly by convolution (a Poisson-multinomial sum).

The label comes from one of two rules: thresholds on the shares of the predicted labels, or the likeliest kind of
article given what each passage may be. A model carries the rule that was chosen with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import log
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle, ModelError
from inference.classifier import Prediction

#: Above this many passages the sum is normal to far better than the printed digits (Lyapunov's theorem).
EXACT_PASSAGES = 400


@dataclass(frozen=True, slots=True)
class ArticleRule:
    """An article takes a side from an index of ``tilt`` on; else it is ``mixed`` from a share of ``pushes`` on."""

    tilt: float = 0.15
    pushes: float = 0.34


@dataclass(frozen=True, slots=True)
class ArticleMixture:
    """An article is the likeliest of four kinds, each a bag of passages: for a side, against it, mixed, neutral.

    ``own`` and ``other`` are the shares of passages that push for and against an article's own side; ``mixed`` and
    ``neutral`` the share that push each way in an article of that kind; the rest of each bag pushes nowhere. ``plus``
    and ``minus`` are the shares of the labels among the passages that the probabilities were calibrated on.
    """

    own: float
    other: float
    mixed: float
    neutral: float
    plus: float
    minus: float


Rule = ArticleRule | ArticleMixture


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


def likeliest_kind(
    pushes: Sequence[tuple[float, float]], plus: str, minus: str, neutral: str, rule: ArticleMixture
) -> str:
    """The label of an article from its passages' calibrated (plus, minus) probabilities.

    A passage with probabilities p speaks for a bag with shares π by Σ p π / base: naive Bayes over passages whose
    labels are not known but believed. Ties go to taking no side, and so does a side that the majority of the predicted
    labels contradicts: an index of one sign under the label of the other would be read as a fault.
    """
    bags = {
        "mixed": (rule.mixed, rule.mixed),
        neutral: (rule.neutral, rule.neutral),
        plus: (rule.own, rule.other),
        minus: (rule.other, rule.own),
    }
    rest = 1.0 - rule.plus - rule.minus
    evidence = {
        label: sum(
            log(
                p * to_plus / rule.plus
                + m * to_minus / rule.minus
                + max(0.0, 1 - p - m) * (1 - to_plus - to_minus) / rest
            )
            for p, m in pushes
        )
        for label, (to_plus, to_minus) in bags.items()
    }
    label = max(evidence, key=lambda name: evidence[name])
    lead = sum((p >= max(m, 1 - p - m)) - (m > max(p, 1 - p - m)) for p, m in pushes)
    return "mixed" if (label == plus and lead < 0) or (label == minus and lead > 0) else label


def summarise(
    predictions: Sequence[Prediction],
    labels: Mapping[str, Sequence[str]],
    axes: Mapping[str, tuple[str, str]],
    rule: Rule,
) -> dict[str, TaskSummary]:
    """Summarise an article's passages, a task at a time; ``predictions`` must not be empty.

    A mixture knows the shares of the first task alone: others with an axis get the default thresholds.
    """
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
        pushes = [(one.probabilities[task][plus], one.probabilities[task][minus]) for one in predictions]
        low, high = index_interval([p for p, _ in pushes], [m for _, m in pushes])
        neutral = next((name for name in names if name not in (plus, minus)), "neutral")
        if isinstance(rule, ArticleRule) or task != next(iter(labels)):
            thresholds = rule if isinstance(rule, ArticleRule) else ArticleRule()
            label = article_label(index, shares[plus] + shares[minus], plus, minus, neutral, thresholds)
        else:
            label = likeliest_kind(pushes, plus, minus, neutral, rule)
        # The interval is about the passages' true labels; show it so that it never excludes the printed index.
        summaries[task] = TaskSummary(shares, label, index, min(low, index), max(high, index))
    return summaries


def rule_of(bundle: Bundle) -> Rule:
    """The article rule that was chosen with the model, or the default for a model that carries none.

    The manifest holds its numbers alone; their names tell which rule it is. Raises ModelError for names of neither.
    """
    numbers = bundle.article_rule
    if set(numbers) <= {field.name for field in fields(ArticleRule)}:
        return ArticleRule(**numbers)
    if set(numbers) == {field.name for field in fields(ArticleMixture)}:
        return ArticleMixture(**numbers)
    raise ModelError(
        f"{bundle.folder} has an article_rule of {sorted(numbers)}, unknown to this version; update penchant"
    )
