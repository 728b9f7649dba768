"""Article indices and their intervals."""

from dataclasses import asdict
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.aggregate import (
    ArticleMixture,
    ArticleRule,
    article_label,
    index_interval,
    likeliest_kind,
    rule_of,
    summarise,
)
from inference.bundle import Bundle, ModelError
from inference.classifier import Prediction

LABELS = {"stance": ("pro-easing", "neutral", "pro-restriction"), "genre": ("a", "b")}
AXES = {"stance": ("pro-easing", "pro-restriction")}
NAMED = ("pro-easing", "pro-restriction", "neutral")
MIXTURE = ArticleMixture(own=0.45, other=0.13, mixed=0.28, neutral=0.14, plus=0.27, minus=0.3)
SURE = {"+": (0.94, 0.03), "-": (0.03, 0.94), ".": (0.03, 0.03)}
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


@pytest.mark.parametrize(
    ("passages", "label"),
    [
        ("++.+.", "pro-easing"),
        ("--.-.", "pro-restriction"),
        ("+-+-..", "mixed"),
        ("......", "neutral"),
        ("..+...-.", "neutral"),
        ("+", "pro-easing"),
    ],
)
def test_aggregate_mixture_reads_sure_passages_as_a_reader_would(passages: str, label: str) -> None:
    assert likeliest_kind([SURE[mark] for mark in passages], *NAMED, MIXTURE) == label


def test_aggregate_mixture_weighs_passages_by_their_doubt() -> None:
    """Two passages lean the other way and one is sure: thresholds count heads, the mixture does not take their side."""
    doubtful = [(0.46, 0.44), (0.46, 0.44), (0.02, 0.96), (0.05, 0.05)]
    assert article_label(0.25, 0.75, *NAMED, ArticleRule()) == "pro-easing"
    assert likeliest_kind(doubtful, *NAMED, MIXTURE) == "mixed"


@given(st.lists(SHARES, min_size=1, max_size=12))
def test_aggregate_mixture_is_blind_to_which_side_is_called_plus(shares: list[tuple[float, float]]) -> None:
    even = ArticleMixture(0.45, 0.13, 0.28, 0.14, 0.3, 0.3)
    label = likeliest_kind(shares, *NAMED, even)
    mirrored = likeliest_kind([(minus, plus) for plus, minus in shares], NAMED[1], NAMED[0], NAMED[2], even)
    assert label == mirrored or {label, mirrored} <= {"pro-easing", "pro-restriction", "mixed"}


@given(st.lists(SHARES, min_size=1, max_size=12))
def test_aggregate_mixture_never_contradicts_the_sign_of_the_index(shares: list[tuple[float, float]]) -> None:
    summary = summarise([prediction(*pair) for pair in shares], LABELS, AXES, MIXTURE)["stance"]
    assert summary.index is not None
    assert not (summary.label == "pro-easing" and summary.index < 0)
    assert not (summary.label == "pro-restriction" and summary.index > 0)


def test_aggregate_mixture_leaves_other_tasks_to_the_thresholds() -> None:
    labels = {"genre": ("a", "b"), "stance": LABELS["stance"]}
    rows = [prediction(0.46, 0.44), prediction(0.46, 0.44), prediction(0.02, 0.96), prediction(0.05, 0.05)]
    assert summarise(rows, labels, AXES, MIXTURE)["stance"].label == "pro-easing"
    assert summarise(rows, LABELS, AXES, MIXTURE)["stance"].label == "mixed"


def bundle_with(article_rule: dict[str, float]) -> Bundle:
    return Bundle(
        folder=Path("m"),
        name="m",
        digest="0",
        graph=Path("m.onnx"),
        precision="fp32",
        tasks=(),
        max_length=8,
        temperatures={},
        thresholds={},
        axes={},
        article_rule=article_rule,
        facts={},
    )


def test_aggregate_reads_the_rules_of_old_and_new_models() -> None:
    assert rule_of(bundle_with({})) == ArticleRule()
    assert rule_of(bundle_with({"tilt": 0.2, "pushes": 0.4})) == ArticleRule(0.2, 0.4)
    assert rule_of(bundle_with(asdict(MIXTURE))) == MIXTURE


def test_aggregate_refuses_a_rule_of_another_version() -> None:
    with pytest.raises(ModelError, match=r"article_rule of \['slope'\], unknown to this version; update penchant"):
        rule_of(bundle_with({"slope": 1.0}))
