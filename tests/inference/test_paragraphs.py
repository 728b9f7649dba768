import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.paragraphs import ends_sentence, paragraph_spans

FIRST = (
    "Le gouvernement a prolongé hier de six mois le régime transitoire des licences, qui devait prendre fin au "
    "printemps. La décision, attendue par les fabricants, ne dit rien des pièces déjà en route. Elle paraîtra lundi."
)
SECOND = (
    "Les syndicats demandent un calendrier plus long et des contrôles mieux ciblés, car les petites entreprises ne "
    "disposent pas des juristes qu'il faudrait pour remplir les nouveaux formulaires dans les délais prévus par la loi."
)


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in paragraph_spans(text)]


@pytest.mark.parametrize("gap", ["\n\n", "\r\n\r\n", "\r\r", "\n \t\n", "\n\n\n\n", "\u2028\u2028"])
def test_paragraphs_are_parted_by_blank_lines(gap: str) -> None:
    assert pieces(f"  {FIRST}{gap}{SECOND}\n") == [FIRST, SECOND]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_paragraphs_a_line_each_without_blank_lines(end: str) -> None:
    assert pieces(f"{FIRST}{end}{SECOND}{end}Une ligne brève.") == [FIRST, SECOND, "Une ligne brève."]


@pytest.mark.parametrize("width", [60, 72, 80, 100])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_paragraphs_wrapped_softly_are_one(width: int, end: str) -> None:
    first, second = (end.join(textwrap.wrap(text, width)) for text in (FIRST, SECOND))
    assert pieces(f"{first}{end}{end}{second}") == [first, second]


@pytest.mark.parametrize("width", [64, 72, 80, 100])
def test_paragraphs_wrapped_softly_are_parted_where_a_line_ends_early(width: int) -> None:
    first, second = ("\n".join(textwrap.wrap(text, width)) for text in (FIRST, SECOND))
    assert pieces(f"{first}\n{second}\n{first}") == [first, second, first]


def test_paragraphs_heading_over_wrapped_text_stands_alone() -> None:
    wrapped = "\n".join(textwrap.wrap(FIRST, 70))
    assert pieces(f"Un sursis\n{wrapped}") == ["Un sursis", wrapped]


def test_paragraphs_lines_of_a_list_or_a_dialogue_stay_apart() -> None:
    lines = [
        "- l'acier, qui paiera dix pour cent ;",
        "- le cuivre, qui ne paiera rien ;",
        "— Et le zinc ?",
        "2) plus tard",
    ]
    assert pieces("\n".join(lines)) == lines


@pytest.mark.parametrize("text", ["Fini.", "Fini ?", "Fini…", "« Fini. »", "Fini.)", "Fini.”", "*Fini.*"])
def test_paragraphs_end_of_a_sentence(text: str) -> None:
    assert ends_sentence(text)


@pytest.mark.parametrize("text", ["", "Un titre", "Il a dit :", "3,5 %", "« Un titre »"])
def test_paragraphs_no_end_of_a_sentence(text: str) -> None:
    assert not ends_sentence(text)


@given(st.text(st.sampled_from("aé. \n\r\t\xa0\u2028\u0085\x0b\x0c\x1c«»-A"), max_size=200))
def test_paragraphs_hold_all_that_is_not_blank(text: str) -> None:
    last = 0
    for start, end in paragraph_spans(text):
        assert not text[last:start].strip()
        assert text[start:end] == text[start:end].strip() != ""
        last = end
    assert not text[last:].strip()
