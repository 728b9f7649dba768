"""The words of the report: two languages with the same phrases, numbers and dates as each writes them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from inference.report_wording import LANGUAGES, TEMPLATES, Wording, read_phrases, share, signed


def test_report_phrases_are_all_there_in_both_languages() -> None:
    french, english = (read_phrases()[lang] for lang in LANGUAGES)
    assert french.pop("singular") != english.pop("singular")
    assert french.keys() == english.keys()

    def shape(phrase: Any) -> Any:
        return [shape(form) for form in phrase] if isinstance(phrase, list) else sorted(re.findall(r"\{\w+\}", phrase))

    assert {key: shape(phrase) for key, phrase in french.items()} == {
        key: shape(phrase) for key, phrase in english.items()
    }


def test_report_uses_every_phrase() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for path in [*TEMPLATES.glob("report*.j2"), TEMPLATES / "report.js"]
    )
    made = (
        "label.",
        "meaning.",
        "task.",
        "split.",
        "metric.",
        "fact.",
        "flag.",
        "figure.",
        "theme.",
        "limit.",
        "topics",
        "sources",
    )
    plain = {"decimal", "thousands", "percent", "singular", "first", "months"}
    unused = [
        key
        for key in read_phrases()["fr"]
        if not key.startswith(made) and key not in plain and f'"{key}"' not in sources
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("code", "french", "english"),
    [
        ("c1234567", "1\u202f234\u202f567", "1,234,567"),
        (signed(-0.125), "−0,12", "−0.12"),
        (signed(-0.001), "0,00", "0.00"),
        (share(1, 3), "33\u202f%", "33%"),
        (share(1, 900), "<1\u202f%", "<1%"),
        (share(899, 900), ">99\u202f%", ">99%"),
        (share(0, 0), "0\u202f%", "0%"),
        ("d2026-03-01", "1er mars 2026", "1 March 2026"),
        ("d2026-08", "août 2026", "August 2026"),
        ("d2026", "2026", "2026"),
        ("b-0.20,+0.40", "−0,20 … +0,40", "−0.20 … +0.40"),
        ("klabel.mixed", "partagé", "mixed"),
        ("s{n} 1.5", "{n} 1.5", "{n} 1.5"),
    ],
)
def test_report_writes_numbers_and_dates_as_each_language_does(code: str, french: str, english: str) -> None:
    assert [Wording(lang, read_phrases()).written(code) for lang in LANGUAGES] == [french, english]


def test_report_phrase_takes_the_form_of_its_number() -> None:
    french, english = (Wording(lang, read_phrases()) for lang in LANGUAGES)
    assert [french.phrase("n.articles", n=f"c{n}") for n in (0, 1, 2)] == ["0 article", "1 article", "2 articles"]
    assert [english.phrase("n.articles", n=f"c{n}") for n in (0, 1, 2)] == ["0 articles", "1 article", "2 articles"]
