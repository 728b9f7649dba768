from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import TaskConfig
from training.corpus import Example
from training.giveaways import (
    MIN_CUE_ROWS,
    drawn,
    evidence_of,
    giveaway_findings,
    leaning,
    length_cues,
    opening_cues,
    present_cues,
    punctuation_cues,
    word_cues,
)

TASKS = {"avis": TaskConfig(labels=["contre", "pour"])}


def example(number: int, text: str = "Le quai.", group: str | None = None, gold: int = 0, genre: str = "x") -> Example:
    return Example(f"r{number}", text, None, group or f"r{number}", "train", {"avis": gold}, {"genre": genre})


def corpus(telling: bool, groups: int = 150) -> list[Example]:
    """Texts that say nothing; the genre tells the label in nine rows of ten, or never."""
    random = np.random.default_rng(3)
    rows = []
    for number in range(groups):
        gold = number % 2
        told = gold if random.random() < 0.9 else 1 - gold
        genre = "tribune" if (told if telling else random.integers(2)) else "dépêche"
        words = random.choice(["port", "quai", "grue", "silo", "phare", "bac"], 8)
        rows.append(example(number, " ".join(words), gold=gold, genre=genre))
    return rows


def test_giveaways_a_telling_genre_is_a_warning_with_its_values() -> None:
    (finding,), numbers = giveaway_findings(corpus(telling=True), TASKS, ["genre"])
    assert (finding.severity, finding.code) == ("warn", "giveaway")
    assert finding.what.startswith("genre alone gives avis away")
    assert {place.rpartition(" ")[0] for place in finding.where} == {"tribune → pour", "dépêche → contre"}
    assert numbers["avis"]["evidence"]["genre"]["macro_f1"] > 0.85
    assert numbers["avis"]["majority"] == pytest.approx(1 / 3)


def test_giveaways_of_nothing_stay_near_chance() -> None:
    findings, numbers = giveaway_findings(corpus(telling=False), TASKS, ["genre"])
    assert findings == []
    evidence = numbers["avis"]["evidence"]
    assert set(evidence) == {"genre", "first words", "words (TF-IDF)"}  # length and punctuation are the same everywhere
    assert all(cue["macro_f1"] < cue["alarm"] for cue in evidence.values())


def test_giveaways_look_across_groups_only() -> None:
    """A word that stands for one story alone tells its label within the story, and nothing beyond it."""
    rows = [
        example(number, f"silo {chr(97 + story % 26)}{chr(97 + story // 26)}x", group=f"g{story}", gold=story % 2)
        for story in range(120)
        for number in range(story * 3, story * 3 + 3)
    ]
    _, numbers = giveaway_findings(rows, TASKS, [])
    assert numbers["avis"]["evidence"]["words (TF-IDF)"]["macro_f1"] < 0.65


@pytest.mark.parametrize(("groups", "gold"), [(99, None), (150, 1)], ids=["few groups", "one label"])
def test_giveaways_of_too_little_are_untold(groups: int, gold: int | None) -> None:
    rows = corpus(telling=True, groups=groups)
    if gold is not None:
        rows = [replace(row, gold={"avis": gold}) for row in rows]
    (finding,), numbers = giveaway_findings(rows, TASKS, ["genre"])
    assert (finding.severity, finding.code) == ("info", "giveaway-untold")
    assert numbers == {}


def test_giveaways_ignore_rows_without_a_label() -> None:
    unlabelled = [example(1000 + number, gold=-1, genre="tribune") for number in range(30)]
    assert giveaway_findings(corpus(telling=True) + unlabelled, TASKS, ["genre"])[1]["avis"]["rows"] == 150


def test_giveaways_cues_say_what_is_there() -> None:
    text = "« Non », dit-elle en 2031 ! Non, non."
    assert set(punctuation_cues([example(0, text)])[0]) == {
        "2 × ,", "1 × .", "1 × !", "2 × \"", "1 × -", "4+ × digits",
    }  # fmt: skip
    assert opening_cues([["non", "dit", "elle"], ["non"], []]) == [["« non … »", "« non dit … »"], ["« non … »"], []]
    assert word_cues([["non", "dit", "elle"]]) == [["non", "dit", "elle", "non dit", "dit elle"]]


@given(st.lists(st.integers(0, 80), min_size=1, max_size=60))
def test_giveaways_lengths_in_one_band_are_neighbours(lengths: list[int]) -> None:
    bands = [cues[0] for cues in length_cues([["mot"] * length for length in lengths])]
    ordered = [band for _, band in sorted(zip(lengths, bands, strict=True))]
    changes = sum(one != other for one, other in pairwise(ordered))
    assert changes == len(set(bands)) - 1
    assert all(bands[lengths.index(length)] == band for length, band in zip(lengths, bands, strict=True))


def test_giveaways_evidence_that_never_varies_is_left_out() -> None:
    rows = [example(number, "Le quai attend.") for number in range(10)]
    assert evidence_of(rows, ["genre"]) == {}


def test_giveaways_leaning_cues_are_common_enough_and_named_with_their_share() -> None:
    cues = [["rare"]] * (MIN_CUE_ROWS - 1) + [["commun"]] * 40 + [["autre"]] * 60
    gold = np.array([1] * (MIN_CUE_ROWS - 1) + [1] * 30 + [0] * 10 + [0] * 60)
    counts, names = present_cues(cues)
    found = leaning(counts, names, gold, ["contre", "pour"])
    assert {(lean["cue"], lean["label"], lean["rows"], lean["share"]) for lean in found} == {
        ("commun", "pour", 40, 0.75),
        ("autre", "contre", 60, 1.0),
    }


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=40), st.integers(1, 40))
def test_giveaways_rows_are_drawn_by_whole_groups(groups: list[str], limit: int) -> None:
    rows = [example(number, group=group) for number, group in enumerate(groups)]
    kept = drawn(rows, limit)
    assert len(kept) <= limit
    taken = {row.group for row in kept}
    assert kept == [row for row in rows if row.group in taken]
    assert kept == drawn(rows, limit)
