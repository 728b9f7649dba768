"""Article-level gold, and the choice of the rule that turns passages into an article's stance.

Validation holds too few articles to tell rules apart: one article more or less decides. So rules are compared on
resampled articles: the gold passages of every training and validation article, each answered by what the model said of
a validation passage with the same gold label. That keeps how real articles are made and how this model errs, and
training passages, which the model has seen, lend no score. It takes errors within an article as independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from inference.aggregate import ArticleMixture, ArticleRule, Rule, article_label, likeliest_kind
from training.config import TaskConfig
from training.corpus import Example
from training.metrics import Floats, Scored
from training.slices import PHENOMENON, Aggregate, Articles

ARTICLE, POSITION = "article", "position"

TILTS = (0.08, 0.1, 0.12, 0.15, 0.18, 0.2, 0.22, 0.25, 0.3)
PUSHES = (0.2, 0.25, 0.3, 0.34, 0.4, 0.46, 0.5, 0.6)
#: Passages that are added to each label of a kind of article before its shares are taken (Laplace).
SMOOTHINGS = (1.0, 5.0, 20.0)
#: How often each article is drawn anew, and by which seed.
REPEATS, SEED = 12, 0


def article_gold(examples: Sequence[Example], task: str, config: TaskConfig) -> Articles:
    """The articles whose gold label stands in the facet ``article_<task>``; the gold index is of the gold passages."""
    articles = [example.facets.get(ARTICLE) for example in examples]
    positions = [int(example.facets.get(POSITION) or 0) for example in examples]
    label: dict[str, str] = {}
    signs: dict[str, list[int]] = {}
    for example, article in zip(examples, articles, strict=True):
        gold = example.facets.get(f"article_{task}")
        if article is None or gold is None:
            continue
        label[article] = gold
        name = config.labels[example.gold[task]]
        signs.setdefault(article, []).append((name == config.plus) - (name == config.minus))
    return Articles(articles, positions, label, {article: float(np.mean(values)) for article, values in signs.items()})


def aggregate_by(rule: Rule, config: TaskConfig) -> Aggregate:
    """The product's own rule as a function of one article's probabilities, shape (passages, labels)."""
    plus, minus = config.labels.index(str(config.plus)), config.labels.index(str(config.minus))
    neutral = next((label for label in config.labels if label not in (config.plus, config.minus)), "neutral")
    named = (config.labels[plus], config.labels[minus], neutral)

    def aggregate(probabilities: Floats) -> tuple[str, float | None]:
        predicted = probabilities.argmax(axis=1)
        pro, contra = float((predicted == plus).mean()), float((predicted == minus).mean())
        if isinstance(rule, ArticleRule):
            return article_label(pro - contra, pro + contra, *named, rule), pro - contra
        pushes = [(float(row[plus]), float(row[minus])) for row in probabilities]
        return likeliest_kind(pushes, *named, rule), pro - contra

    return aggregate


@dataclass(frozen=True)
class Trial:
    """A rule that was considered: its accuracy on resampled articles and on the ``articles`` of validation."""

    rule: Rule
    resampled: float
    validation: float
    articles: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the report."""
        kind = "thresholds" if isinstance(self.rule, ArticleRule) else "likeliest kind"
        scores = {"resampled": self.resampled, "validation": self.validation, "articles": self.articles}
        return {"kind": kind, **scores, "numbers": asdict(self.rule)}


@dataclass(frozen=True)
class Pattern:
    """An article's gold: its own label and its passages' label indices."""

    label: str
    passages: list[int]


def patterns(examples: Sequence[Example], task: str) -> list[Pattern]:
    """The articles that have a gold label, passages with gold alone, in the order of first mention."""
    found: dict[str, Pattern] = {}
    for example in examples:
        article, label = example.facets.get(ARTICLE), example.facets.get(f"article_{task}")
        if article is not None and label is not None and example.gold[task] >= 0:
            found.setdefault(article, Pattern(label, [])).passages.append(example.gold[task])
    return list(found.values())


