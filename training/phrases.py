"""Phrases that annotated data uses too often: a model learns the hand that wrote them instead of the language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from training.check_report import Finding
from training.corpus import Example
from training.duplicates import words_of

OPENING = 3
NGRAM = 6
#: The share of groups (stories, contrast groups, lone rows) from which a phrase is over-used, and the least number of
#: them. French press prose opens about one passage in 250 with its commonest three words, "il y a".
OPENING_SHARE, NGRAM_SHARE, LEAST = 0.005, 0.002, 6
#: Phrases listed; the count is of all.
LISTED = 30

Cut = Callable[[list[str]], Iterable[str]]


def opening(words: list[str]) -> Iterator[str]:
    """Yield the first :data:`OPENING` words, where there are as many."""
    if len(words) >= OPENING:
        yield " ".join(words[:OPENING])


def ngrams(words: list[str]) -> Iterator[str]:
    """Yield each run of :data:`NGRAM` words."""
    for start in range(len(words) - NGRAM + 1):
        yield " ".join(words[start : start + NGRAM])


def overused(groups: Sequence[Sequence[list[str]]], cut: Cut, least: int) -> list[tuple[str, int]]:
    """The phrases that stand in ``least`` groups or more, with the number of groups, commonest first.

    ``groups`` holds the texts of each group as words; a phrase counts once a group. Two passes over hashes: the phrases
    of a large corpus would not fit in memory as text.
    """
    hashes = [np.array(list({hash(phrase) for words in group for phrase in cut(words)}), np.int64) for group in groups]
    values, counts = np.unique(np.concatenate(hashes or [np.zeros(0, np.int64)]), return_counts=True)
    common = set(values[counts >= least].tolist())
    found = Counter(
        phrase
        for group in groups
        for phrase in sorted({phrase for words in group for phrase in cut(words) if hash(phrase) in common})
    )
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def phrase_findings(examples: Sequence[Example]) -> tuple[list[Finding], dict[str, Any]]:
    """Over-used openings and word runs across groups, and the commonest of each whatever their number."""
    texts: dict[str, list[list[str]]] = {}
    for example in examples:
        texts.setdefault(example.group, []).append(words_of(example.text))
    groups = list(texts.values())
    findings, numbers = [], {}
    for code, cut, share, name in (
        ("opening", opening, OPENING_SHARE, f"openings of {OPENING} words"),
        ("ngram", ngrams, NGRAM_SHARE, f"runs of {NGRAM} words"),
    ):
        least = max(LEAST, round(share * len(groups)))
        found = overused(groups, cut, least)
        numbers[code] = {"from_groups": least, "overused": [list(item) for item in found[:LISTED]], "count": len(found)}
        if found:
            findings.append(
                Finding(
                    "warn",
                    f"overused-{code}",
                    f"{name} in {least:,} or more of {len(groups):,} groups: {len(found):,}",
                    tuple(f"{phrase} × {count}" for phrase, count in found),
                    "reword some of them",
                )
            )
    return findings, numbers
