"""Article-level gold, and the choice of the rule that turns passages into an article's stance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from inference.aggregate import ArticleRule, article_label
from training.config import TaskConfig
from training.corpus import Example
from training.metrics import Floats, Scored
from training.slices import Aggregate, Articles

ARTICLE, POSITION = "article", "position"

TILTS = (0.08, 0.1, 0.12, 0.15, 0.18, 0.2, 0.25, 0.3)
PUSHES = (0.2, 0.25, 0.3, 0.34, 0.4, 0.45, 0.5, 0.6)


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


def aggregate_by(rule: ArticleRule, config: TaskConfig) -> Aggregate:
    """The product's own rule as a function of one article's probabilities, shape (passages, labels)."""
    plus, minus = config.labels.index(str(config.plus)), config.labels.index(str(config.minus))
    neutral = next((label for label in config.labels if label not in (config.plus, config.minus)), "neutral")

    def aggregate(probabilities: Floats) -> tuple[str, float | None]:
        predicted = probabilities.argmax(axis=1)
        pro, contra = float((predicted == plus).mean()), float((predicted == minus).mean())
        label = article_label(pro - contra, pro + contra, str(config.plus), str(config.minus), neutral, rule)
        return label, pro - contra

    return aggregate


def choose_rule(
    scored: Mapping[str, Scored], gold: Mapping[str, Articles], task: str, config: TaskConfig
) -> tuple[ArticleRule, float | None]:
    """The rule of the grid that is right on most articles of the splits, and its accuracy; ties go to the default.

    Without articles: the default rule and None.
    """
    best, best_right = ArticleRule(), -1
    total = sum(len(articles.passages()) for articles in gold.values())
    if not total:
        return best, None
    candidates = [ArticleRule(), *(ArticleRule(tilt, pushes) for tilt, pushes in product(TILTS, PUSHES))]
    for rule in candidates:
        aggregate = aggregate_by(rule, config)
        right = sum(
            aggregate(scored[split].probabilities(task)[rows])[0] == articles.label[article]
            for split, articles in gold.items()
            for article, rows in articles.passages().items()
        )
        if right > best_right:
            best, best_right = rule, right
    return best, best_right / total
