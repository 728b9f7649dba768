from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tests.training.scored_rows import simulate, with_errors
from training.calibrate import (
    ALWAYS_ABSTAIN,
    TEMPERATURES,
    Calibration,
    brier_score,
    calibration_report,
    choose_threshold,
    equal_mass_edges,
    equal_width_edges,
    error_correlation,
    error_upper_bound,
    expected_calibration_error,
    fit_calibration,
    fit_temperature,
    negative_log_likelihood,
    reliability_table,
)
from training.metrics import Resampling


@settings(max_examples=15, deadline=None)
@given(st.floats(0.25, 6.0), st.integers(0, 100))
def test_calibrate_temperature_recovers_a_known_scaling(scale: float, seed: int) -> None:
    scored = simulate(4000, overconfidence=scale, seed=seed)
    assert fit_temperature(scored.logits["stance"], scored.gold["stance"]) == pytest.approx(scale, rel=0.12)


def test_calibrate_temperature_is_the_minimum_of_the_loss() -> None:
    scored = simulate(3000, overconfidence=2.5, seed=1)
    fitted = fit_temperature(scored.logits["stance"], scored.gold["stance"])

    def loss(temperature: float) -> float:
        return float(negative_log_likelihood(scored.probabilities("stance", temperature), scored.gold["stance"]).mean())

    assert all(loss(fitted) <= loss(fitted * factor) for factor in (0.5, 0.8, 0.95, 1.05, 1.25, 2.0))


def test_calibrate_temperature_stays_finite_where_every_row_is_right() -> None:
    scored = simulate(40)
    right = np.eye(3)[scored.gold["stance"]] * 2.0
    assert TEMPERATURES[0] < fit_temperature(right, scored.gold["stance"]) < 1.0


def test_calibrate_temperature_of_answers_that_are_worse_than_guessing_is_the_flattest() -> None:
    gold = simulate(300).gold["stance"]
    assert fit_temperature(-5.0 * np.eye(3)[gold], gold) == TEMPERATURES[1]


def test_calibrate_temperature_of_constant_logits_is_one() -> None:
    assert fit_temperature(np.full((20, 3), 0.7), np.zeros(20, dtype=np.int64)) == 1.0


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), min_size=1, max_size=80))
def test_calibrate_error_equals_its_definition(rows: list[tuple[float, bool]]) -> None:
    confidence, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], dtype=np.float64)
    edges, expected = equal_width_edges(), 0.0
    for number in range(15):
        first = number == 0
        inside = ((confidence > edges[number]) | first) & (confidence <= edges[number + 1])
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(confidence, right) == pytest.approx(expected)


def test_calibrate_error_sees_overconfidence_and_temperature_mends_it() -> None:
    scored, how = simulate(4000, overconfidence=4.0, seed=2), Resampling(resamples=200)
    fitted = fit_temperature(scored.logits["stance"], scored.gold["stance"])
    raw, mended = (calibration_report(scored, "stance", temperature, how) for temperature in (1.0, fitted))
    for measure in ("ece", "adaptive_ece", "brier", "log_loss"):
        assert mended[measure]["high"] < raw[measure]["low"], measure
    for measure in ("ece", "adaptive_ece"):
        assert mended[measure]["value"] < 0.03
        assert mended[measure]["low"] <= mended[measure]["value"] <= mended[measure]["high"]
    assert sum(row["n"] for row in mended["reliability"]) == 4000


def test_calibrate_bins_of_equal_mass_hold_equal_counts() -> None:
    confidence = np.random.default_rng(0).beta(8, 2, 3000)
    table = reliability_table(confidence, np.ones(3000), equal_mass_edges(confidence))
    assert [row["n"] for row in table] == [200] * 15
    assert all(row["low"] <= row["confidence"] <= row["high"] for row in table)


def test_calibrate_bins_of_equal_mass_survive_one_value() -> None:
    confidence = np.full(50, 0.8)
    right = np.array([1.0] * 30 + [0.0] * 20)
    assert expected_calibration_error(confidence, right, equal_mass_edges(confidence)) == pytest.approx(0.2)


def test_calibrate_brier_score_runs_from_zero_to_two() -> None:
    probabilities = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    assert brier_score(probabilities, np.array([0, 2, 0])) == pytest.approx([0.0, 2.0, 0.5])


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))), st.floats(0.6, 0.999))
def test_calibrate_bound_is_where_so_few_errors_become_unlikely(case: tuple[int, int], confidence: float) -> None:
    n, errors = case
    bound = error_upper_bound(errors, n, confidence)
    assert binom.cdf(errors, n, bound) == pytest.approx(1.0 - confidence, abs=1e-6)
    assert bound > errors / n * 0.999


def test_calibrate_bound_of_errors_alone_is_one() -> None:
    assert error_upper_bound(5, 5, 0.9) == 1.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 0.4), st.floats(0.02, 0.4))
def test_calibrate_thresholds_fall_as_the_risk_allowed_grows(seed: int, one: float, other: float) -> None:
    generator = np.random.default_rng(seed)
    confidence = generator.uniform(0.4, 1.0, 300)
    right, groups = generator.random(300) < confidence, [str(row) for row in range(300)]
    strict, lax = sorted((one, other))
    threshold, coverage, _ = choose_threshold(confidence, right, groups, strict, 0.9)
    wider_threshold, wider_coverage, _ = choose_threshold(confidence, right, groups, lax, 0.9)
    assert wider_threshold <= threshold
    assert wider_coverage >= coverage
    assert choose_threshold(confidence, right, groups, strict, 0.99)[0] >= threshold


