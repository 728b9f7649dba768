"""Who acts, swapped: countries with their people and capitals, ministries, chambers and firms, in correct French.

A country takes another's place only where every form in the passage fits as it stands: same gender, number and initial
of the name (so that articles, prepositions and agreements hold), an adjective with the same endings in the places it
can stand for. One country keeps one substitute through the passage; no substitute is named there already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from numpy.random import Generator

from training.countries import COUNTRIES, Country

#: The share of the actors of a passage that are swapped.
SWAPPED = 0.8

_VOWELS = frozenset("aàâeéèêiîïoôuœ")


#: Names that may take one another's place: bare names of firms by trade, then what a ministry or a house is called.
FIRMS: tuple[tuple[str, ...], ...] = (
    ("Nvidia", "Qualcomm", "Micron", "Broadcom", "Intel", "AMD"),
    ("ASML", "Nikon", "Canon", "Tokyo Electron", "Lam Research", "Applied Materials"),
    ("Huawei", "ZTE", "Ericsson", "Nokia", "Samsung"),
    ("Volkswagen", "Toyota", "Renault", "Stellantis", "BYD", "Hyundai", "Ford"),
    ("TikTok", "WeChat", "Temu", "Shein", "AliExpress"),
    ("ArcelorMittal", "Thyssenkrupp", "Tata Steel", "Nippon Steel", "Posco"),
)
ALL_FIRMS = tuple(name for trade in FIRMS for name in trade)
PORTFOLIOS = ("du Commerce", "de l'Économie", "de l'Industrie", "des Finances", "du Budget", "du Trésor")
CHAMBERS = ("Sénat", "Congrès", "Parlement")

# Names that hold a country's name without meaning the country, and pacts that are named after their town.
_FIXED = re.compile(
    r"(?i:\bmers? de chine|corée du nord|nord-coréen|sud-coréen|océan indien|chine (?:continentale|populaire)|"
    r"suisse (?:romande|alémanique)|amérique|made in)|"
    r"(?i:\b(?:accords?|conventions?|traités?|pactes?|protocoles?|cycles?|consensus|déclarations?|processus|"
    r"mémorandums?|arrangements?|clubs?|états?) (?:de |d['’]))(?=[A-ZÉ])"
)
_TAIL = re.compile(r"-| [A-ZÉÈÎ]\w| d(?:u |e l['’])(?:Sud|Nord|Est|Ouest)\b")
_HEAD = re.compile(r"([A-ZÉÈÎÀÔ][\w&-]*) (?:(?:de|du|des|of|de la) |d['’]|de l['’])?$|-$")
# Words that a capital letter may begin without their being part of a name.
_OPENING_WORDS = (
    "La Le Les Un Une Des Du De Au Aux En À Pour Par Selon Contre Chez Entre Si Mais Et Ou Avec Depuis Vers Sur Sous "
    "Quand Que Ni Comme Sans Dans Face Or Dès Lorsque Pendant Hors Tant Outre Ainsi Hier Malgré Après Avant Car Donc "
    "Ici Devant Derrière Jusque Puisque Quant Loin Près Cette Ce Notre Votre Seule Seul Même Toute Tout"
)
_OPENINGS = frozenset(_OPENING_WORDS.split())
_BEFORE_INITIAL = re.compile(r"(?i)(?:\b(?:le|la|de|du|au|ce|que|ne|se|jusque|lorsque|puisque)\s|['’])$")
_MASCULINE = re.compile(r"(?i)\b(?:le|un|du|au|ce)\s$")
_PIECE = re.compile(r"\w+")
_ELIDED = re.compile(r"(?i)(?<![^\W\d_])(d|qu|jusqu|lorsqu|puisqu)['’]$")
_WHOLE = re.compile(r"(?i)(?<![^\W\d_])(d|qu|jusqu|lorsqu|puisqu)e\s$")


@dataclass(frozen=True, slots=True)
class Mention:
    """Where a country is named: as the country (0), its people or adjective (1) or its capital (2)."""

    start: int
    end: int
    role: int
    country: Country


def vowel_initial(name: str) -> bool:
    """Whether the name asks for an elision. An initial h counts as aspirated: all those of the lists are."""
    return name[0].lower() in _VOWELS


@cache
def _forms_to_country() -> Mapping[str, tuple[int, Country]]:
    found: dict[str, tuple[int, Country]] = {}
    for country in COUNTRIES:
        for form in country.forms:
            found[form] = found[form[0].upper() + form[1:]] = (1, country)
        if country.capital is not None:
            found[country.capital] = (2, country)
    # Last: « Suisse » is the country before it is one of its people.
    return found | {name: (0, country) for country in COUNTRIES for name in country.names}


_ALL_FORMS = tuple(_forms_to_country())


@cache
def _by_first_word(names: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(names, key=len, reverse=True):
        found.setdefault(_PIECE.match(name).group(), []).append(name)  # type: ignore[union-attr]  # no name is empty
    return found


def occurrences(text: str, names: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """(start, end, name) of each name of the list that stands as a word of its own, the longest where two begin alike.

    By a table of first words: an alternation of hundreds of names would cost ten times as much.
    """
    table = _by_first_word(names)
    found: list[tuple[int, int, str]] = []
    for piece in _PIECE.finditer(text):
        start = piece.start()
        if piece.group() not in table or (found and start < found[-1][1]) or text[max(0, start - 1) : start] == "-":
            continue
        for name in table[piece.group()]:
            end = start + len(name)
            if text.startswith(name, start) and not text[end : end + 1].isalnum():
                found.append((start, end, name))
                break
    return found


def mentions(text: str) -> list[Mention]:
    """Every mention of a country of the list, in reading order, longest names first."""
    forms = _forms_to_country()
    return [Mention(start, end, *forms[name]) for start, end, name in occurrences(text, _ALL_FORMS)]


def fits(text: str, mention: Mention, target: Country) -> bool:
    """Whether the target can be named in the mention's place with nothing around it to change but an elision."""
    written = text[mention.start : mention.end]
    before = text[max(0, mention.start - 12) : mention.start]
    source = mention.country
    if mention.role == 2:
        return target.capital is not None
    if mention.role == 0:
        if source.kind == "f" and _MASCULINE.search(before):
            return False  # « le Suisse Novartis »
        # « de Taïwan » and « d'Oman » are mended after; « la Chine » and « l'Inde » are not one another's.
        same_initial = vowel_initial(written) == vowel_initial(target.names[0])
        return source.kind == target.kind and (source.kind == "bare" or same_initial)
    places = [place for place, form in enumerate(source.forms) if form == written.lower()]
    if len({target.forms[place] for place in places}) > 1:
        return False
    new = target.forms[places[0]]
    return vowel_initial(written) == vowel_initial(new) or not _BEFORE_INITIAL.search(before)


