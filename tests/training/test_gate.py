from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from tests.training.scored_rows import LABELS, answer, evidence, simulate, with_errors
from training.evidence import Criterion, Decision, Evidence
from training.gate import GateConfig, decide
from training.metrics import Scored

CONFIG = GateConfig(resamples=500)
ROWS = simulate(600)
EVERY_FIFTH = np.arange(0, 600, 5)
CHAMPION = evidence(with_errors(ROWS, "stance", EVERY_FIFTH, 0.8))
BETTER = with_errors(ROWS, "stance", EVERY_FIFTH[::2], 0.9)


def failed(decision: Decision) -> set[str]:
    return {criterion.kind for criterion in decision.criteria if criterion.verdict == "fail"}


def find(decision: Decision, kind: str, part: str = "") -> Criterion:
    (found,) = [criterion for criterion in decision.criteria if criterion.kind == kind and part in criterion.name]
    return found


def facet(scored: Scored, name: str, values: list[str | None]) -> Scored:
    return replace(scored, facets={**scored.facets, name: values})


def test_gate_promotes_a_better_model() -> None:
    decision = decide(evidence(BETTER), CHAMPION, CONFIG)
    assert decision.promote
    assert decision.summary.startswith("promoted: better: stance macro-F1 +0.1")
    quality = decision.criteria[0]
    assert (quality.kind, quality.verdict) == ("quality", "pass")
    assert quality.challenger == pytest.approx(0.9, abs=0.02)
    assert quality.champion == pytest.approx(0.8, abs=0.02)


def test_gate_refuses_the_champion_itself() -> None:
    decision = decide(CHAMPION, CHAMPION, CONFIG)
    assert not decision.promote
    assert failed(decision) == {"quality"}
    assert "equal, but not cheaper" in decision.criteria[0].reason


def test_gate_refuses_a_model_that_learned_spoiled_labels() -> None:
    spoiled = answer(ROWS, "stance", np.random.default_rng(0).integers(0, 3, 600))
    decision = decide(evidence(spoiled), CHAMPION, CONFIG)
    assert not decision.promote
    assert {"quality", "slice", "calibration"} <= failed(decision)
    assert decision.summary.startswith("refused: stance macro-F1, unseen")


def test_gate_does_not_take_a_difference_within_the_noise_for_better() -> None:
    two_fewer = with_errors(ROWS, "stance", EVERY_FIFTH[2:], 0.8)
    shifted = with_errors(ROWS, "stance", [*(EVERY_FIFTH[:60] + 1), *EVERY_FIFTH[62:]], 0.8)
    for scored in (two_fewer, shifted):
        decision = decide(evidence(scored), CHAMPION, CONFIG)
        assert decision.criteria[0].challenger > decision.criteria[0].champion
        assert decision.criteria[0].verdict == "fail"


@pytest.mark.parametrize(
    ("size", "seconds", "cheaper"),
    [(1000, 1.0, True), (300, 2.0, True), (300, 2.1, True), (300, 2.5, False), (1500, 1.0, False), (950, 1.95, False)],
)
def test_gate_promotes_an_equal_model_only_when_cheaper(size: int, seconds: float, cheaper: bool) -> None:
    decision = decide(evidence(CHAMPION.scored["unseen"], size=size, seconds=seconds), CHAMPION, CONFIG)
    assert decision.promote is cheaper
    assert ("equal and cheaper" in decision.summary) is cheaper


def test_gate_asks_for_better_where_the_configuration_does() -> None:
    cheap = evidence(CHAMPION.scored["unseen"], seconds=0.5)
    decision = decide(cheap, CHAMPION, CONFIG.model_copy(update={"require_better": True}))
    assert not decision.promote
    assert "better is required" in decision.criteria[0].reason


def test_gate_does_not_call_equal_what_may_be_worse_by_more_than_the_margin() -> None:
    shifted = with_errors(ROWS, "stance", EVERY_FIFTH + 1, 0.8)  # as many errors, on other rows
    decision = decide(evidence(shifted, seconds=0.5), CHAMPION, CONFIG)
    assert "neither better nor shown equal within 0.020" in decision.criteria[0].reason
    assert decide(evidence(shifted, seconds=0.5), CHAMPION, GateConfig(resamples=500, equivalence_margin=0.2)).promote


def test_gate_refuses_a_better_model_that_is_too_slow() -> None:
    decision = decide(evidence(BETTER, seconds=3.1), CHAMPION, CONFIG)
    assert failed(decision) == {"speed"}
    assert find(decision, "speed").limit == pytest.approx(3.0)
    assert decide(evidence(BETTER, seconds=3.0), CHAMPION, CONFIG).promote


def test_gate_leaves_speed_unmeasured_where_a_model_was_not_timed() -> None:
    decision = decide(evidence(BETTER, seconds=None), CHAMPION, CONFIG)
    assert decision.promote
    assert find(decision, "speed").verdict == "not measured"
    same = decide(evidence(CHAMPION.scored["unseen"], seconds=None), CHAMPION, CONFIG)
    assert not same.promote


