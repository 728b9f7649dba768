"""Files that are one article each: plain text, Markdown, web pages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from inference.decoding import decode_document, open_unpacked
from inference.inputs import InputFile
from inference.markdown import front_matter, plain_text
from inference.paragraphs import ends_sentence, paragraph_spans
from inference.records import RawArticle, ReadOptions, Rejected, size_limit_passed
from inference.webpages import declared_encoding, page_text

#: Keys of a header or of front matter, without regard to case, to roles.
HEADER_KEYS = {
    "id": "id",
    "titre": "title",
    "title": "title",
    "date": "date",
    "source": "source",
    "sujet": "topic",
    "thème": "topic",
    "theme": "topic",
    "topic": "topic",
    "rubrique": "topic",
}
LONGEST_TITLE = 200
_HEADER_LINE = re.compile(r"(\w+)[ \t\xa0\u202f]*:[ \t\xa0\u202f]*(\S.*)")
_HEADER_LINES = 12


def read_document(file: InputFile, options: ReadOptions) -> Iterator[RawArticle | Rejected]:
    """The one article of a .txt, .md or .html file; raises UnreadableTextError where it is no text."""
    limit = options.max_article_bytes
    with open_unpacked(file) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        yield Rejected(file.name, *size_limit_passed(limit, "file"))
        return
    declared = declared_encoding(content) if file.format == "html" else None
    text, encoding = decode_document(content, declared)
    notes: tuple[str, ...] = ()
    if file.format == "html":
        text, values = page_text(text)
    elif file.format == "md":
        fields, rest = front_matter(text)
        if rest is text and text.startswith("---") and "\n---" in text:
            notes = ("front matter not understood: kept as text",)
        body, heading = plain_text(rest)
        values = {"title": heading, **_by_role(fields)}
        text = body
    else:
        values, text = split_header(text)
        if "title" not in values:
            values["title"] = title_line(text)
    yield RawArticle(file.name, {**values, "text": text}, encoding, notes)


def split_header(text: str) -> tuple[dict[str, object], str]:
    """Take a header off a plain text: ``({"title": …, "date": …}, the rest)``.

    A header is lines such as ``Date: 12 mars 2026`` with the keys of HEADER_KEYS, each once, at the very top and closed
    by a blank line; a first line that is no such line is taken for the title, and stays in the text. Anything else is
    text.
    """
    lines = text.splitlines(keepends=True)[: _HEADER_LINES + 1]
    values: dict[str, object] = {}
    title: str | None = None
    length = 0
    for number, line in enumerate(lines):
        match = _HEADER_LINE.fullmatch(line.strip())
        role = HEADER_KEYS.get(match[1].lower()) if match else None
        if match and role and role not in values:
            values[role] = match[2]
        elif number == 0 and line.strip() and len(line.strip()) <= LONGEST_TITLE:
            title = line.strip()
        elif values and not line.strip():
            break
        else:
            return {}, text
        length += len(line)
    else:
        return {}, text
    rest = text[length:]
    if title is None:
        return values, rest
    return {"title": title, **values}, f"{title}\n{rest}"


def title_line(text: str) -> str | None:
    """The first paragraph where it plainly is a title: one line, not long, that does not end as a sentence does."""
    spans = paragraph_spans(text)
    if len(spans) < 2:
        return None
    start, end = spans[0]
    first = text[start:end]
    if len(first) > LONGEST_TITLE or len(first.splitlines()) > 1 or first[0] in "-–—•*":
        return None
    closes = ends_sentence(first) and not first.rstrip("»” \xa0\u202f").endswith("?")
    return None if closes or first[-1] in ":;," else first


def _by_role(fields: dict[str, object]) -> dict[str, object]:
    found = ((HEADER_KEYS.get(key.strip().lower()), value) for key, value in fields.items())
    return {role: value for role, value in found if role and value is not None}
