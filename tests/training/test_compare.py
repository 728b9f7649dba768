from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tests.training.scored_rows import plain_calibration, simulate, with_errors
from training.compare import (
    accuracy_difference,
    align,
    calibration_error_difference,
    compare,
    comparison_markdown,
    macro_f1_difference,
    mcnemar,
)
from training.metrics import Resampling, classification

HOW = Resampling(resamples=500)


def test_compare_align_puts_the_second_model_in_the_order_of_the_first() -> None:
    scored = simulate(30)
    shuffled = scored.select(np.random.default_rng(1).permutation(30))
    assert align(scored, shuffled).ids == scored.ids
    assert (align(scored, shuffled).logits["stance"] == scored.logits["stance"]).all()


def test_compare_align_refuses_other_rows_gold_and_labels() -> None:
    scored = simulate(30)
    with pytest.raises(ValueError, match="not scored on the same rows: 10 ids only in the first"):
        align(scored, scored.select(range(20)))
    with pytest.raises(ValueError, match="10 only in the second"):
        align(scored.select(range(20)), scored)
    gold = scored.gold["stance"].copy()
    gold[4] = (gold[4] + 1) % 3
    with pytest.raises(
        ValueError, match="1 rows have another gold label of 'stance' for the second model, the first is 'row-00004'"
    ):
        align(scored, replace(scored, gold={**scored.gold, "stance": gold}))
    with pytest.raises(ValueError, match="different tasks or labels"):
        align(scored, replace(scored, labels={**scored.labels, "stance": ("a", "b", "c")}))


def test_compare_identical_models_differ_by_nothing() -> None:
    scored = simulate(80)
    found = macro_f1_difference(scored, scored, "stance", HOW)
    assert (found.difference, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert mcnemar(scored, scored, "stance").p_value == 1.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_compare_difference_changes_sign_with_the_order(seed: int) -> None:
    a = simulate(60, seed=seed)
    b = with_errors(a, "stance", np.random.default_rng(seed).permutation(60)[:20])
    how = Resampling(resamples=100)
    for measure in (macro_f1_difference, accuracy_difference):
        one, other = measure(a, b, "stance", how), measure(b, a, "stance", how)
        assert one.difference == pytest.approx(-other.difference)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
        assert (one.p_lower, one.p_higher, one.p_value) == (other.p_higher, other.p_lower, other.p_value)


def test_compare_finds_a_real_difference_that_separate_intervals_hide() -> None:
    gold = simulate(400)
    worse = with_errors(gold, "stance", np.arange(0, 120))
    better = with_errors(gold, "stance", np.arange(0, 104))  # wrong where the other is, but for 16 rows
    found = accuracy_difference(better, worse, "stance", HOW)
    assert found.difference == pytest.approx(0.04)
    assert found.low > 0
    assert found.p_value < 0.05
    assert found.p_higher < found.p_lower
    separate = [classification(one, "stance", HOW)["accuracy"] for one in (better, worse)]
    assert separate[0]["low"] < separate[1]["high"]


def test_compare_takes_chance_for_chance_in_all_but_a_few_cases() -> None:
    rejected = 0
    gold = simulate(200)
    for seed in range(100):
        generator = np.random.default_rng(seed)
        a, b = (with_errors(gold, "stance", np.flatnonzero(generator.random(200) < 0.2)) for _ in range(2))
        found = accuracy_difference(a, b, "stance", Resampling(resamples=200))
        rejected += found.p_value < 0.05
    assert rejected <= 14  # 5 expected, and 14 or fewer with probability 0.9999


def test_compare_one_group_has_no_interval() -> None:
    scored = replace(simulate(10), groups=["a"] * 10)
    found = accuracy_difference(scored, scored, "stance", HOW)
    assert (found.low, found.high, found.p_value, found.groups) == (None, None, None, 1)


@given(st.integers(0, 40), st.integers(0, 40))
def test_compare_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int) -> None:
    gold = simulate(100)
    a = with_errors(gold, "stance", range(only_b))
    b = with_errors(gold, "stance", range(50, 50 + only_a))
    found = mcnemar(a, b, "stance")
    assert (found.only_a, found.only_b) == (only_a, only_b)
    expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert found.p_value == pytest.approx(expected)


def test_compare_calibration_error_is_above_zero_where_the_first_is_overconfident() -> None:
    scored = simulate(1500, spread=1.5)
    found = calibration_error_difference(scored, scored, "stance", (0.3, 1.0), HOW)
    assert found.low > 0
    assert found.p_higher < 0.01


def test_compare_report_is_plain_and_reads_as_a_table() -> None:
    scored = simulate(120)
    gold = np.full(120, -1)
    scored = replace(scored, gold={**scored.gold, "sentiment": gold})
    other = with_errors(scored, "stance", range(40))
    report = compare(
        {"unseen": scored}, {"unseen": other, "seen": other}, (plain_calibration(), plain_calibration()), HOW
    )
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert list(report["unseen"]) == ["stance"]
    table = comparison_markdown(report, ("challenger", "champion")).splitlines()
    assert len(table) == 6
    assert {line.count("|") for line in table} == {8}


def test_compare_names_a_split_that_the_second_model_lacks() -> None:
    scored = simulate(20)
    with pytest.raises(ValueError, match=r"not scored on split 'unseen', only on \['seen'\]"):
        compare({"unseen": scored}, {"seen": scored}, (plain_calibration(), plain_calibration()), HOW)
