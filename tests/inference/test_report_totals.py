"""The intervals of a report's groups: those of an article and of a group are of one kind, and tell the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.report_articles import Caps, collect
from inference.report_data import open_job
from inference.report_totals import Group, Totals, believed
from tests.inference.report_jobs import AXES, EVEN, FOR, STANCE, STORIES, TASKS, Odds, Story, Told, make_job, rows_of
from tests.inference.report_page import read

ODDS = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)
COLUMNS = [STANCE.column(end) for end in AXES["stance"]]


def group_of(articles: list[list[Odds]]) -> Group:
    """A group of articles, each given by the stance odds of its passages."""
    group = Group()
    for number, passages in enumerate(articles):
        row, told = rows_of(Story(f"s{number}", [Told("Oui.", (odds, EVEN)) for odds in passages]), TASKS, AXES)
        group.add(row, STANCE, believed(told, *COLUMNS))
    return group


@given(st.lists(ODDS, min_size=1, max_size=6))
def test_report_totals_of_one_article_have_its_interval(passages: list[Odds]) -> None:
    row, told = rows_of(Story("a", [Told("Oui.", (odds, EVEN)) for odds in passages]), TASKS, AXES)
    one, merged = Group(), Group()
    one.add(row, STANCE, believed(told, *COLUMNS))
    merged.merge(one)
    merged.merge(Group())
    for group in (one, merged):
        assert group.interval == (row["stance_index_low"], row["stance_index_high"])


def test_report_shows_one_interval_for_an_article_and_for_its_source_alone(tmp_path: Path) -> None:
    story = Story("seul", [Told("Oui.", ((0.6, 0.3, 0.1), EVEN))] * 2, "Seul", "2026-05-01", "Le Seul", "sel")
    page = read(make_job(tmp_path, [*STORIES, story]))
    shown = page.texts("td", "c-index")[-1].replace(" ", "")
    assert shown == "+1,00−0,50…+1,00"
    rows = [row.replace(" ", "").replace("\n", "") for row in page.texts("tr")]
    assert {f"LeSeul{shown}1", f"sel{shown}1", f"mai2026{shown}1"} <= set(rows)


@given(st.lists(st.lists(ODDS, min_size=1, max_size=4), min_size=1, max_size=6))
def test_report_totals_interval_holds_the_index(articles: list[list[Odds]]) -> None:
    group = group_of(articles)
    low, high = group.interval
    assert -1 <= low <= group.index <= high <= 1


@pytest.mark.parametrize("odds", [(0.6, 0.4, 0.0), (0.4, 0.3, 0.3), (0.05, 0.15, 0.8)])
def test_report_totals_interval_covers_the_index_of_true_labels(odds: Odds) -> None:
    """Leaning labels push every index to the end of its article's interval: true labels do not follow it there."""
    articles = [[odds] * (1 + number % 4) for number in range(40)]
    low, high = group_of(articles).interval
    chance = np.random.default_rng(0)
    draws = np.zeros(2_000)
    for passages in articles:
        counts = chance.multinomial(len(passages), np.asarray(odds) / sum(odds), size=len(draws))
        draws += (counts[:, 0] - counts[:, 2]) / len(passages) / len(articles)
    assert np.mean((low <= draws) & (draws <= high)) > 0.93


def test_report_totals_count_articles_and_passages_beyond_the_caps(tmp_path: Path) -> None:
    job = open_job(make_job(tmp_path, [Story(f"s{n}", [Told("Oui.", (FOR, EVEN))] * 2) for n in range(5)]))
    totals = Totals(job)
    entries = collect(job, totals, Caps(table_articles=2, articles=1))
    assert [entry.passages is not None for entry in entries] == [True, False]
    assert (totals.articles, totals.passages) == (5, 10)
