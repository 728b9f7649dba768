"""Sentences of French text, as cuts that cannot lose a character.

The boundaries come from ``sentencex`` (Wikimedia; quotation marks, lists, decimals, ellipses). It knows few French
abbreviations and cuts after initials, so boundaries after those are taken back here. Only positions are taken
from it, and each is checked; should it fail, a plain rule over final punctuation stands in.
"""

from __future__ import annotations

import re

from inference.paragraphs import Span, trimmed_spans

#: The splitter's time is quadratic over unclosed quotation marks: it is given at most so many characters.
WINDOW = 20_000

_BLANK = re.compile(r"\s")
_PLAIN_END = re.compile(r"(?<![.!?…])[.!?…]+[»”\"’)\]\s]*(?<=\s)(?=[^\W_]|[«“\"(\[—–-])")
_CLOSING = re.compile(r"[\s»”’)\]\}.,;:!?…]*")

_ALWAYS = (
    r"M|MM|Mme|Mmes|Mlle|Mlles|Mr|Mgr|Me|Dr|Drs|Pr|Prof|St|Ste|Sté|cf|Cf|p\.\s*ex|av|bd|boul|éd|env|c\.-à-d|vs|resp"
)
_BEFORE_NUMBER = (
    r"art\.\s*[LRDA]|art|Art|al|p|pp|vol|chap|fig|no|nos|n|n°|s|t|l|réf|tél|h|min|arr"
    r"|janv|févr|avr|juil|sept|oct|nov|déc"
)
_ABBREVIATION = re.compile(rf"(?:^|[\s(«“\"'’\[])(?:{_ALWAYS})\.\s*\Z")
_NUMBERED = re.compile(rf"(?:^|[\s(«“\"'’\[\d])(?:{_BEFORE_NUMBER})\.\s*\Z")
_NUMBER = re.compile(r"\d|[IVXLC]+\b(?!['’])|[LRD]\.?\s?\d")
_INITIAL = re.compile(r"(?:^|[\s(«“\"'’\[.-])[A-ZÀ-ÖØ-Þ]\.\s*\Z")
_NAME = re.compile(r"-?[A-ZÀ-ÖØ-Þ]")
_STARTER = re.compile(
    r"(?:Les?|La|Il|Ils|Elles?|On|Nous|Vous|Je|Tu|Un|Une|Des?|Du|Au|Aux|En|Et|Ou|Mais|Or|Car|Donc|Ce|Cet|Cette|Ces|Cela"
    r"|Ceci|Son|Sa|Ses|Leurs?|Notre|Nos|Qui|Que|Quand|Si|Pour|Par|Dans|Sur|Avec|Sans|Selon|Ainsi|Après|Avant|À|Puis)\b|[LDJCNSMTQ]['’]"
)
_LIST_NUMBER = re.compile(r"(?:^|\s)\(?(?:\d{1,3}|[a-z]|[ivx]{1,4})[.)]\s*\Z")
_WORD = re.compile(r"[^\W_]")
_LOOK_BACK = 24


def sentence_spans(text: str) -> list[Span]:
    """The sentences of ``text`` as ``(start, end)``, in order, without blanks at their ends; all else is blank."""
    return trimmed_spans(text, 0, _kept(text, _cuts(text)), len(text))


def plain_sentence_spans(text: str) -> list[Span]:
    """Sentences by their final punctuation alone, also inside quotation marks; same promise as sentence_spans."""
    return trimmed_spans(text, 0, _kept(text, [match.end() for match in _PLAIN_END.finditer(text)]), len(text))


def _cuts(text: str) -> list[int]:
    """Where sentences may end, by sentencex, window by window."""
    plain = _BLANK.sub(" ", text)  # one for one; line ends inside a paragraph mean nothing
    cuts: list[int] = []
    start = 0
    while start < len(plain):
        end = min(start + WINDOW, len(plain))
        if end < len(plain):
            blank = plain.rfind(" ", start + WINDOW // 2, end)
            end = blank + 1 if blank >= 0 else end
        found = _boundaries(plain[start:end])
        cuts += [start + cut for cut in found if 0 < cut < end - start]
        if end == len(plain):
            break
        # The window's end is no boundary: go on from its last sentence, if that leaves room to advance.
        start = cuts[-1] if cuts and cuts[-1] > start else end
    return cuts


def _boundaries(text: str) -> list[int]:
    import sentencex

    try:
        ends = [int(found["end_index"]) for found in sentencex.get_sentence_boundaries("fr", text)]
    except BaseException as error:
        # A panic of the Rust code is no Exception and its class cannot be imported.
        if type(error).__name__ not in ("PanicException", "UnicodeEncodeError"):
            raise
        ends = [match.end() for match in _PLAIN_END.finditer(text)]
    return sorted(set(ends))


def _kept(text: str, cuts: list[int]) -> list[int]:
    """The cuts that part sentences, each moved behind the marks that close its sentence."""
    kept: list[int] = []
    seen = 0
    worded = False
    for proposed in cuts:
        closing = _CLOSING.match(text, proposed)
        cut = closing.end() if closing else proposed
        worded = worded or _WORD.search(text, seen, cut) is not None
        seen = max(seen, cut)
        left = text[max(kept[-1] if kept else 0, cut - _LOOK_BACK) : cut]
        if worded and not _belongs_together(left, text[cut : cut + _LOOK_BACK].lstrip()):
            kept.append(cut)
            worded = False
    if kept and not _WORD.search(text, kept[-1]):
        kept.pop()
    return kept


def _belongs_together(left: str, right: str) -> bool:
    """Whether a cut between ``left`` and ``right`` would go through a sentence."""
    if not right or right[0].islower():
        return True
    if _ABBREVIATION.search(left) or _LIST_NUMBER.fullmatch(left):
        return True
    if _NUMBERED.search(left) and _NUMBER.match(right):
        return True
    return bool(_INITIAL.search(left) and _NAME.match(right) and not _STARTER.match(right))