def test_gate_refuses_a_better_model_that_lost_a_topic() -> None:
    grain = np.array([row for row, topic in enumerate(ROWS.facets["topic"]) if topic == "grain"])
    champion = evidence(with_errors(ROWS, "stance", [row for row in range(0, 600, 2) if row not in grain], 0.8))
    decision = decide(evidence(with_errors(ROWS, "stance", grain[::3], 0.8)), champion, CONFIG)
    assert find(decision, "quality").verdict == "pass"
    assert failed(decision) == {"slice"}
    lost = find(decision, "slice", "stance accuracy, unseen, topic=grain")
    assert (lost.verdict, lost.champion) == ("fail", 1.0)
    assert lost.limit == pytest.approx(0.95)


def small_slice(challenger_errors: int, config: GateConfig = CONFIG) -> Decision:
    """A better model that is worse in a genre of 40 rows, where the champion is right throughout."""
    genres: list[str | None] = ["letter" if 10 <= row < 50 else None for row in range(600)]
    rows = facet(ROWS, "genre", genres)
    champion = with_errors(rows, "stance", np.arange(100, 300), 0.8)
    challenger = with_errors(rows, "stance", np.arange(10, 10 + challenger_errors), 0.95)
    return decide(evidence(challenger), evidence(champion), config)


def test_gate_forgives_what_noise_does_to_a_small_slice() -> None:
    decision = small_slice(3)
    letter = find(decision, "slice", "stance accuracy, unseen, genre=letter")
    assert letter.challenger < letter.limit
    assert letter.verdict == "pass"
    assert "within the noise of 40 units" in letter.reason
    assert decision.promote


def test_gate_does_not_forgive_the_collapse_of_a_small_slice() -> None:
    decision = small_slice(20)
    assert failed(decision) == {"slice"}
    assert find(decision, "slice", "stance accuracy, unseen, genre=letter").verdict == "fail"


def test_gate_noise_level_one_counts_every_fall_beyond_the_margin() -> None:
    strict = CONFIG.model_copy(update={"noise_level": 1.0})
    assert failed(small_slice(3, strict)) == {"slice"}
    assert small_slice(2, strict).promote  # 2 of 40 is the margin itself


@pytest.mark.parametrize("update", [{"min_slice_rows": 41}, {"min_slice_groups": 21}])
def test_gate_does_not_compare_slices_of_too_few_rows_or_groups(update: dict[str, int]) -> None:
    decision = small_slice(20, CONFIG.model_copy(update=update))
    genre = find(decision, "slice", "stance accuracy, unseen, genre")
    assert genre.verdict == "not measured"
    assert "letter (40)" in genre.reason
    assert decision.promote


def test_gate_seldom_sees_a_fall_between_models_that_are_equally_good() -> None:
    refused = noisy = 0
    genres: list[str | None] = [f"genre-{row // 2 % 8}" for row in range(600)]
    rows = facet(ROWS, "genre", genres)
    for seed in range(25):
        generator = np.random.default_rng(seed)
        one, other = (with_errors(rows, "stance", np.flatnonzero(generator.random(600) < 0.15), 0.85) for _ in range(2))
        decision = decide(evidence(one), evidence(other), CONFIG)
        slices = [one for one in decision.criteria if one.kind == "slice" and one.limit is not None]
        noisy += any(one.challenger < one.limit for one in slices)
        refused += "slice" in failed(decision)
    assert noisy >= 12  # the margin alone would refuse about as often as not
    assert refused <= 6


@pytest.mark.parametrize("kind", ["contrast", "invariance"])
def test_gate_refuses_a_better_model_that_lost_its_groups(kind: str) -> None:
    phenomenon, gold = ("negation", [0, 2]) if kind == "contrast" else ("actor-swap", [1, 1])
    rows = replace(ROWS, gold={**ROWS.gold, "stance": np.array([*gold * 60, *ROWS.gold["stance"][120:]])})
    rows = facet(rows, "phenomenon", [phenomenon] * 120 + [None] * 480)
    champion = evidence(with_errors(rows, "stance", np.arange(200, 400), 0.8))
    challenger = evidence(with_errors(rows, "stance", np.arange(0, 30, 2), 0.85))
    decision = decide(challenger, champion, CONFIG)
    lost = find(decision, kind, "stance")
    assert (lost.verdict, lost.champion, lost.challenger) == ("fail", 1.0, 0.75)
    kept = decide(evidence(with_errors(rows, "stance", np.arange(200, 300), 0.8)), champion, CONFIG)
    assert find(kept, kind, "stance").verdict == "pass"


def test_gate_says_that_tests_without_groups_measured_none() -> None:
    decision = decide(evidence(BETTER), CHAMPION, CONFIG)
    assert find(decision, "contrast").verdict == find(decision, "invariance").verdict == "not measured"


