"""Dates as French sources write them, to ISO."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime

_MONTHS = (
    ("janvier", "janv", "jan"),
    ("fevrier", "fevr", "fev"),
    ("mars",),
    ("avril", "avr"),
    ("mai",),
    ("juin",),
    ("juillet", "juil"),
    ("aout",),
    ("septembre", "sept"),
    ("octobre", "oct"),
    ("novembre", "nov"),
    ("decembre", "dec"),
)
_MONTH_NUMBER = {name: number for number, names in enumerate(_MONTHS, start=1) for name in names}
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ].*)?", re.DOTALL)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_FRENCH = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?: .*)?", re.DOTALL)
_LONG = re.compile(
    r"(?:le )?(?:(?:lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche),? )?(?:le )?"
    r"(\d{1,2})(?:er)? ([a-z]+)\.? (\d{4})(?:,? (?:a )?\d.*)?",
    re.DOTALL,
)


def parse_date(value: object) -> str | None:
    """A date as yyyy-mm-dd, or None where it is not understood.

    Understood: date and datetime objects; ``2026-03-12`` with or without a time, ``2026/03/12``, ``20260312``;
    ``12/03/2026`` (day first, as in French), ``12.03.2026``; ``12 mars 2026``, ``jeudi 1er janv. 2026``. A time zone
    is not applied: the date is the one that was written.
    """
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        return None
    text = " ".join(value.split())
    if match := _ISO.fullmatch(text) or _COMPACT.fullmatch(text):
        year, month, day = match.groups()
        return _iso(year, month, day)
    if match := _FRENCH.fullmatch(text):
        day, month, year = match.groups()
        return _iso(year, month, day)
    plain = "".join(sign for sign in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(sign))
    if (match := _LONG.fullmatch(plain)) and match[2] in _MONTH_NUMBER:
        return _iso(match[3], str(_MONTH_NUMBER[match[2]]), match[1])
    return None


def _iso(year: str, month: str, day: str) -> str | None:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None