def fit_mixture(articles: Sequence[Pattern], base: Floats, config: TaskConfig, smoothing: float) -> ArticleMixture:
    """The shares of each kind of article from gold articles; ``base`` are the shares of the labels on validation.

    The two sides are one kind seen from two ends: their passages are counted together.
    """
    plus, minus = config.labels.index(str(config.plus)), config.labels.index(str(config.minus))

    def shares(counts: tuple[int, int, int]) -> tuple[float, float]:
        total = sum(counts) + 3 * smoothing
        return (counts[0] + smoothing) / total, (counts[1] + smoothing) / total

    own = other = own_rest = 0
    each = {"mixed": [0, 0], "neutral": [0, 0]}
    for article in articles:
        pro, contra = article.passages.count(plus), article.passages.count(minus)
        rest = len(article.passages) - pro - contra
        if article.label in (config.plus, config.minus):
            forward, backward = (pro, contra) if article.label == config.plus else (contra, pro)
            own, other, own_rest = own + forward, other + backward, own_rest + rest
        else:
            kind = each["mixed" if article.label == "mixed" else "neutral"]
            kind[0] += pro + contra
            kind[1] += rest
    to_own, to_other = shares((own, other, own_rest))
    halves = {
        # Half the pushes go each way, by symmetry.
        name: (pushes + 2 * smoothing) / (2 * (pushes + rest + 3 * smoothing))
        for name, (pushes, rest) in each.items()
    }
    return ArticleMixture(to_own, to_other, halves["mixed"], halves["neutral"], float(base[plus]), float(base[minus]))


def resampled_articles(
    articles: Sequence[Pattern], scored: Scored, task: str, temperature: float
) -> list[tuple[str, Floats]]:
    """(gold label, probabilities) of articles whose passages are answered as validation prose of the same gold was.

    Rows of contrast groups lend no answer: they are harder than an article's prose. Empty where a label has no row.
    """
    probabilities = scored.probabilities(task, temperature)
    prose = np.array([value is None for value in scored.facets.get(PHENOMENON, [None] * len(scored))], dtype=bool)
    lenders = {label: np.flatnonzero(prose & (scored.gold[task] == label)) for label in range(len(scored.labels[task]))}
    if not all(len(rows) for rows in lenders.values()):
        return []
    rng = np.random.default_rng(SEED)
    return [
        (article.label, probabilities[[int(rng.choice(lenders[label])) for label in article.passages]])
        for _ in range(REPEATS)
        for article in articles
    ]


def choose_rule(
    train: Sequence[Example],
    validation: Sequence[Example],
    scored: Scored,
    task: str,
    config: TaskConfig,
    temperature: float = 1.0,
) -> tuple[Rule, list[Trial]]:
    """The rule that is right on most resampled articles, and the best of each kind that were compared, best first.

    ``scored`` are the rows of validation. Ties go to the earlier candidate, the default thresholds before all. Without
    articles: the default thresholds and no trials.
    """
    real = article_gold(validation, task, config)
    probabilities = scored.probabilities(task, temperature)
    held_out = [(real.label[article], probabilities[rows]) for article, rows in real.passages().items()]
    known = patterns([*train, *validation], task)
    drawn = resampled_articles(known, scored, task, temperature) or held_out
    if not drawn:
        return ArticleRule(), []

    def trial(rule: Rule) -> Trial:
        aggregate = aggregate_by(rule, config)

        def accuracy(articles: Sequence[tuple[str, Floats]]) -> float:
            return float(np.mean([aggregate(rows)[0] == label for label, rows in articles])) if articles else 0.0

        return Trial(rule, accuracy(drawn), accuracy(held_out), len(held_out))

    thresholds = [ArticleRule(), *(ArticleRule(tilt, pushes) for tilt, pushes in product(TILTS, PUSHES))]
    kinds: list[Sequence[Rule]] = [thresholds[:1], thresholds]
    gold = scored.gold[task][scored.gold[task] >= 0]
    base = np.bincount(gold, minlength=len(config.labels)) / max(1, len(gold))
    if {article.label for article in known} >= {config.plus, config.minus, "mixed"} and base.all():
        kinds.append([fit_mixture(known, base, config, smoothing) for smoothing in SMOOTHINGS])
    best = [max(map(trial, rules), key=lambda one: one.resampled) for rules in kinds]
    ranked = sorted(best, key=lambda one: -one.resampled)
    return ranked[0].rule, ranked


def rules_table(trials: Mapping[str, Sequence[Trial]]) -> list[dict[str, Any]]:
    """The compared rules of every task as rows for the report."""
    return [{"task": task, **trial.to_dict()} for task, several in trials.items() for trial in several]
