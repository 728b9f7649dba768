"""Figures and dates drawn anew: amounts, percentages, years, months, days, weekdays, deadlines.

A passage keeps its order and its arithmetic: all amounts move by one factor, all years, months and days by one shift.
What looks like a name (H100, article 5, règlement 2021/821, les 27) stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from numpy.random import Generator

MONTHS = (
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
)
_LONGEST = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
WEEKDAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi")
#: Spelled deadlines, a ladder for each unit: a passage moves up or down it as a whole.
LADDERS: dict[str, tuple[str, ...]] = {
    "jours": ("dix", "quinze", "vingt", "trente", "quarante-cinq", "soixante", "quatre-vingt-dix", "cent vingt"),
    "semaines": ("deux", "trois", "quatre", "cinq", "six", "huit", "dix", "douze"),
    "mois": ("deux", "trois", "quatre", "cinq", "six", "huit", "neuf", "dix", "douze", "quinze", "dix-huit"),
    "ans": ("deux", "trois", "quatre", "cinq", "six", "sept", "huit", "dix", "douze", "quinze", "vingt"),
}

_MONTH = re.compile(
    r"(?:(?<![\w,.])(?P<day>[12]?\d|3[01]|1er) )?(?P<of>\bd['’]|\bde )?\b(?P<month>" + "|".join(MONTHS) + r")\b(?!-)"
)
_WEEKDAY = re.compile(r"\b(" + "|".join(WEEKDAYS) + r")(s?)\b")
_YEAR = re.compile(r"(?<![\w/.,-])(?:19[5-9]\d|20[0-4]\d)(?![\w/-]|[.,]\d| ?[%€]| \d{3})")
# « Vision 2030 », « section 301 », « n° 12 »: a number that is part of a name.
_NAMED = re.compile(
    r"(?:\b[A-ZÉ][\w&-]*|\b(?i:articles?|art\.|sections?|annexes?|chapitres?|règlements?|directives?|résolutions?|"
    r"décrets?|lois?|titres?|lots?|paquets?|alinéas?|numéros?|codes?|positions?|catégories?|normes?)|n[°ᵒo]s?)\s?$"
)
_OPENINGS = re.compile(
    r"\b(?:En|Depuis|Fin|Début|Dès|Courant|Mi|Vers|Sur|De|À|Entre|Avant|Après|Pour|Les?|Plus|Environ|Près|Quelque|"
    r"Ces|Des|Pendant|Avec|Sous|Et|Ni|Soit|Dans|Contre|Aux?|Seuls?|Seules|Janvier|Février|Mars|Avril|Mai|Juin|Juillet|"
    r"Août|Septembre|Octobre|Novembre|Décembre|Printemps|Été|Automne|Hiver)\s$"
)
_NUMBER = re.compile(r"(?<![\w,./°-])\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:,\d+)?|(?<![\w,./°-])\d+(?:,\d+)?")
# « 12 % », and the 9 of « de 9 à 12 % ».
_SHARE = re.compile(r"(?:\s(?:à|et|ou|contre|puis)\s\d+(?:,\d+)?)?\s?(?:%|pour ?cent\b|points?\b)")
_STAYS_BEFORE = re.compile(
    r"\s?(?:h\b|heures?|nm\b|nanomètres?|microns?|GHz|ans\b|États|Etats|pays|membres|°|"
    + "|".join(MONTHS)
    + r")|er\b|[eè]me|e\b|[-/]|[A-Za-z]"
)
_SPELLED = re.compile(
    r"(?<![\w-])("
    + "|".join(sorted({word for ladder in LADDERS.values() for word in ladder}, key=len, reverse=True))
    + r") ("
    + "|".join(LADDERS)
    + r")\b"
)


def shift_months(text: str, rng: Generator) -> str:
    """Months moved round the year by one shift, and days of the month by another, as far as every day exists."""
    found = list(_MONTH.finditer(text))
    # « mars » is a planet and « mai » a revolt; a month without day, preposition or year beside it is left alone.
    if not found:
        return text
    places = [MONTHS.index(one["month"]) for one in found]
    days = [int(one["day"]) if one["day"] and one["day"] != "1er" else None for one in found]
    months, turn = int(rng.integers(1, 12)), int(rng.integers(-9, 10))
    new_days = [None if day is None else day + turn for day in days]
    if any(day is not None and not 2 <= day <= 28 for day in new_days):
        new_days = days
    if any(
        day is not None and day > _LONGEST[(place + months) % 12] for place, day in zip(places, new_days, strict=True)
    ):
        return text
    parts: list[str] = []
    last = 0
    for one, place, day in zip(found, places, new_days, strict=True):
        month = MONTHS[(place + months) % 12]
        written_day = "" if not one["day"] else f"{one['day'] if day is None else day} "
        link = "" if not one["of"] else ("d'" if month[0] in "ao" else "de ")
        parts += [text[last : one.start()], written_day, link, month]
        last = one.end()
    return "".join([*parts, text[last:]])


def shift_weekdays(text: str, rng: Generator) -> str:
    """Working days moved round the week by one shift."""
    turn = int(rng.integers(1, len(WEEKDAYS)))
    return _WEEKDAY.sub(lambda found: WEEKDAYS[(WEEKDAYS.index(found[1]) + turn) % len(WEEKDAYS)] + found[2], text)


def shift_years(text: str, rng: Generator) -> str:
    """All years moved by one to three years, none where one of them is part of a name."""
    turn = int(rng.integers(1, 4)) * (1 if rng.random() < 0.5 else -1)
    if any(_is_named(text, found.start()) for found in _YEAR.finditer(text)):
        return text
    return _YEAR.sub(lambda found: str(int(found.group()) + turn), text)


def shift_deadlines(text: str, rng: Generator) -> str:
    """Spelled durations moved up or down their ladder by one shift, none where one would fall off."""
    turn = int(rng.integers(-3, 4))
    places = [(LADDERS[found[2]], found[1]) for found in _SPELLED.finditer(text)]
    if any(word not in ladder or not 0 <= ladder.index(word) + turn < len(ladder) for ladder, word in places):
        return text
    return _SPELLED.sub(lambda found: f"{LADDERS[found[2]][LADDERS[found[2]].index(found[1]) + turn]} {found[2]}", text)


def scale_amounts(text: str, rng: Generator) -> str:
    """All amounts times one factor, percentages times another, as round and as many-digited as they were.

    Order is kept, equal figures stay equal and different ones different; else the text stays as it is.
    """
    found = [one for one in _NUMBER.finditer(text) if _is_amount(text, one)]
    kinds = [bool(_SHARE.match(text, one.end())) for one in found]
    new: dict[int, str] = {}
    for kind in (True, False):
        factor = float(rng.uniform(0.55, 1.75))
        chosen = [one for one, is_share in zip(found, kinds, strict=True) if is_share is kind]
        scaled = scaled_figures([one.group() for one in chosen], factor, 99.0 if kind else float("inf"))
        new |= {one.start(): figure for one, figure in zip(chosen, scaled, strict=True)}
    parts: list[str] = []
    last = 0
    for one in found:
        parts += [text[last : one.start()], new[one.start()]]
        last = one.end()
    return "".join([*parts, text[last:]])


def scaled_figures(figures: Sequence[str], factor: float, most: float) -> list[str]:
    """French figures times ``factor``; as they are where order, number agreement or the bound ``most`` would break."""
    values = [_value(figure) for figure in figures]
    scaled = [_written(value * factor, figure) for value, figure in zip(values, figures, strict=True)]
    new = [_value(figure) for figure in scaled]
    pairs = sorted(zip(values, new, strict=True))
    in_order = all((a == b) == (x == y) and x <= y for (a, x), (b, y) in pairwise(pairs))
    # « 1,5 million », « 2,5 millions »: the plural begins at two.
    agree = all((old < 2) == (value < 2) and 0 < value <= most for old, value in pairs)
    return scaled if in_order and agree else list(figures)


def redraw_figures(text: str, rng: Generator) -> str:
    """Every kind of figure of the passage drawn anew, each kind with its own draw."""
    for shift in (scale_amounts, shift_deadlines, shift_months, shift_weekdays, shift_years):
        text = shift(text, rng)
    return text


def _value(figure: str) -> float:
    return float(re.sub(r"\s", "", figure).replace(",", "."))


def _written(value: float, model: str) -> str:
    """The value with the decimals, the trailing zeros and the separator of thousands of the model."""
    whole, comma, decimals = model.partition(",")
    if comma:
        return f"{value:.{len(decimals)}f}".replace(".", ",")
    digits = re.sub(r"\s", "", whole)
    zeros = len(digits) - len(digits.rstrip("0"))
    # « 100 » may become 140, not only 100 or 200: a round number keeps two digits that count.
    round_to = 10 ** max(0, min(zeros, len(str(int(value))) - 2))
    written = str(round(value / round_to) * round_to)
    separator = re.search(r"\s", whole)
    if separator is None and len(digits) > 3:
        return written
    head = len(written) % 3 or 3
    thousands = [written[:head], *(written[place : place + 3] for place in range(head, len(written), 3))]
    return (separator.group() if separator else " ").join(thousands)


def _is_named(text: str, start: int) -> bool:
    before = text[max(0, start - 24) : start]
    return bool(_NAMED.search(before)) and not _OPENINGS.search(before)


def _is_amount(text: str, found: re.Match[str]) -> bool:
    if _YEAR.match(text, found.start()) or _value(found.group()) in (0.0, 1.0, 27.0, 100.0):
        return False
    if _value(found.group()) <= 31 and text[max(0, found.start() - 3) : found.start()].lower() in ("le ", "au ", "du "):
        return False  # « le 21 », a day
    return not _is_named(text, found.start()) and not _STAYS_BEFORE.match(text, found.end())