def test_gate_refuses_a_better_model_that_is_badly_calibrated() -> None:
    challenger = evidence(with_errors(ROWS, "stance", EVERY_FIFTH[::2], 0.999))
    assert failed(decide(challenger, CHAMPION, CONFIG)) == {"calibration"}
    criterion = find(decide(challenger, CHAMPION, CONFIG), "calibration", "stance")
    assert criterion.challenger > criterion.limit == pytest.approx(criterion.champion + 0.03)
    mended = Evidence(
        challenger.scored,
        replace(challenger.calibration, temperatures={"stance": 2.0, "sentiment": 1.0}),
        challenger.report,
        challenger.cost,
    )
    error = find(decide(mended, CHAMPION, CONFIG), "calibration", "stance").challenger
    assert error < criterion.challenger


def test_gate_refuses_a_better_model_that_lost_the_other_task_or_split() -> None:
    lost = with_errors(BETTER, "sentiment", np.arange(0, 600, 2))
    decision = decide(evidence(lost), evidence(with_errors(CHAMPION.scored["unseen"], "sentiment", [])), CONFIG)
    assert find(decision, "overall", "sentiment").verdict == "fail"
    seen = [evidence(one, split="seen").scored for one in (with_errors(ROWS, "stance", np.arange(300)), ROWS)]
    both = [
        replace(one, scored={**one.scored, **more})
        for one, more in zip((evidence(BETTER), CHAMPION), seen, strict=True)
    ]
    assert find(decide(*both, CONFIG), "overall", "stance macro-F1, seen").verdict == "fail"


def test_gate_refuses_to_compare_models_on_other_rows() -> None:
    with pytest.raises(ValueError, match="not scored on the same rows"):
        decide(evidence(BETTER.select(range(500))), CHAMPION, CONFIG)
    with pytest.raises(ValueError, match="champion was not scored on split 'seen'"):
        decide(replace(CHAMPION, scored={**CHAMPION.scored, "seen": BETTER}), CHAMPION, CONFIG)
    gold = ROWS.gold["stance"].copy()
    gold[0] = (gold[0] + 1) % 3
    with pytest.raises(ValueError, match="another gold label"):
        decide(evidence(replace(BETTER, gold={**ROWS.gold, "stance": gold})), CHAMPION, CONFIG)


def test_gate_does_not_care_about_the_order_of_rows() -> None:
    shuffled = BETTER.select(np.random.default_rng(0).permutation(600))
    one, other = (decide(evidence(scored), CHAMPION, CONFIG) for scored in (BETTER, shuffled))
    assert one.promote == other.promote
    assert one.criteria[0] == other.criteria[0]


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"main_split": "holdout"}, r"gate\.main_split is 'holdout'"),
        ({"main_task": "tone"}, r"gate\.main_task is 'tone'"),
    ],
)
def test_gate_names_the_splits_and_tasks_there_are(update: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decide(CHAMPION, None, CONFIG.model_copy(update=update))


def test_gate_needs_gold_to_decide_by() -> None:
    bare = evidence(replace(ROWS, gold={**ROWS.gold, "stance": np.full(600, -1)}))
    with pytest.raises(ValueError, match="no gold label of 'stance'"):
        decide(bare, None, CONFIG)


def test_gate_promotes_a_first_model_above_its_floors() -> None:
    decision = decide(evidence(with_errors(BETTER, "sentiment", EVERY_FIFTH, 0.8)), None, CONFIG)
    assert decision.promote
    assert {criterion.kind for criterion in decision.criteria} == {"floor", "calibration"}
    assert all(criterion.champion is None for criterion in decision.criteria)
    assert find(decision, "floor", "stance").limit == pytest.approx(1 / 3 + 0.05)


@pytest.mark.parametrize("guess", ["majority", "random"])
def test_gate_refuses_a_first_model_that_guesses(guess: str) -> None:
    gold = np.where(np.arange(600) % 10 < 6, 1, ROWS.gold["stance"])
    rows = replace(ROWS, gold={**ROWS.gold, "stance": gold})
    answers = np.ones(600, dtype=int) if guess == "majority" else np.random.default_rng(1).permutation(gold)
    decision = decide(evidence(answer(rows, "stance", answers, 0.7)), None, CONFIG)
    assert "floor" in failed(decision)


def test_gate_refuses_a_first_model_without_calibration() -> None:
    decision = decide(evidence(with_errors(ROWS, "stance", np.arange(0, 600, 3), 0.999)), None, CONFIG)
    assert failed(decision) == {"calibration"}


def test_gate_configuration_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="max_slice_drops"):
        GateConfig.model_validate({"max_slice_drops": 0.1})
    with pytest.raises(ValidationError, match="max_slowdown"):
        GateConfig(max_slowdown=0.5)
    with pytest.raises(ValidationError, match="frozen"):
        GateConfig().max_slowdown = 2.0
    assert GateConfig().main_task in LABELS
