import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.splitting import (
    AFTER_HEADING,
    PARAGRAPH,
    SENTENCE,
    Unit,
    balanced_runs,
    count_words,
    cut_to_fit,
    measured,
)


def count_tokens(texts: list[str]) -> list[int]:
    """Tokens as a small vocabulary would have it: pieces of four letters, single signs, and two special tokens."""
    return [len(re.findall(r"\w{1,4}|[^\w\s]", text)) + 2 for text in texts]


def units(*words: int, cost: int = SENTENCE) -> list[Unit]:
    return [Unit(10 * index, 10 * index + 9, count, count + 2, cost) for index, count in enumerate(words)]


def test_splitting_counts_words_and_not_marks() -> None:
    assert count_words("« Pourquoi pas ? », dit-il — 3,5 % de l'acier.") == 6


def test_splitting_runs_are_few_and_equal() -> None:
    assert balanced_runs(units(40, 40, 40, 40), 512, 150) == [(0, 2), (2, 4)]
    assert balanced_runs(units(50, 50, 50), 512, 150) == [(0, 3)]
    assert balanced_runs(units(100, 30, 30, 30), 512, 150) == [(0, 1), (1, 4)]


def test_splitting_runs_keep_the_limit_of_tokens() -> None:
    assert balanced_runs(units(40, 40, 40, 40), 90, 1000) == [(0, 2), (2, 4)]


def test_splitting_runs_prefer_the_end_of_a_paragraph() -> None:
    assert balanced_runs(units(40, 50, 40, 60), 512, 150) == [(0, 2), (2, 4)]
    two_paragraphs = [*units(40, 50), *units(40, cost=PARAGRAPH), *units(60)]
    assert balanced_runs(two_paragraphs, 512, 150) == [(0, 3), (3, 4)]


def test_splitting_runs_do_not_end_in_a_heading() -> None:
    headed = [*units(60, 10), *units(5, cost=AFTER_HEADING), *units(60, 30)]
    assert balanced_runs(headed, 512, 150) == [(0, 2), (2, 5)]


def test_splitting_a_unit_over_the_limit_makes_its_own_run() -> None:
    assert balanced_runs(units(10, 900, 10), 512, 150) == [(0, 1), (1, 2), (2, 3)]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=40), st.integers(60, 150))
def test_splitting_runs_are_as_few_as_greedy_packing(words: list[int], limit: int) -> None:
    packed = balanced_runs(units(*words), 10_000, limit)
    assert [row for first, end in packed for row in range(first, end)] == list(range(len(words)))
    assert all(sum(words[first:end]) <= limit for first, end in packed)
    greedy, room = 1, limit
    for count in words:
        if count > room:
            greedy, room = greedy + 1, limit
        room -= count
    assert len(packed) == greedy


def cut(text: str, max_tokens: int, max_words: int) -> list[str]:
    (whole,) = measured(text, [(0, len(text))], count_tokens)
    return [text[unit.start : unit.end] for unit in cut_to_fit(text, whole, count_tokens, max_tokens, max_words)]


def test_splitting_cuts_a_long_quotation_at_its_sentences() -> None:
    assert cut("« L'acier paiera. Le cuivre aussi. »", 40, 4) == ["« L'acier paiera.", "Le cuivre aussi. »"]


def test_splitting_cuts_a_long_sentence_at_clauses_before_commas() -> None:
    text = "l'acier, qui paie ; le cuivre, qui ne paie pas ; le zinc"
    assert cut(text, 60, 6) == ["l'acier, qui paie ;", "le cuivre, qui ne paie pas ;", "le zinc"]
    assert cut(text, 60, 4) == ["l'acier, qui paie ;", "le cuivre,", "qui ne paie pas ;", "le zinc"]


def test_splitting_cuts_between_words_before_inside_them() -> None:
    assert cut("un deux trois quatre cinq", 9, 2) == ["un", "deux", "trois", "quatre", "cinq"]
    assert "".join(cut("anticonstitutionnellement", 8, 10)) == "anticonstitutionnellement"


def test_splitting_keeps_accents_with_their_letters() -> None:
    text = "e\u0301" * 40
    assert all(piece.startswith("e") for piece in cut(text, 12, 10))


def test_splitting_leaves_alone_a_character_that_cannot_be_cut() -> None:
    (whole,) = measured("漢", [(0, 1)], lambda texts: [99 for _ in texts])
    assert cut_to_fit("漢", whole, lambda texts: [99 for _ in texts], 8, 10) == [whole]


@pytest.mark.parametrize("max_tokens", [8, 30])
@given(text=st.text(min_size=1, max_size=200).map(str.strip).filter(bool))
def test_splitting_cuts_until_all_fits_and_loses_nothing(max_tokens: int, text: str) -> None:
    pieces = cut(text, max_tokens, 5)
    assert "".join("".join(piece.split()) for piece in pieces) == "".join(text.split())
    assert all(tokens <= max_tokens for tokens in count_tokens(pieces))
    assert all(count_words(piece) <= 5 for piece in pieces)
