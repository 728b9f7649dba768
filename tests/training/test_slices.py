from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.scored_rows import answer, simulate, with_errors
from training.metrics import Resampling, Scored
from training.slices import (
    Articles,
    all_right,
    article_report,
    contrast_sets,
    corners,
    cut,
    gold_index,
    invariance_sets,
    length_band,
    set_report,
    slice_report,
    unchanged,
)

HOW = Resampling(resamples=100)
INVARIANCE = ["actor-swap", "typography"]


def grouped(phenomena: list[str | None], groups: list[str], gold: list[int]) -> Scored:
    """Rows with a right answer each, one a group, phenomenon and gold stance given."""
    rows = simulate(len(groups))
    rows = replace(rows, groups=groups, facets={"phenomenon": phenomena}, gold={**rows.gold, "stance": np.array(gold)})
    return with_errors(rows, "stance", [])


@given(st.integers(0, 400))
def test_slices_length_bands_are_in_order(words: int) -> None:
    bands = ["under 30 words", "30-59 words", "60-89 words", "90 words or more"]
    assert bands.index(length_band(words)) == (words >= 30) + (words >= 60) + (words >= 90)


def test_slices_cut_covers_every_row_once_a_facet() -> None:
    scored = simulate(90)
    found: dict[str, list[int]] = {}
    for facet, value, rows in cut(scored):
        found.setdefault(facet, []).extend(rows)
        names = corners(scored) if facet == "corner" else scored.facets[facet]
        assert {names[row] for row in rows} == {value}
    assert sorted(found) == ["corner", "topic"]  # no row has a phenomenon
    assert all(sorted(rows) == list(range(90)) for rows in found.values())


def test_slices_corners_join_the_gold_of_all_tasks() -> None:
    scored = simulate(3)
    gold = {"stance": np.array([0, 2, 1]), "sentiment": np.array([0, -1, 2])}
    assert corners(replace(scored, gold=gold)) == ["pro-easing × negative", None, "neutral × positive"]
    alone = {name: {"stance": getattr(scored, name)["stance"]} for name in ("gold", "logits", "labels")}
    assert corners(replace(scored, **alone)) == [None] * 3


def test_slices_report_finds_the_weak_topic_and_only_lists_small_ones() -> None:
    scored = simulate(200)
    topics: list[str | None] = ["grain"] * 100 + ["steel"] * 80 + ["visas"] * 20
    scored = replace(scored, facets={**scored.facets, "topic": topics})
    scored = with_errors(scored, "stance", list(range(100, 140)))
    found = slice_report(scored, "stance", HOW)["topic"]
    assert found["grain"]["accuracy"]["value"] == 1.0
    assert found["steel"]["accuracy"]["value"] == pytest.approx(0.5)
    assert found["steel"]["accuracy"]["low"] < 0.5 < found["steel"]["accuracy"]["high"]
    assert found["visas"] == {"n": 20}


def test_slices_corners_have_accuracy_and_no_macro_f1() -> None:
    found = slice_report(simulate(600), "stance", HOW)["corner"]
    assert len(found) == 9
    assert all(one["macro_f1"] is None and one["accuracy"]["n"] == one["n"] for one in found.values())


def test_slices_contrast_groups_are_right_only_with_every_member() -> None:
    scored = grouped(
        ["negation", "negation", "irony", "irony", "irony", None, None, "typography", "typography"],
        ["a", "a", "b", "b", "b", "story", "story", "c", "c"],
        [0, 2, 1, 0, 1, 0, 2, 1, 1],
    )
    scored = with_errors(scored, "stance", [3])
    sets = contrast_sets(scored, "stance", INVARIANCE)
    assert [(one.group, one.phenomenon, list(one.rows)) for one in sets] == [
        ("a", "negation", [0, 1]),
        ("b", "irony", [2, 3, 4]),
    ]
    assert list(all_right(sets, scored, "stance")) == [True, False]
    report = set_report(sets, all_right(sets, scored, "stance"), HOW)
    assert report["all"]["value"] == 0.5
    assert report["all"]["n"] == 2
    assert report["by_phenomenon"]["negation"]["value"] == 1.0


def test_slices_contrast_groups_need_gold_that_differs() -> None:
    scored = grouped(["negation", "negation", "irony", "irony"], ["a", "a", "b", "b"], [1, 1, 0, -1])
    assert contrast_sets(scored, "stance", INVARIANCE) == []


def test_slices_invariance_counts_unchanged_labels_right_or_wrong() -> None:
    scored = grouped(
        ["actor-swap", "actor-swap", "typography", "typography", "negation", "negation", "actor-swap", "actor-swap"],
        ["a", "a", "b", "b", "c", "c", "d", "d"],
        [0, 0, 1, 1, 2, 2, 0, 1],
    )
    scored = answer(scored, "stance", [2, 2, 1, 0, 2, 2, 0, 1])
    sets = invariance_sets(scored, "stance", INVARIANCE)
    assert [one.group for one in sets] == ["a", "b"]  # c is no invariance phenomenon, d has two gold labels
    assert list(unchanged(sets, scored, "stance")) == [True, False]


def test_slices_no_sets_have_no_share() -> None:
    report = set_report([], np.array([], dtype=bool), HOW)
    assert report["all"] == {"value": None, "low": None, "high": None, "n": 0}


def sum_rule(probabilities: np.ndarray) -> tuple[str, float | None]:
    """An article's label by the sign of its index over argmax labels (0 pro-easing, 2 pro-restriction)."""
    best = probabilities.argmax(axis=1)
    index = float((best == 0).mean() - (best == 2).mean())
    return ("pro-easing" if index > 0 else "pro-restriction" if index < 0 else "neutral"), index


def test_slices_articles_are_aggregated_in_reading_order() -> None:
    scored = grouped([None] * 6, list("aaabbb"), [0, 0, 1, 2, 1, 0])
    seen: list[list[int]] = []

    def rule(probabilities: np.ndarray) -> tuple[str, float | None]:
        seen.append(list(probabilities.argmax(axis=1)))
        return sum_rule(probabilities)

    articles = Articles(
        article=["a", "a", "a", "b", "b", None],
        position=[2, 0, 1, 1, 0, 0],
        label={"a": "pro-easing", "b": "neutral"},
        index={"a": 1.0},
    )
    report = article_report(scored, "stance", 1.0, articles, rule, HOW)
    assert seen == [[0, 1, 0], [1, 2]]
    assert report["accuracy"]["value"] == 0.5
    assert report["accuracy"]["n"] == 2
    assert report["index_error"]["value"] == pytest.approx(1 / 3)
    assert report["index_error"]["n"] == 1
    assert report["confusion"] == {"pro-easing": {"pro-easing": 1}, "neutral": {"pro-restriction": 1}}


def test_slices_articles_of_other_rows_are_refused() -> None:
    articles = Articles(["a"], [0], {"a": "neutral"}, {})
    with pytest.raises(ValueError, match="articles name 1 rows, 4 were scored"):
        article_report(simulate(4), "stance", 1.0, articles, sum_rule, HOW)


def test_slices_gold_index_is_plus_minus_minus_over_passages_with_gold() -> None:
    scored = grouped([None] * 5, list("aaabb"), [0, 0, 2, -1, -1])
    articles = Articles(list("aaabb"), [0, 1, 2, 0, 1], {"a": "pro-easing", "b": "neutral"}, {})
    assert gold_index(scored, "stance", articles.passages(), "pro-easing", "pro-restriction") == {
        "a": pytest.approx(1 / 3)
    }