@pytest.mark.parametrize(("rows", "copies"), [(1000, 1), (300, 4)])
def test_calibrate_kept_rows_keep_the_risk_promised_also_when_groups_err_together(rows: int, copies: int) -> None:
    """Confidence is uniform on [1/3, 1] and honest, so the true risk above a threshold t is (1 − t) / 2."""
    risk, certainty, broken = 0.1, 0.9, 0
    for seed in range(150):
        generator = np.random.default_rng(seed)
        confidence = np.repeat(generator.uniform(1 / 3, 1.0, rows), copies)
        right = np.repeat(generator.random(rows) < confidence[::copies], copies)
        groups = [str(row // copies) for row in range(rows * copies)]
        threshold, coverage, accuracy = choose_threshold(confidence, right, groups, risk, certainty)
        broken += coverage > 0 and (1.0 - threshold) / 2.0 > risk
        assert coverage == pytest.approx((confidence >= threshold).mean())
        if coverage:
            assert accuracy == pytest.approx(right[confidence >= threshold].mean())
    assert broken / 150 <= 1.0 - certainty


def test_calibrate_threshold_comes_near_the_best_one_with_many_rows() -> None:
    """Of confidence uniform on [1/3, 1] and honest, the share above 0.8 (30 %) could be kept at a risk of 0.1."""
    generator = np.random.default_rng(0)
    confidence = generator.uniform(1 / 3, 1.0, 20_000)
    right, groups = generator.random(20_000) < confidence, [str(row) for row in range(20_000)]
    threshold, coverage, _ = choose_threshold(confidence, right, groups, 0.1, 0.9)
    assert 0.8 <= threshold < 0.85
    assert 0.25 <= coverage <= 0.3


def test_calibrate_coverage_does_not_widen_past_a_stretch_of_errors() -> None:
    confidence, right = np.linspace(1.0, 0.4, 1000), np.ones(1000, dtype=bool)
    right[500:580] = False  # 8 % over all rows, and too many among the first 580
    threshold, coverage, accuracy = choose_threshold(confidence, right, [str(row) for row in range(1000)], 0.1, 0.9)
    assert 0.5 <= coverage <= 0.56
    assert threshold == confidence[round(coverage * 1000) - 1]
    assert accuracy >= 0.9


def test_calibrate_rows_that_err_together_count_for_less() -> None:
    generator = np.random.default_rng(0)
    single = generator.random(200) < 0.06
    assert error_correlation(np.repeat(single, 5).astype(float), np.repeat(np.arange(200), 5)) == pytest.approx(1.0)
    assert error_correlation(single.astype(float), np.arange(200)) == 0.0
    independent = (generator.random(2000) < 0.1).astype(float)
    assert error_correlation(independent, np.arange(2000) // 4) < 0.1
    assert error_correlation(np.zeros(20), np.arange(20) // 4) == 1.0


def test_calibrate_threshold_zero_never_abstains_where_all_is_right() -> None:
    confidence = np.linspace(0.4, 1.0, 500)
    groups = [str(row) for row in range(500)]
    assert choose_threshold(confidence, np.ones(500, dtype=bool), groups, 0.05, 0.9) == (0.0, 1.0, 1.0)


def test_calibrate_threshold_abstains_from_all_where_nothing_is_shown() -> None:
    confidence = np.linspace(0.4, 1.0, 30)
    groups = [str(row) for row in range(30)]
    assert choose_threshold(confidence, np.ones(30, dtype=bool), groups, 0.05, 0.9) == (ALWAYS_ABSTAIN, 0.0, None)


def test_calibrate_fit_gives_each_task_its_own_and_goes_through_json() -> None:
    scored = simulate(1500, spread=4.0, overconfidence=2.0, seed=7)
    scored = replace(scored, logits={**scored.logits, "sentiment": scored.logits["sentiment"] / 4.0})
    fitted = fit_calibration(scored, risk=0.1, confidence=0.9)
    assert fitted.temperatures["stance"] == pytest.approx(2.0, rel=0.2)
    assert fitted.temperatures["sentiment"] == pytest.approx(0.5, rel=0.2)
    for task in scored.tasks:
        kept = scored.probabilities(task, fitted.temperatures[task]).max(axis=1) >= fitted.thresholds[task]
        right = scored.predicted(task) == scored.gold[task]
        assert fitted.coverage[task] == pytest.approx(kept.mean())
        assert fitted.accuracy[task] == pytest.approx(right[kept].mean())
        assert fitted.accuracy[task] >= 0.9
    assert Calibration.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


def test_calibrate_fit_leaves_rows_without_gold_aside() -> None:
    scored = simulate(200)
    gold = scored.gold["stance"].copy()
    gold[150:] = -1
    partial = replace(scored, gold={**scored.gold, "stance": gold})
    first = scored.select(range(150))
    assert fit_calibration(partial).temperatures["stance"] == fit_calibration(first).temperatures["stance"]
    gold[:] = -1
    with pytest.raises(ValueError, match="no gold label for task 'stance'"):
        fit_calibration(partial)


def test_calibrate_stored_calibration_with_a_key_too_few_is_refused() -> None:
    content = fit_calibration(with_errors(simulate(50), "stance", [0])).to_dict()
    del content["thresholds"]
    with pytest.raises(ValueError, match="no stored calibration"):
        Calibration.from_dict(content)