def swap_countries(text: str, rng: Generator) -> str:
    """Most countries of the passage swapped, each with its people and its capital, as far as the grammar allows."""
    # A pact or a sea named after a place keeps its name, and then so do all places of the passage.
    if _FIXED.search(text):
        return text
    by_country: dict[Country, list[Mention]] = {}
    for mention in mentions(text):
        by_country.setdefault(mention.country, []).append(mention)
    taken = set(by_country)
    edits: list[tuple[int, int, str]] = []
    for named in by_country.values():
        if rng.random() >= SWAPPED or any(_part_of_a_name(text, mention) for mention in named):
            continue
        free = [one for one in COUNTRIES if one not in taken and all(fits(text, mention, one) for mention in named)]
        if free:
            target = free[int(rng.integers(len(free)))]
            taken.add(target)
            edits += [(mention.start, mention.end, _rendered(text, mention, target)) for mention in named]
    return replace_names(text, sorted(edits))


def _part_of_a_name(text: str, mention: Mention) -> bool:
    """« Banque de France », « Air France », « Chine-Europe », « Washington Post »: no country to swap."""
    before, after = text[max(0, mention.start - 40) : mention.start], text[mention.end : mention.end + 12]
    if mention.role == 1:
        return after.startswith("-")
    head = _HEAD.search(before)
    return bool(_TAIL.match(after)) or (head is not None and head.group(1) not in _OPENINGS)


def _rendered(text: str, mention: Mention, target: Country) -> str:
    written = text[mention.start : mention.end]
    if mention.role == 0:
        return target.names[0]
    if mention.role == 2:
        return str(target.capital)
    new = next(target.forms[place] for place, form in enumerate(mention.country.forms) if form == written.lower())
    return new[0].upper() + new[1:] if written[0].isupper() else new


def replace_names(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """The text with (start, end, new name) edits done, and the elision before each mended: d'Oslo, de Tokyo."""
    parts: list[str] = []
    last = 0
    for start, end, new in edits:
        before = text[last:start]
        if vowel_initial(new) and not vowel_initial(text[start:end]):
            before = _WHOLE.sub(r"\1'", before)
        elif vowel_initial(text[start:end]) and not vowel_initial(new):
            before = _ELIDED.sub(r"\1e ", before)
        parts += [before, new]
        last = end
    return "".join([*parts, text[last:]])


def swap_firms(text: str, rng: Generator) -> str:
    """Every firm of the lists for another of its trade, one for one, elisions mended."""
    found = occurrences(text, ALL_FIRMS)
    fixed = {name for _, end, name in found if _TAIL.match(text, end)}  # « Samsung Electronics »
    present = {name for _, _, name in found}
    substitute: dict[str, str] = {}
    for trade in FIRMS:
        others = [name for name in trade if name not in present]
        free = [name for name in trade if name in present - fixed]
        # More names than substitutes: some stay.
        substitute |= zip(free, (others[int(place)] for place in rng.permutation(len(others))), strict=False)
    return replace_names(text, [(start, end, substitute.get(name, name)) for start, end, name in found])


_PORTFOLIO = re.compile(
    r"(\b(?:[Mm]inistères?|[Mm]inistre|[Dd]épartement|[Ss]ecrétaire|[Ss]ecrétariat)(?: [^\W\d_]+)? )"
    r"(du Commerce|de l['’]Économie|de l['’]Industrie|des Finances|du Budget|du Trésor)(?! extérieur\b|(?:,| et) d)"
)
_CHAMBER = re.compile(
    r"(?<![\w-])(Sénat|Congrès|Parlement)(?! (?:européen|des?|du|populaire|national|mondial|unioniste)\b|[\w-])"
)


def swap_institutions(text: str, rng: Generator) -> str:
    """Economic ministries and chambers for one another; all of them are masculine or named by their whole article."""
    portfolio = _shuffled(PORTFOLIOS, rng)
    text = _PORTFOLIO.sub(lambda found: found.group(1) + portfolio[found.group(2).replace("’", "'")], text)
    chamber = _shuffled(CHAMBERS, rng)
    return text if "Parlement européen" in text else _CHAMBER.sub(lambda found: chamber[found.group(1)], text)


def _shuffled(names: Sequence[str], rng: Generator) -> dict[str, str]:
    return {name: names[int(place)] for name, place in zip(names, rng.permutation(len(names)), strict=True)}


def swap_actors(text: str, rng: Generator) -> str:
    """Countries, firms and institutions of a passage swapped for others."""
    return swap_institutions(swap_firms(swap_countries(text, rng), rng), rng)
