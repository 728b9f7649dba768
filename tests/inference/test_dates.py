from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.dates import parse_date


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-12",
        "2026-3-12",
        "2026-03-12T08:30:00+01:00",
        "2026-03-12 08:30",
        "2026/03/12",
        "20260312",
        "12/03/2026",
        "12.03.2026",
        "12-03-2026 à 8 h",
        "12 mars 2026",
        "12 MARS 2026",
        " le 12\xa0mars 2026 ",
        "jeudi 12 mars 2026",
        "Jeudi, le 12 mars 2026",
        "12 mars 2026, 8 h 30",
        date(2026, 3, 12),
        datetime(2026, 3, 12, 8, 30, tzinfo=UTC),
    ],
)
def test_dates_are_understood(written: object) -> None:
    assert parse_date(written) == "2026-03-12"


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("1er août 2025", "2025-08-01"),
        ("1er aout 2025", "2025-08-01"),
        ("3 févr. 2025", "2025-02-03"),
        ("25 déc. 2024", "2024-12-25"),
        ("30 sept 2024", "2024-09-30"),
        ("vendredi 4 juil. 2025", "2025-07-04"),
    ],
)
def test_dates_french_months_and_short_forms(written: str, iso: str) -> None:
    assert parse_date(written) == iso


@pytest.mark.parametrize(
    "written",
    [
        "",
        "hier",
        "mars 2026",
        "2026",
        "31/02/2026",
        "12/13/2026",
        "2026-13-01",
        "12 brumaire 2026",
        20260312,
        None,
        ["2026-03-12"],
    ],
)
def test_dates_that_are_not_understood_are_none(written: object) -> None:
    assert parse_date(written) is None


@given(st.dates())
def test_dates_iso_round_trip(day: date) -> None:
    assert parse_date(day.isoformat()) == day.isoformat()
    assert parse_date(f"{day.day:02}/{day.month:02}/{day.year:04}") == day.isoformat()


@given(st.text())
def test_dates_any_text_gives_iso_or_none(written: str) -> None:
    found = parse_date(written)
    assert found is None or date.fromisoformat(found).isoformat() == found
