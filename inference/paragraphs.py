"""Paragraphs of a plain text: blank lines part them, soft line ends do not.

A line end that is not a blank line is *soft* when the text was wrapped there: the lines of its block are at most
WIDEST long, and the first word of the next line would not have fitted, or the line is long and stops in the middle of
a sentence. Any other line end parts two paragraphs, as in articles with a paragraph a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

Span = tuple[int, int]

#: Lines are wrapped at 60 to 100 columns; a little play on both sides.
NARROWEST = 50
WIDEST = 110
_LONG_SHARE = 0.75

_LINE_END = re.compile(r"\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_FIRST_WORD = re.compile(r"\S+")
_SENTENCE_END = re.compile(r"[.!?…。！？][\s»”’\"')\]*_]*\Z")
_ITEM_START = re.compile(r"(?:[-–—•*·▪‣]|\d{1,3}[.)])\s")


def ends_sentence(text: str) -> bool:
    """Whether ``text`` ends as a sentence does: a full stop, a mark or an ellipsis, and what closes after it."""
    return _SENTENCE_END.search(text, max(0, len(text) - 20)) is not None


def paragraph_spans(text: str) -> list[Span]:
    """The paragraphs of ``text`` as ``(start, end)``, in order, without blanks at their ends; all else is blank."""
    spans: list[Span] = []
    for block in _blocks(text):
        widest = max(end - start for start, end in block)
        open_start = block[0][0]
        for (start, end), (next_start, next_end) in pairwise(block):
            if not _is_soft(text[start:end], text[next_start:next_end], widest):
                spans.append((open_start, end))
                open_start = next_start
        spans.append((open_start, block[-1][1]))
    return spans


def trimmed_spans(text: str, start: int, cuts: Iterable[int], end: int) -> list[Span]:
    """The pieces of ``text[start:end]`` between ``cuts``, without blanks at their ends; blank pieces are left out."""
    spans: list[Span] = []
    for left, right in pairwise((start, *cuts, end)):
        piece = text[left:right]
        if stripped := piece.strip():
            first = left + len(piece) - len(piece.lstrip())
            spans.append((first, first + len(stripped)))
    return spans


def _blocks(text: str) -> list[list[Span]]:
    """Runs of lines without a blank line between them; lines are trimmed spans."""
    blocks: list[list[Span]] = [[]]
    start = 0
    for end in [*(match.end() for match in _LINE_END.finditer(text)), len(text)]:
        line = trimmed_spans(text, start, (), end)
        if line:
            blocks[-1] += line
        elif blocks[-1]:
            blocks.append([])
        start = end
    return [block for block in blocks if block]


def _is_soft(line: str, following: str, widest: int) -> bool:
    """Whether the text runs on from ``line`` to ``following``, in a block whose widest line is ``widest`` long."""
    if _ITEM_START.match(following):
        return False
    runs_on = not ends_sentence(line)
    if runs_on and following[0].islower():
        return True
    if not NARROWEST <= widest <= WIDEST:
        return False
    word = _FIRST_WORD.match(following)
    fits = len(line) + 1 + (len(word[0]) if word else 0) <= widest
    return not fits or (runs_on and len(line) >= _LONG_SHARE * widest)
