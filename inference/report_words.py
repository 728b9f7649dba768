"""The text of a passage as HTML: its paragraphs, escaped, with the words that pull most underlined."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from inference.highlights import Highlights, Mark, text_key
from inference.paragraphs import paragraph_spans
from inference.report_articles import Entry, own_text
from inference.writer import Row

#: Control characters that HTML has no place for, as pictures of themselves: they are seen and do nothing.
PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
#: A word with at least this share of the passage's strongest pull has a thicker line.
STRONG = 0.5


def clean(text: object) -> str:
    """A text of the data for HTML: control characters are made visible."""
    return str(text).translate(PICTURES)


def prose(text: str) -> Markup:
    """A text for the content of an element: there, unlike in an attribute, quotes need no escape."""
    return Markup(clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))  # noqa: S704  # escaped here


def paragraphs(text: str, marks: Sequence[Mark] = ()) -> list[Markup]:
    """The paragraphs of a passage, its ``marks`` as ``<mark>`` elements: ``pull``, ``off`` against, ``much`` if strong.

    A mark that is not a stretch of one paragraph, after the one before it, is left out.
    """
    peak = max((abs(pull) for _, _, pull in marks), default=0.0)
    written: list[Markup] = []
    for start, end in paragraph_spans(text) or [(0, len(text))]:
        pieces, done = [], start
        for first, last, pull in sorted(marks):
            if done <= first < last <= end:
                style = "pull" + " off" * (pull < 0) + " much" * (abs(pull) >= STRONG * peak)
                pieces += [prose(text[done:first]), Markup('<mark class="{}">').format(style)]
                pieces += [prose(text[first:last]), Markup("</mark>")]
                done = last
        written.append(Markup("").join([*pieces, prose(text[done:end])]))
    return written


def marks_of(known: Highlights) -> Callable[[Row], list[Mark]]:
    """Look up the words of a passage row that are to be underlined."""
    return lambda row: known.get(text_key(own_text(row)), []) if known else []


def marked_passages(entries: Sequence[Entry], known: Highlights) -> int:
    """In how many passages of the report a word is underlined."""
    look = marks_of(known)
    return sum(bool(look(row)) for entry in entries for row in entry.passages or [])
