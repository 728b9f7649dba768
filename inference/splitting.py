"""Cutting what is too long for the model, and packing the pieces into the fewest, most equal runs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from inference.paragraphs import Span, trimmed_spans
from inference.sentences import plain_sentence_spans

CountTokens = Callable[[list[str]], list[int]]
Run = tuple[int, int]

#: What a cut costs, in hundredths of the square of the longest run: where runs could be more equal, or cut better.
PARAGRAPH, SENTENCE, QUOTED_SENTENCE, CLAUSE, COMMA = 0, 15, 25, 50, 80
BETWEEN_WORDS, INSIDE_WORD, AFTER_HEADING = 150, 300, 400
WORDS_A_PIECE = 8
#: A character takes at most so many tokens in a vocabulary that falls back on bytes, and one to spare.
TOKENS_A_CHARACTER = 5

_WORD_SIGN = re.compile(r"[^\W_]")
_BLANKS = re.compile(r"\s+")
_CLAUSE_END = re.compile(r"(?<=[;:.!?…»”)])\s|\s(?=[—–«“(])|(?<=[。！？；])")
_COMMA = re.compile(r"(?<=,)\s|(?<=[，、])")
_JOINERS = "\u200d\ufe0e\ufe0f"


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of text that is not cut further: its span, words and tokens, and the cost of a cut after it."""

    start: int
    end: int
    words: int
    tokens: int
    cut_cost: int = PARAGRAPH


def count_words(text: str) -> int:
    """Words of ``text``: runs of signs without a blank that hold a letter or a digit."""
    return sum(1 for run in text.split() if _WORD_SIGN.search(run))


def balanced_runs(units: Sequence[Unit], max_tokens: int, max_words: int) -> list[Run]:
    """Pack units, in order, into runs ``(first, last + 1)`` under both limits (a unit over them makes its own run).

    As few runs as can be; among those, the least sum of squared words and costs of the cuts (dynamic programming).
    """
    runs, costs, starts = [0], [0], [0]  # for each end: how many runs, their cost, where the last one starts
    for end in range(1, len(units) + 1):
        cut = units[end - 1].cut_cost * max_words * max_words if end < len(units) else 0
        words = tokens = 0
        chosen = (len(units) + 1, 0, 0)
        for start in range(end - 1, -1, -1):
            words += units[start].words
            tokens += units[start].tokens
            if start < end - 1 and (words > max_words or tokens > max_tokens):
                break
            if runs[start] < chosen[0]:
                option = (runs[start] + 1, costs[start] + 100 * words * words + cut, start)
                if option < chosen:
                    chosen = option
        runs.append(chosen[0])
        costs.append(chosen[1])
        starts.append(chosen[2])
    packed: list[Run] = []
    end = len(units)
    while end:
        packed.append((starts[end], end))
        end = starts[end]
    return packed[::-1]


def cut_to_fit(text: str, unit: Unit, count_tokens: CountTokens, max_tokens: int, max_words: int) -> list[Unit]:
    """Cut a unit that is over a limit into units that are not, by the mildest cuts that do.

    Inner sentences, clauses, commas, blanks and characters are tried in turn. Only a single character may stay over.
    """
    pieces = [unit]
    for split, cost in _LEVELS:
        if all(_fits(piece, max_tokens, max_words) for piece in pieces):
            break
        finer: list[Unit] = []
        for piece in pieces:
            if _fits(piece, max_tokens, max_words):
                finer.append(piece)
            else:
                spans = split(text, (piece.start, piece.end), max_tokens)
                finer += _as_units(text, spans, count_tokens, cost, piece.cut_cost)
        pieces = finer
    return pieces


def measured(text: str, spans: Iterable[Span], count_tokens: CountTokens) -> list[Unit]:
    """Spans as units, counted in one go."""
    spans = list(spans)
    contents = [text[start:end] for start, end in spans]
    counts = count_tokens(contents)
    return [
        Unit(start, end, count_words(content), tokens)
        for (start, end), content, tokens in zip(spans, contents, counts, strict=True)
    ]


def _as_units(text: str, spans: Iterable[Span], count_tokens: CountTokens, cost: int, last_cost: int) -> list[Unit]:
    units = [replace(unit, cut_cost=cost) for unit in measured(text, spans, count_tokens)]
    units[-1] = replace(units[-1], cut_cost=last_cost)
    return units


def _fits(unit: Unit, max_tokens: int, max_words: int) -> bool:
    return unit.tokens <= max_tokens and unit.words <= max_words


def _at_quoted_sentences(text: str, span: Span, _: int) -> list[Span]:
    start, end = span
    return [(start + left, start + right) for left, right in plain_sentence_spans(text[start:end])]


def _at_clauses(text: str, span: Span, _: int) -> list[Span]:
    return _at(_CLAUSE_END, text, span)


def _at_commas(text: str, span: Span, _: int) -> list[Span]:
    return _at(_COMMA, text, span)


def _at_some_blanks(text: str, span: Span, _: int) -> list[Span]:
    words = _at(_BLANKS, text, span)
    return [
        (words[first][0], words[min(first + WORDS_A_PIECE, len(words)) - 1][1])
        for first in range(0, len(words), WORDS_A_PIECE)
    ]


def _at_blanks(text: str, span: Span, _: int) -> list[Span]:
    return _at(_BLANKS, text, span)


def _at_characters(text: str, span: Span, max_tokens: int) -> list[Span]:
    """Slices that hold as many characters as always fit, cut where no sign is parted from what combines with it."""
    start, end = span
    step = max(1, max_tokens // TOKENS_A_CHARACTER)
    spans: list[Span] = []
    while start < end:
        cut = min(start + step, end)
        while cut < end and cut > start + step // 2 + 1 and _combines(text, cut):
            cut -= 1
        spans.append((start, cut))
        start = cut
    return spans


def _at_each_character(_: str, span: Span, __: int) -> list[Span]:
    return [(position, position + 1) for position in range(*span)]


def _combines(text: str, cut: int) -> bool:
    return unicodedata.category(text[cut]).startswith("M") or text[cut] in _JOINERS or text[cut - 1] in _JOINERS


def _at(pattern: re.Pattern[str], text: str, span: Span) -> list[Span]:
    """The pieces between the matches of ``pattern``, which matches blanks or nothing; blanks at their ends go."""
    start, end = span
    cuts = [match.end() for match in pattern.finditer(text, start, end)]
    return trimmed_spans(text, start, cuts, end)


_LEVELS: tuple[tuple[Callable[[str, Span, int], list[Span]], int], ...] = (
    (_at_quoted_sentences, QUOTED_SENTENCE),
    (_at_clauses, CLAUSE),
    (_at_commas, COMMA),
    (_at_some_blanks, BETWEEN_WORDS),
    (_at_blanks, BETWEEN_WORDS),
    (_at_characters, INSIDE_WORD),
    (_at_each_character, INSIDE_WORD),
)
