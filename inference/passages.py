"""Passages: the pieces of an article that are scored, with exact character offsets.

Paragraphs come first. A heading or a one-liner goes with what follows it, a paragraph within the limits is a passage,
and a longer one is cut at sentence ends into the fewest runs, as equal as can be. Only a sentence that is itself over
a limit is cut inside: at its clauses, then between words, then between characters. Nothing is ever dropped:
``text[start:end] == passage.text``, every character that is not blank lies in exactly one passage, and no passage is
over the model's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from inference.paragraphs import Span, ends_sentence, paragraph_spans
from inference.sentences import sentence_spans
from inference.splitting import (
    AFTER_HEADING,
    PARAGRAPH,
    SENTENCE,
    CountTokens,
    Unit,
    balanced_runs,
    count_words,
    cut_to_fit,
    measured,
)

#: A paragraph without final punctuation is a heading up to so many times ``min_words``; longer, it is a paragraph.
HEADING_FACTOR = 3
#: Under this a model could not take a single character with its special tokens.
FEWEST_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of an article: ``text == article[start:end]``; ``n_tokens`` counts all of it, special tokens included.

    ``truncated_tokens`` is how many of them are beyond the model's length and will not be read: 0 unless the passage
    was taken whole.
    """

    index: int
    start: int
    end: int
    text: str
    n_tokens: int
    truncated_tokens: int


def whole_passage(text: str, count_tokens: CountTokens, max_tokens: int) -> Passage:
    """All of ``text`` but the blanks at its ends, unsplit; what the model will not read is told as truncated_tokens.

    Raises ValueError for a blank text.
    """
    stripped = text.strip()
    if not stripped:
        raise ValueError("a passage cannot be blank")
    start = len(text) - len(text.lstrip())
    n_tokens = count_tokens([stripped])[0]
    return Passage(0, start, start + len(stripped), stripped, n_tokens, max(0, n_tokens - max_tokens))


def split_article(
    text: str, count_tokens: CountTokens, max_tokens: int, *, max_words: int = 150, min_words: int = 12
) -> list[Passage]:
    """Split an article into passages of at most ``max_tokens`` tokens and ``max_words`` words, in order.

    ``count_tokens`` gives the tokens of each text of a list, special tokens included. Paragraphs of fewer than
    ``min_words`` words, and headings, go with what follows them, or at the end with what precedes. A blank text has
    no passages. Raises ValueError where a limit leaves no room for a word.
    """
    if max_tokens < FEWEST_TOKENS or max_words < 1:
        raise ValueError(f"max_tokens must be {FEWEST_TOKENS} or more and max_words positive")
    groups = _groups(text, paragraph_spans(text), min_words)
    counts = count_tokens([text[group[0][0] : group[-1][1]] for group in groups])
    limits = (max_tokens, max_words)
    spans: list[Span] = []
    for group, tokens in zip(groups, counts, strict=True):
        whole = (group[0][0], group[-1][1])
        if tokens <= max_tokens and count_words(text[slice(*whole)]) <= max_words:
            spans.append(whole)
        else:
            spans += _split_group(text, group, count_tokens, limits, min_words)
    units = _fitted(text, measured(text, spans, count_tokens), count_tokens, limits)
    return [
        Passage(index, unit.start, unit.end, text[unit.start : unit.end], unit.tokens, max(0, unit.tokens - max_tokens))
        for index, unit in enumerate(units)
    ]


def _groups(text: str, paragraphs: Sequence[Span], min_words: int) -> list[list[Span]]:
    """Paragraphs that belong together: each with the headings and one-liners before it."""
    groups: list[list[Span]] = []
    waiting: list[Span] = []
    for start, end in paragraphs:
        waiting.append((start, end))
        if not _leans(text[start:end], min_words):
            groups.append(waiting)
            waiting = []
    if waiting and groups:
        groups[-1] += waiting
    elif waiting:
        groups.append(waiting)
    return groups


def _leans(paragraph: str, min_words: int) -> bool:
    """Whether a paragraph is a one-liner or a heading, which do not stand alone."""
    words = count_words(paragraph)
    return words < min_words or (words < HEADING_FACTOR * min_words and not ends_sentence(paragraph))


def _split_group(
    text: str, group: Sequence[Span], count_tokens: CountTokens, limits: tuple[int, int], min_words: int
) -> list[Span]:
    """Cut paragraphs that belong together at the ends of their sentences, under both limits."""
    spans: list[Span] = []
    costs: list[int] = []
    for start, end in group:
        found = [(start + left, start + right) for left, right in sentence_spans(text[start:end])]
        heading = _leans(text[start:end], min_words) and not ends_sentence(text[start:end])
        spans += found
        costs += [SENTENCE] * (len(found) - 1) + [AFTER_HEADING if heading else PARAGRAPH]
    sentences = measured(text, spans, count_tokens)
    units: list[Unit] = []
    for unit, cost in zip(sentences, costs, strict=True):
        units += cut_to_fit(text, replace(unit, cut_cost=cost), count_tokens, *limits)
    return [(units[first].start, units[end - 1].end) for first, end in balanced_runs(units, *limits)]


def _fitted(text: str, units: Sequence[Unit], count_tokens: CountTokens, limits: tuple[int, int]) -> Iterator[Unit]:
    """The units; one that, counted whole, is over a limit although its parts together were not, is packed tighter."""
    max_tokens, max_words = limits
    for unit in units:
        pieces = cut_to_fit(text, unit, count_tokens, *limits)
        room = max_tokens
        while len(pieces) > 1:
            room = room * 3 // 4
            runs = balanced_runs(pieces, room, max_words)
            packed = measured(text, [(pieces[first].start, pieces[end - 1].end) for first, end in runs], count_tokens)
            if len(runs) == len(pieces) or all(run.tokens <= max_tokens for run in packed):
                pieces = packed
                break
        yield from pieces
