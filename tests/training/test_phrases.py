from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from training.corpus import Example
from training.phrases import LEAST, ngrams, opening, overused, phrase_findings

GROUPS = st.lists(st.lists(st.lists(st.sampled_from("abc"), max_size=12), min_size=1, max_size=3), max_size=8)


@given(GROUPS, st.integers(1, 5))
def test_phrases_overused_counts_groups_not_rows(groups: list[list[list[str]]], least: int) -> None:
    counts = Counter(phrase for group in groups for phrase in {phrase for words in group for phrase in ngrams(words)})
    found = overused(groups, ngrams, least)
    assert dict(found) == {phrase: count for phrase, count in counts.items() if count >= least}
    assert [count for _, count in found] == sorted(dict(found).values(), reverse=True)


def test_phrases_opening_is_the_first_three_words() -> None:
    assert list(opening(["il", "y", "a", "peu"])) == ["il y a"]
    assert list(opening(["il", "y"])) == []


def test_phrases_ngrams_are_every_run_of_six_words() -> None:
    assert list(ngrams(list("abcdefgh"))) == ["a b c d e f", "b c d e f g", "c d e f g h"]
    assert list(ngrams(list("abcde"))) == []


def rows(openings: int, groups: int) -> list[Example]:
    names = [f"{letter}{other}" for letter in "bcdfgl" for other in ("adou", "ivet", "orel", "umin")]
    texts = [f"{'À vrai dire' if n < openings else f'{name} pense'} que {name} hésite." for n, name in enumerate(names)]
    return [Example(f"r{n}", text, None, f"g{n % groups}", "train", {}, {}) for n, text in enumerate(texts)]


def test_phrases_findings_name_the_phrase_and_its_groups() -> None:
    (finding,), numbers = phrase_findings(rows(openings=LEAST, groups=24))
    assert (finding.severity, finding.code) == ("warn", "overused-opening")
    assert finding.where == (f"a vrai dire × {LEAST}",)
    assert numbers["opening"] == {"from_groups": LEAST, "overused": [["a vrai dire", LEAST]], "count": 1}


def test_phrases_repeated_inside_few_groups_are_no_finding() -> None:
    findings, _ = phrase_findings(rows(openings=20, groups=LEAST - 1))
    assert findings == []
