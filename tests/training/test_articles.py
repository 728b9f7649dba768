"""Article gold, resampled articles and the choice among rules."""

from __future__ import annotations

import numpy as np
import pytest

from inference.aggregate import ArticleMixture, ArticleRule
from training.articles import (
    Pattern,
    aggregate_by,
    article_gold,
    choose_rule,
    fit_mixture,
    patterns,
    resampled_articles,
    rules_table,
)
from training.config import TaskConfig
from training.corpus import Example
from training.metrics import Scored

STANCE = TaskConfig(labels=["pro-easing", "neutral", "pro-restriction"], plus="pro-easing", minus="pro-restriction")
CODES = {"+": 0, ".": 1, "-": 2}
#: What articles of each label look like, passage by passage.
MADE = {
    "pro-easing": ["+.+.+", "++.-+", ".+.+."],
    "pro-restriction": ["-.-.-", "--.+-", ".-.-."],
    "mixed": ["+-+-.", "+.-.-+", "-+.+-"],
    "neutral": [".....", "....+", ".-..."],
}


def passages(split: str) -> list[Example]:
    return [
        Example(
            f"{split}-{label}-{number}-{place}",
            "texte",
            None,
            f"{split}-{label}-{number}",
            split,
            {"stance": CODES[mark]},
            {"article": f"{split}-{label}-{number}", "position": str(place + 1), "article_stance": label},
        )
        for label, several in MADE.items()
        for number, marks in enumerate(several)
        for place, mark in enumerate(marks)
    ]


def scored(examples: list[Example], sureness: float, seed: int = 0) -> Scored:
    """A model that is right on most passages, surer where it is right."""
    rng = np.random.default_rng(seed)
    gold = np.array([example.gold["stance"] for example in examples])
    logits = rng.normal(size=(len(gold), 3))
    logits[np.arange(len(gold)), gold] += sureness
    ids, groups = [example.id for example in examples], [example.group for example in examples]
    return Scored(ids, groups, {}, {"stance": gold}, {"stance": logits}, {"stance": tuple(STANCE.labels)})


def test_articles_gold_is_the_label_and_the_mean_of_the_passages() -> None:
    gold = article_gold(passages("validation"), "stance", STANCE)
    assert gold.label["validation-mixed-1"] == "mixed"
    assert gold.index["validation-pro-easing-0"] == pytest.approx(3 / 5)
    assert gold.index["validation-pro-restriction-1"] == pytest.approx(-2 / 5)


def test_articles_patterns_leave_out_passages_without_gold_and_without_article() -> None:
    rows = passages("train")[:5]
    blank = Example("x", "texte", None, "x", "train", {"stance": -1}, rows[0].facets)
    alone = Example("y", "texte", None, "y", "train", {"stance": 1}, {})
    assert patterns([*rows, blank, alone], "stance") == [Pattern("pro-easing", [0, 1, 0, 1, 0])]


def test_articles_mixture_is_fitted_by_counting() -> None:
    articles = [
        Pattern("pro-easing", [0, 0, 1, 2]),
        Pattern("pro-restriction", [2, 1, 1, 1]),
        Pattern("neutral", [1, 1]),
    ]
    rule = fit_mixture(articles, np.array([0.2, 0.5, 0.3]), STANCE, smoothing=1.0)
    assert rule.own == pytest.approx(4 / 11)
    assert rule.other == pytest.approx(2 / 11)
    assert rule.mixed == pytest.approx(1 / 3)
    assert rule.neutral == pytest.approx(1 / 5)
    assert (rule.plus, rule.minus) == (0.2, 0.3)


def test_articles_resampled_passages_keep_their_gold() -> None:
    examples = passages("validation")
    rows = scored(examples, sureness=40.0)
    articles = patterns(examples, "stance")
    drawn = resampled_articles(articles, rows, "stance", temperature=1.0)
    assert len(drawn) % len(articles) == 0
    for (label, probabilities), article in zip(drawn, articles, strict=False):
        assert label == article.label
        assert probabilities.argmax(axis=1).tolist() == article.passages


def test_articles_resampling_needs_an_answer_for_every_label() -> None:
    examples = [example for example in passages("validation") if example.gold["stance"] != 1]
    assert resampled_articles(patterns(passages("train"), "stance"), scored(examples, 1.0), "stance", 1.0) == []


def test_articles_choice_beats_the_default_and_lists_what_was_compared() -> None:
    train, validation = passages("train"), passages("validation")
    rule, trials = choose_rule(train, validation, scored(validation, 1.5), "stance", STANCE)
    assert rule == trials[0].rule
    assert [trial.resampled for trial in trials] == sorted((trial.resampled for trial in trials), reverse=True)
    assert ArticleRule() in [trial.rule for trial in trials]
    assert {trial.articles for trial in trials} == {12}
    table = rules_table({"stance": trials})
    assert {row["kind"] for row in table} == {"thresholds", "likeliest kind"}
    assert table[0]["task"] == "stance"


def test_articles_choice_is_the_same_every_time() -> None:
    train, validation = passages("train"), passages("validation")
    rows = scored(validation, 1.0)
    assert choose_rule(train, validation, rows, "stance", STANCE) == choose_rule(
        train, validation, rows, "stance", STANCE
    )


def test_articles_without_gold_get_the_default() -> None:
    bare = [Example("x", "texte", None, "x", "validation", {"stance": 1}, {})]
    assert choose_rule(bare, bare, scored(bare, 1.0), "stance", STANCE) == (ArticleRule(), [])


@pytest.mark.parametrize(
    "rule", [ArticleRule(), ArticleMixture(0.5, 0.1, 0.3, 0.1, 0.3, 0.3)], ids=["count", "mixture"]
)
@pytest.mark.parametrize(("marks", "label", "index"), [("++.", "pro-easing", 2 / 3), ("+-+-", "mixed", 0.0)])
def test_articles_aggregate_gives_label_and_index(
    rule: ArticleRule | ArticleMixture, marks: str, label: str, index: float
) -> None:
    probabilities = np.full((len(marks), 3), 0.02)
    probabilities[np.arange(len(marks)), [CODES[mark] for mark in marks]] = 0.96
    found, value = aggregate_by(rule, STANCE)(probabilities)
    assert found == label
    assert value == pytest.approx(index)
