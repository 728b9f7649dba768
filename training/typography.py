"""Typography as it varies between newsrooms, feeds and hasty hands: accents, quotes, capitals, spaces, slips, slugs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from numpy.random import Generator

from training.figures import MONTHS

_LIGATURES = str.maketrans({"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE"})
_WORD = re.compile(r"[^\W\d_]+")
_QUOTED = (re.compile(r"«\s*([^«»]*?)\s*»"), re.compile(r"“\s*([^“”]*?)\s*”"), re.compile(r'"\s*([^"]*?)\s*"'))
_QUOTES = ("« {} »", "«\u00a0{}\u00a0»", "“{}”", '"{}"')
_SENTENCE = re.compile(r"[^.!?]*[.!?]?")

#: A slip in one of these could change what is said: stems, folded, of what restricts, eases, judges, negates or
#: reverses. Words under seven letters are never touched, so the short negations need no entry.
_STEMS = (
    "abandon absurd abrog accelerer accept accus adouc affaibl aggrav alleg appel approuv appuy assoupl attenu aucun "
    "augment autoris avantag baiss bannir banniss barrier benefi bloc bloqu boulevers censur cesser "
    "chaqu condamn conserv contest contin contre control coupabl critiqu danger dissua durc echec effet "
    "effica elarg embargo empech encourag enfrein entrav entretien erreur etend etouff etrangl evit exclu "
    "exempt exig exten facilit faveur favor ferm frein gagn garant gel gener hausse heureu ignor jamais "
    "justif leve liber licenc limit maint manqu meille menac mesur necess negati neutr nuis obstacl offens opportun "
    "oppos ouvert ouvr pena permett permis perte pourtant preserv press profit prohib prolong protec "
    "proteg punir quota rassur riposte risqu rouvr salu sanction satisf sauv secur serrer sever soulag "
    "souten soutien suffi supprim surtax suspen tarif tolera toujours verrou victoir vigil"
)
_GUARDED = tuple(_STEMS.split())

_CITIES = (
    "PARIS", "BRUXELLES", "GENÈVE", "BERLIN", "LONDRES", "WASHINGTON", "PÉKIN", "TOKYO", "ROME", "MADRID", "STRASBOURG",
    "LYON", "MARSEILLE", "SÉOUL", "OTTAWA", "LUXEMBOURG",
)  # fmt: skip
_SLUGS = (
    "{city} – ",
    "{city} — ",
    "{city} (Agences) – ",
    "{city}, {date} – ",
    "({city}) ",
    "[Dépêche] ",
    "Actualisé : ",
)


def fold_accents(text: str) -> str:
    """The text without its accents, cedillas and ligatures; nothing else changes."""
    parted = unicodedata.normalize("NFD", text.translate(_LIGATURES))
    return unicodedata.normalize("NFC", "".join(mark for mark in parted if not unicodedata.combining(mark)))


def drop_accents(text: str, rng: Generator) -> str:
    """Accents dropped everywhere, or as typewriters did on capitals alone."""
    if rng.random() < 0.6:
        return fold_accents(text)
    return "".join(fold_accents(mark) if mark.isupper() else mark for mark in text)


def swap_apostrophes(text: str, rng: Generator) -> str:
    """Curly apostrophes made straight, straight ones curly, or an apostrophe lost to a space."""
    if rng.random() < 0.1:
        return re.sub(r"(?<=[^\W\d_])['’](?=[^\W\d_])", " ", text)
    return text.replace("’", "'") if "’" in text else text.replace("'", "’")


def swap_quotes(text: str, rng: Generator) -> str:
    """Every pair of quotation marks in another style, one style for the whole text; unpaired marks stay."""
    style = _QUOTES[int(rng.integers(len(_QUOTES)))]
    # Quotes inside quotes would fall into one style and close too early.
    if sum(1 for pattern in _QUOTED if pattern.search(text)) > 1:
        return text
    for pattern in _QUOTED:
        text = pattern.sub(lambda found: style.format(found.group(1)), text)
    return text


def vary_capitals(text: str, rng: Generator) -> str:
    """Opening words or a sentence in capitals, a few words so, a title's capitals, or no capitals at all."""
    draw = rng.random()
    if draw < 0.25:
        return text.lower()
    if draw < 0.45:
        return _SENTENCE.sub(lambda found: found.group().upper(), text, count=1)
    words = list(_WORD.finditer(text))
    if not words:
        return text
    if draw < 0.75:
        end = words[min(len(words), int(rng.integers(2, 9))) - 1].end()
        opening = text[:end].upper()
        return (fold_accents(opening) if rng.random() < 0.5 else opening) + text[end:]
    chosen = {int(place) for place in rng.integers(len(words), size=1 + len(words) // 15)}
    shape: Callable[[str], str] = str.upper if draw < 0.88 else str.capitalize
    return _edit(text, [(*word.span(), shape(word.group())) for place, word in enumerate(words) if place in chosen])


def vary_spaces(text: str, rng: Generator) -> str:
    """Unbreakable spaces before high punctuation, none at all, or spaces that wandered round commas and stops."""
    draw = rng.random()
    if draw < 0.3:
        return re.sub(r" (?=[;:!?»%€$])|(?<=«) ", "\u00a0" if rng.random() < 0.5 else "\u202f", text)
    if draw < 0.6:
        return re.sub(r"\s(?=[;:!?»%€$])|(?<=«)\s", "", text)
    if draw < 0.75:
        return re.sub(r"(?<=[^\W\d_])(?=,)", lambda _: " " if rng.random() < 0.6 else "", text)
    if draw < 0.9:
        return re.sub(r"(?<=[^\W\d_][.,]) (?=[^\W\d_])", lambda _: "" if rng.random() < 0.4 else " ", text)
    return re.sub(r"(?<=[^\W\d_]{4}) (?=[^\W\d_]{4})", lambda _: "  " if rng.random() < 0.1 else " ", text)


def vary_marks(text: str, rng: Generator) -> str:
    """Dashes and dots in another shape, a last stop lost, ligatures undone, hyphens of compounds lost."""
    dash = ("—", "–", "-")[int(rng.integers(3))]
    text = re.sub(r"(?<=\s)[—–](?=\s)", dash, text)
    text = text.replace("…", "...") if rng.random() < 0.5 else text.replace("...", "…")
    if rng.random() < 0.4:
        text = text.translate(_LIGATURES)
    if rng.random() < 0.3:
        text = text.rstrip().removesuffix(".")
    if rng.random() < 0.3:
        # « libre-échange », not « dit-il » nor « non-respect »: both halves long.
        text = re.sub(r"(?<=[^\W\d_]{5})-(?=[^\W\d_]{5})", " ", text)
    return text


def slip(text: str, rng: Generator) -> str:
    """One to three slips of the hand inside long words that carry neither negation nor judgement."""
    words = [word for word in _WORD.finditer(text) if len(word.group()) > 6 and not is_guarded(word.group())]
    if not words:
        return text
    places = sorted({int(place) for place in rng.integers(len(words), size=int(rng.integers(1, 4)))})
    return _edit(text, [(*words[place].span(), _slipped(words[place].group(), rng)) for place in places])


def add_slug(text: str, rng: Generator) -> str:
    """An agency's place line before the text."""
    city = _CITIES[int(rng.integers(len(_CITIES)))]
    date = f"{int(rng.integers(2, 29))} {MONTHS[int(rng.integers(12))]}"
    return _SLUGS[int(rng.integers(len(_SLUGS)))].format(city=city, date=date) + text


def is_guarded(word: str) -> bool:
    """Whether a slip in the word could change what it says."""
    folded = fold_accents(word.lower())
    # A negating or reversing prefix is one letter away from its contrary.
    return folded.startswith(("de", "in", "im", "ir", "il", "anti", "non", "mal", "re", *_GUARDED))


EDITS: dict[str, tuple[float, Callable[[str, Generator], str]]] = {
    "marks": (0.2, vary_marks),
    "quotes": (0.4, swap_quotes),
    "spaces": (0.35, vary_spaces),
    "slips": (0.25, slip),
    "capitals": (0.3, vary_capitals),
    "accents": (0.4, drop_accents),
    "apostrophes": (0.4, swap_apostrophes),
    "slug": (0.12, add_slug),
}


def vary_typography(text: str, rng: Generator) -> str:
    """Several of the edits at once, each by its own share; at least one is tried."""
    names = [name for name, (share, _) in EDITS.items() if rng.random() < share]
    for name in names or [list(EDITS)[int(rng.integers(len(EDITS)))]]:
        text = EDITS[name][1](text, rng)
    return text


def _slipped(word: str, rng: Generator) -> str:
    place = int(rng.integers(2, len(word) - 2))
    draw = rng.random()
    if draw < 0.4:
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    if draw < 0.7:
        return word[:place] + word[place + 1 :]
    return word[:place] + word[place] + word[place:]


def _edit(text: str, edits: list[tuple[int, int, str]]) -> str:
    """The text with (start, end, new) edits done; they are sorted and do not overlap."""
    parts, last = [], 0
    for start, end, new in edits:
        parts += [text[last:start], new]
        last = end
    return "".join([*parts, text[last:]])
