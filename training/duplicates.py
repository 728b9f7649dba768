"""Copies in annotated data: the same text twice, nearly the same text twice, the same text under two labels.

Near copies are found by MinHash and locality-sensitive hashing (Broder 1997; Indyk & Motwani 1998; ``datasketch``) and
confirmed on their shingles, so that what is reported is exact and only what is missed is a matter of chance.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from training.check_report import Finding, Severity
from training.corpus import Example

#: Words a shingle. Three see a changed word in a passage of 15 words (similarity 0.62), where five would not (0.38).
SHINGLE = 3
#: Jaccard similarity of the shingles from which two texts are near copies: about five changed words in sixty.
NEAR = 0.5
#: Bands and rows of the hashing: a pair of similarity s is looked at with probability 1 − (1 − s³)⁴², 99.6 % at 0.5
#: and all but surely from 0.6; a pair at 0.1 in 4 % of cases, and the shingles then refuse it.
BANDS, ROWS = 42, 3
#: Shorter texts ("Je ne sais pas.") are alike by chance: a copy of one is a warning, never a leak.
MIN_WORDS = 8

INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_VARIANTS = str.maketrans(
    dict.fromkeys("’‘ʼ′`´", "'")
    | dict.fromkeys("«»“”„‟″‹›", '"')
    | dict.fromkeys("‐‑‒–—―−", "-")
    | dict.fromkeys(INVISIBLE, "")
    | {"…": "...", "œ": "oe", "æ": "ae"}
)
_UNSEEN = re.compile(f"[\u0300-\u036f{INVISIBLE}]+")
_BESIDE_PUNCTUATION = re.compile(r"\s+(?=[^\w\s])|(?<=[^\w\s])\s+")
_WORD = re.compile(r"[^\W_]+")

#: What each finding says after its count, and its mend.
_WORDING = {
    "label-conflict": ("texts under different labels", "settle the label, or tell the texts apart"),
    "copy-leak": ("copies between the tests and what the model sees in training", "keep one of each"),
    "copy": ("copies of different groups", "keep one of each, or give both one group"),
    "copy-in-group": ("texts twice in one group", "keep one of each unless only the typography is meant to differ"),
    "near-copy-leak": ("near copies between the tests and what the model sees in training", "put both into one split"),
    "near-copy": ("near copies of different groups", "rewrite one, or give both one group"),
}
#: Failures that are warnings for short texts.
_SHORT = ("label-conflict", "copy-leak")

#: A row's pair and text, folded.
TextKey = tuple[str, str]


def fold(text: str) -> str:
    """The text without what a copy may change unseen: case, white space, quotes, dashes, ligatures, invisible signs.

    Accents, words and punctuation stay: a question is no copy of its answer.
    """
    plain = unicodedata.normalize("NFC", text.translate(_VARIANTS)).casefold().translate(_VARIANTS)
    return _BESIDE_PUNCTUATION.sub("", " ".join(unicodedata.normalize("NFC", plain).split()))


def words_of(text: str) -> list[str]:
    """The words of a text in small letters without accents: what near copies and phrases are compared by."""
    letters = _UNSEEN.sub("", unicodedata.normalize("NFKD", text.casefold()))
    letters = letters.replace("œ", "oe").replace("æ", "ae").replace("ʼ", "'")  # the last one counts as a letter
    return _WORD.findall(letters)


def shingles_of(words: Sequence[str]) -> frozenset[int]:
    """The hashes of the runs of :data:`SHINGLE` words; of all words where they are fewer."""
    runs = (words[start : start + SHINGLE] for start in range(max(1, len(words) - SHINGLE + 1)))
    return frozenset(zlib.crc32(" ".join(run).encode()) for run in runs)


def similarity(one: frozenset[int], other: frozenset[int]) -> float:
    """The Jaccard similarity of two sets of shingles, in [0, 1]."""
    together = len(one | other)
    return len(one & other) / together if together else 1.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows whose texts are alike; ``similarity`` 1 is not yet the same text, since punctuation does not count."""

    first: Example
    second: Example
    similarity: float

    @property
    def name(self) -> str:
        """Both ids with their splits."""
        ends = (f"{row.id} ({row.split})" if row.split else row.id for row in (self.first, self.second))
        return " ~ ".join(ends)


