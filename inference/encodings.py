"""Which encoding French bytes are in that are not UTF-8: detected with confidence, or not at all.

Among the encodings that French files are found in, and that ``charset-normalizer`` holds for plausible, one must give
French letters wherever the others differ from it, and the others must not; or else ``charset-normalizer`` must
recognise another language by the frequencies of its letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

#: As much of a text as is looked at.
SAMPLE_BYTES = 1 << 16

#: Encodings that French files are found in, besides UTF-8; the first wins where two read the same.
_FRENCH_ENCODINGS = ("cp1252", "iso8859_15", "mac_roman", "cp850")
_FRENCH_SIGNS = frozenset("àâäæçéèêëîïôœùûüÿñÀÂÆÇÉÈÊËÎÏÔŒÙÛ«»“”‘’‹›–—…€°§ªº²³·•\xa0\xad")
MIN_FRENCH_SHARE = 0.9
_MAX_RIVAL_SHARE = 0.5
_MIN_COHERENCE = 0.5
_MAX_CHAOS = 0.05
_UTF8_PAIR = re.compile(rb"\xc3[\x80-\xbf]|\xc5[\x92\x93]|\xe2\x80[\x93-\xa6]|\xe2\x82\xac")
_CONTROL = re.compile(r"[\x80-\x9f]")


def detect(content: bytes) -> str | None:
    """The encoding of text that is not UTF-8, or None where it is UTF-8 or not certain.

    Only the lines that are not UTF-8 are looked at, up to SAMPLE_BYTES: they alone tell.
    """
    sample = b"\n".join(_foreign_lines(content))
    if not sample:
        return None
    from charset_normalizer import from_bytes

    texts = {
        match.encoding: text
        for match in from_bytes(sample, cp_isolation=list(_FRENCH_ENCODINGS))
        if not has_controls(text := sample.decode(match.encoding))
    }
    french = [name for name in _FRENCH_ENCODINGS if name in texts and french_share(texts[name]) >= MIN_FRENCH_SHARE]
    for encoding in french:
        if all(_reads_better(texts[encoding], texts[other]) for other in texts):
            return encoding
    if french:
        return None
    best = from_bytes(sample).best()
    if best is None or best.encoding.startswith("utf"):  # without a mark, those fit almost any bytes
        return None
    return best.encoding if best.coherence >= _MIN_COHERENCE and best.chaos <= _MAX_CHAOS else None


def french_share(text: str) -> float:
    """The share of signs that French may have among those beyond ASCII, of which there must be one at least."""
    beyond = [good for good, sign in zip(_french_signs(text), text, strict=True) if sign > "\x7f"]
    return sum(beyond) / len(beyond)


def has_controls(text: str) -> bool:
    """Whether the text holds C1 control characters, which no text does: it was read in a wrong encoding."""
    return _CONTROL.search(text) is not None


def is_mixture(content: bytes) -> bool:
    """Whether bytes that are not UTF-8 as a whole hold French letters that are."""
    return _UTF8_PAIR.search(content) is not None


def _french_signs(text: str) -> list[bool]:
    """Of each sign, whether French may have it there; a capital after a small letter is another encoding's letter."""
    return [
        sign <= "\x7f" or (sign in _FRENCH_SIGNS and not (sign.isupper() and before.islower()))
        for before, sign in pairwise(f" {text}")
    ]


def _reads_better(text: str, other: str) -> bool:
    """Whether ``text`` is plainly the French reading of the bytes that ``other`` reads in another way, sign by sign."""
    signs = zip(_french_signs(text), _french_signs(other), text, other, strict=True)
    differing = [(good, good_other) for good, good_other, sign, sign_other in signs if sign != sign_other]
    good, good_other = (sum(column) for column in zip(*differing, strict=True)) if differing else (1, 0)
    return good >= MIN_FRENCH_SHARE * len(differing) and good_other <= _MAX_RIVAL_SHARE * len(differing)


def _foreign_lines(content: bytes) -> Iterator[bytes]:
    """The lines that are neither UTF-8 nor partly so, SAMPLE_BYTES in all."""
    room = SAMPLE_BYTES
    for line in content.split(b"\n"):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            if is_mixture(line):
                continue
            yield line[:room]
            room -= len(line)
            if room <= 0:
                return
