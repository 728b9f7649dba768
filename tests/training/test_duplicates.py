from __future__ import annotations

from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.training.small_corpus import passage
from training.corpus import Example
from training.duplicates import (
    NEAR,
    SHINGLE,
    Pair,
    by_text,
    conflicting,
    copy_findings,
    fold,
    leaks,
    near_copies,
    shingles_of,
    similarity,
    words_of,
)

#: Latin letters with their accents, and the signs of French typography.
TEXTS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x17F) | st.sampled_from("’«»“”–—…œŒ\u202f\u200b"), max_size=60
)
SPACES = st.lists(st.sampled_from(" \t\n\u00a0\u202f"), min_size=1, max_size=3).map("".join)
SENTENCE = "L'usine « Verdot » relance ses fours — deux sur cinq — malgré l'embargo : « c'est peu », dit-elle."


def example(identity: str, text: str, split: str = "train", group: str | None = None, stance: int = 0) -> Example:
    return Example(identity, text, None, group or identity, split, {"stance": stance}, {})


@given(TEXTS)
def test_duplicates_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.lists(SPACES, min_size=20, max_size=20))
def test_duplicates_folding_forgets_white_space_case_and_typography(spaces: list[str]) -> None:
    words = SENTENCE.split()
    spaced = "".join(word + space for word, space in zip(words, spaces, strict=False))
    typed = spaced.replace("'", "’").replace("«", "“").replace("»", "”").replace("—", "–")
    assert fold(typed.upper()) == fold(SENTENCE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Faut-il lever l'embargo ?", "Faut-il lever l'embargo."),
        ("Ils lèvent la taxe.", "Ils levent la taxe."),
        ("Il a menacé la filière.", "Il n'a menacé la filière."),
        ("Une hausse de 5 %.", "Une hausse de 15 %."),
    ],
)
def test_duplicates_folding_keeps_what_is_said(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(TEXTS)
def test_duplicates_words_are_the_same_for_all_that_folds_alike(text: str) -> None:
    assert words_of(fold(text)) == words_of(text)


def test_duplicates_words_have_neither_case_nor_accents() -> None:
    assert words_of("L’Œuvre, où s'é\u00adtend le câble") == ["l", "oeuvre", "ou", "s", "etend", "le", "cable"]


SHINGLES = st.frozensets(st.integers(0, 30))


@given(SHINGLES, SHINGLES)
def test_duplicates_similarity_is_symmetric_between_0_and_1(one: frozenset[int], other: frozenset[int]) -> None:
    assert similarity(one, other) == similarity(other, one)
    assert 0 <= similarity(one, other) <= 1
    assert similarity(one, one) == 1
    assert (similarity(one, other) == 1) == (one == other)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30))
def test_duplicates_shingles_are_at_most_one_a_run(words: list[str]) -> None:
    assert 1 <= len(shingles_of(words)) <= max(1, len(words) - SHINGLE + 1)


@given(st.integers(0, 10_000), st.data())
def test_duplicates_one_changed_word_is_a_near_copy(seed: int, data: st.DataObject) -> None:
    words = passage(Random(seed)).split()
    place = data.draw(st.integers(0, len(words) - 1))
    changed = " ".join([*words[:place], "Zanzibar", *words[place + 1 :]])
    rows = [example("a", " ".join(words)), example("b", changed, "test")]
    (pair,) = near_copies(by_text(rows))
    assert pair.name == "a (train) ~ b (test)"
    assert NEAR <= pair.similarity < 1


@given(st.integers(0, 10_000))
def test_duplicates_near_copies_are_those_that_the_shingles_show(seed: int) -> None:
    random = Random(seed)
    texts = [passage(random) for _ in range(4)]
    for text in texts[:3]:
        words = text.split()
        for place in random.sample(range(len(words)), random.choice([2, 4, 9])):
            words[place] = random.choice(["Zanzibar", "Ouagadougou", "hier"])
        texts.append(" ".join(words))
    rows = [example(str(number), text) for number, text in enumerate(texts)]
    assume(len(by_text(rows)) == len(rows))
    shingles = [shingles_of(words_of(text)) for text in texts]
    alike = {
        (one, other): similarity(shingles[one], shingles[other]) for other in range(len(rows)) for one in range(other)
    }
    found = {(int(pair.first.id), int(pair.second.id)) for pair in near_copies(by_text(rows))}
    assert found <= {pair for pair, value in alike.items() if value >= NEAR}
    assert found >= {pair for pair, value in alike.items() if value >= 0.8}


@pytest.mark.parametrize(
    ("group", "split", "text_pair", "expected"),
    [("g", "train", None, 0), ("g", "test", None, 1), ("h", "train", None, 1), ("h", "train", "Question ?", 0)],
    ids=["same group", "group over two splits", "two groups", "another pair"],
)
def test_duplicates_near_copies_are_meant_inside_a_group(
    group: str, split: str, text_pair: str | None, expected: int
) -> None:
    words = passage(Random(1)).split()
    first = example("a", " ".join(words), "train", "g")
    second = Example("b", " ".join([*words[:9], "durcit", *words[10:]]), text_pair, group, split, {"stance": 1}, {})
    assert len(list(near_copies(by_text([first, second])))) == expected


def test_duplicates_of_another_pair_are_no_copies() -> None:
    rows = [
        Example(
            "a", "Oui, et sans attendre la fin de cette année.", "Faut-il rouvrir ?", "a", "train", {"stance": 0}, {}
        ),
        Example(
            "b", "Oui, et sans attendre la fin de cette année.", "Faut-il fermer ?", "b", "test", {"stance": 2}, {}
        ),
    ]
    findings, counts = copy_findings(rows, {"test"})
    assert findings == []
    assert set(counts.values()) == {0}


def test_duplicates_short_texts_alike_are_a_warning() -> None:
    rows = [example("a", "Je ne sais pas."), example("b", "je ne sais pas .", "test", stance=1)]
    findings, _ = copy_findings(rows, {"test"})
    assert {(finding.severity, finding.code) for finding in findings} == {
        ("warn", "copy-leak"),
        ("warn", "label-conflict"),
    }


def test_duplicates_name_each_copy_once_however_many_there_are() -> None:
    text = "Le port de Verdot attend toujours ses trois grues neuves depuis mars."
    rows = [example(f"a{number}", text) for number in range(5)] + [
        example(f"t{number}", text, "test") for number in range(3)
    ]
    findings, counts = copy_findings(rows, {"test"})
    assert {finding.code: len(finding.where) for finding in findings} == {"copy-leak": 3, "copy": 6}
    assert counts["copy-leak"] == 3


def test_duplicates_rows_without_a_label_conflict_with_none() -> None:
    rows = [example("a", "x", stance=-1), example("b", "x", stance=2)]
    assert conflicting(rows) == []
    assert conflicting([*rows, example("c", "x", stance=0)]) == ["stance"]


@pytest.mark.parametrize(
    ("first", "second", "leak"),
    [
        ("train", "test", True),
        ("unseen", "validation", True),
        ("train", "validation", False),
        ("test", "unseen", False),
    ],
)
def test_duplicates_leak_between_seen_and_test_splits_alone(first: str, second: str, leak: bool) -> None:
    assert leaks(Pair(example("a", "x", first), example("b", "x", second), 1.0), {"test", "unseen"}) is leak