def by_text(examples: Sequence[Example]) -> dict[TextKey, list[Example]]:
    """The rows by their folded pair and text, in the order of the rows: those that stand together are copies."""
    found: dict[TextKey, list[Example]] = {}
    for example in examples:
        found.setdefault((fold(example.pair or ""), fold(example.text)), []).append(example)
    return found


def near_copies(texts: Mapping[TextKey, Sequence[Example]]) -> Iterator[Pair]:
    """Yield the pairs of rows of :func:`by_text` that are near copies and no exact ones, of two groups or two splits.

    Near copies inside one group and split are what contrast groups are made of. Rows with another pair are other
    examples. Texts under :data:`MIN_WORDS` words are left out.
    """
    from datasketch import MinHash, MinHashLSH

    words = {key: words_of(rows[0].text) for key, rows in texts.items()}
    keys = [key for key in texts if len(words[key]) >= MIN_WORDS]
    shingles = [shingles_of(words[key]) for key in keys]
    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    hashes = MinHash.generator(map(list, shingles), num_perm=BANDS * ROWS, seed=1, hashfunc=int)
    for place, minhash in enumerate(hashes):
        for other in sorted(index.query(minhash)):
            alike = similarity(shingles[place], shingles[other])
            if alike >= NEAR and keys[place][0] == keys[other][0]:
                for first, second in product(_one_a_place(texts[keys[other]]), _one_a_place(texts[keys[place]])):
                    if (first.group, first.split) != (second.group, second.split):
                        yield Pair(first, second, alike)
        index.insert(place, minhash)


def conflicting(rows: Sequence[Example]) -> list[str]:
    """The tasks for which rows with one text carry different labels."""
    return [task for task in rows[0].gold if len({row.gold[task] for row in rows if row.gold[task] >= 0}) > 1]


def leaks(pair: Pair, tests: Collection[str]) -> bool:
    """Whether a pair has one end in a test split and the other in a split that the model has seen."""
    return (pair.first.split in tests) != (pair.second.split in tests)


def copy_findings(examples: Sequence[Example], tests: Collection[str]) -> tuple[list[Finding], dict[str, int]]:
    """What there is to say about copies, and their counts; ``tests`` names the test splits."""
    texts = by_text(examples)
    found: dict[tuple[Severity, str], list[str]] = {}
    for rows in texts.values():
        if len(rows) > 1:
            for fault, where in _same_text(rows, tests):
                found.setdefault(fault, []).extend(where)
    for pair in near_copies(texts):
        kind: tuple[Severity, str] = ("fail", "near-copy-leak") if leaks(pair, tests) else ("warn", "near-copy")
        found.setdefault(kind, []).append(pair.name)
    findings = []
    for (severity, code), where in found.items():
        what, mend = _WORDING[code]
        short = f" (texts of under {MIN_WORDS} words)" if severity == "warn" and code in _SHORT else ""
        findings.append(Finding(severity, code, f"{what}{short}: {len(where):,}", tuple(where), mend))
    counts = {code: sum(len(where) for (_, kind), where in found.items() if kind == code) for code in _WORDING}
    return findings, counts


def _same_text(rows: Sequence[Example], tests: Collection[str]) -> Iterator[tuple[tuple[Severity, str], Sequence[str]]]:
    """Yield the severity, code and places of what is wrong with rows that share their text."""
    severity: Severity = "fail" if len(words_of(rows[0].text)) >= MIN_WORDS else "warn"
    if tasks := conflicting(rows):
        yield (severity, "label-conflict"), [f"{' = '.join(row.id for row in rows)} ({', '.join(tasks)})"]
    places = _one_a_place(rows)
    seen = [row for row in places if row.split not in tests]
    held_out = [row for row in places if row.split in tests]
    if seen and held_out:
        yield (severity, "copy-leak"), [Pair(seen[0], row, 1.0).name for row in held_out]
    for same in (seen, held_out):
        if len(same) > 1:
            yield ("warn", "copy"), [Pair(same[0], row, 1.0).name for row in same[1:]]
    if len(rows) > len(places):
        yield ("info", "copy-in-group"), [" = ".join(row.id for row in rows)]


def _one_a_place(rows: Sequence[Example]) -> list[Example]:
    """One of the rows for each split and group that holds them."""
    return list({(row.split, row.group): row for row in reversed(rows)}.values())[::-1]
