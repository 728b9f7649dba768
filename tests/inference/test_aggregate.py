"""Article indices and their intervals."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.aggregate import ArticleRule, article_label, index_interval, summarise
from inference.classifier import Prediction

LABELS = {"stance": ("pro-easing", "neutral", "pro-restriction"), "genre": ("a", "b")}
AXES = {"stance": ("pro-easing", "pro-restriction")}
SHARES = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: (pair[0], (1 - pair[0]) * pair[1]))


def prediction(plus: float, minus: float) -> Prediction:
    stance = dict(zip(LABELS["stance"], (plus, 1 - plus - minus, minus), strict=True))
    labels = {"stance": max(stance, key=lambda name: stance[name]), "genre": "a"}
    return Prediction({"stance": stance, "genre": {"a": 1.0, "b": 0.0}}, labels, {}, {}, 10, 0)


@given(st.lists(SHARES, min_size=1, max_size=5))
def test_aggregate_interval_is_the_exact_distribution(shares: list[tuple[float, float]]) -> None:
    low, high = index_interval([plus for plus, _ in shares], [minus for _, minus in shares])
    below = above = 0.0
    for draw in product((1, 0, -1), repeat=len(shares)):
        weight = 1.0
        for value, (plus, minus) in zip(draw, shares, strict=True):
            weight *= {1: plus, 0: max(0.0, 1 - plus - minus), -1: minus}[value]
        mean = sum(draw) / len(draw)
        below += weight if mean < low - 1e-9 else 0.0
        above += weight if mean > high + 1e-9 else 0.0
    assert below <= 0.025 + 1e-6
    assert above <= 0.025 + 1e-6
    assert -1 <= low <= high <= 1


def test_aggregate_interval_hardly_moves_where_the_normal_takes_over() -> None:
    exact = index_interval([0.5] * 400, [0.2] * 400)
    normal = index_interval([0.5] * 401, [0.2] * 401)
    assert exact == pytest.approx(normal, abs=0.01)


@given(st.lists(SHARES, min_size=1, max_size=12))
def test_aggregate_index_lies_in_its_interval_and_shares_sum_to_one(shares: list[tuple[float, float]]) -> None:
    summary = summarise([prediction(*pair) for pair in shares], LABELS, AXES, ArticleRule())["stance"]
    assert summary.index is not None
    assert summary.low is not None
    assert summary.high is not None
    assert summary.low <= summary.index <= summary.high
    assert sum(summary.shares.values()) == pytest.approx(1)
    assert summary.index == pytest.approx(summary.shares["pro-easing"] - summary.shares["pro-restriction"])


def test_aggregate_tells_mixed_from_neutral() -> None:
    rule = ArticleRule(tilt=0.2, pushes=0.4)
    named = ("pro-easing", "pro-restriction", "neutral", rule)
    assert article_label(0.2, 0.2, *named) == "pro-easing"
    assert article_label(-0.5, 0.5, *named) == "pro-restriction"
    assert article_label(0.0, 0.8, *named) == "mixed"
    assert article_label(0.1, 0.1, *named) == "neutral"


def test_aggregate_leaves_tasks_without_an_axis_without_an_index() -> None:
    summary = summarise([prediction(1, 0)], LABELS, AXES, ArticleRule())["genre"]
    assert (summary.label, summary.index) == ("a", None)
