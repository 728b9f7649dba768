"""JSON lines, and small JSON files, as raw articles."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

from inference.decoding import (
    UnreadableTextError,
    bounded_lines,
    decode_document,
    decode_line,
    open_text_stream,
    open_unpacked,
)
from inference.inputs import InputFile
from inference.records import ROLES, RawArticle, ReadOptions, Rejected, size_limit_passed

#: After so many rows without the text's column, and none with it, the file is given up.
PATIENCE = 1_000_000
ONE_OBJECT_A_LINE = "write one JSON object a line"


class _MalformedError(Exception):
    """A JSON value that is no article; the message is the reason."""


def read_json_lines(file: InputFile, options: ReadOptions) -> Iterator[RawArticle | Rejected]:
    """One article a line; empty lines are passed over. Raises UnreadableTextError where the whole file is no text."""
    with open_text_stream(file) as (stream, encoding, fallback):
        lacking = _Lacking(file.name, options)
        for number, line in bounded_lines(stream, options.max_article_bytes):
            place = f"{file.name}:{number}"
            if line is None:
                yield Rejected(place, *size_limit_passed(options.max_article_bytes, "line"))
                continue
            if line.isspace():
                continue
            try:
                text, detected = decode_line(line, fallback)
                content = _parse_object(text)
            except UnreadableTextError as error:
                yield Rejected(place, error.reason, error.mend)
                continue
            except _MalformedError as error:
                yield Rejected(place, f"the line {error}", ONE_OBJECT_A_LINE)
                continue
            if options.text_column not in content:
                if lacking.add(number, content):
                    continue
                break
            yield from lacking.settle()
            yield RawArticle(place, values_by_role(content, options), detected or encoding)
        yield from lacking.close()


def read_json(file: InputFile, options: ReadOptions) -> Iterator[RawArticle | Rejected]:
    """An object (one article) or an array of them, within the limit of one article; or JSON lines, of any length."""
    with open_text_stream(file) as (stream, _, fallback):
        first = next(bounded_lines(stream, options.max_article_bytes), (1, b""))[1]
    if first is not None:
        try:
            _parse_object(decode_line(first, fallback)[0])
        except (UnreadableTextError, _MalformedError):
            pass
        else:
            yield from read_json_lines(file, options)
            return
    with open_unpacked(file) as unpacked:
        packed = unpacked.read(options.max_article_bytes + 1)
    if len(packed) > options.max_article_bytes:
        reason, _ = size_limit_passed(options.max_article_bytes, "file")
        yield Rejected(file.name, f"{reason}, and is not JSON lines", "write one JSON object a line, as .jsonl")
        return
    text, encoding = decode_document(packed)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield Rejected(file.name, f"the file {_fault(error)}", "write an object, an array of objects, or JSON lines")
        return
    items = content if isinstance(content, list) else [content]
    lacking = _Lacking(file.name, options)
    for number, item in enumerate(items, start=1):
        place = f"{file.name}:{number}" if isinstance(content, list) else file.name
        if not isinstance(item, dict):
            yield Rejected(place, f"item {number} is {kind_of(item)}, not an object", "write an array of objects")
        elif options.text_column not in item:
            lacking.add(number, item)
        else:
            yield from lacking.settle()
            yield RawArticle(place, values_by_role(item, options), encoding)
    yield from lacking.close()


def values_by_role(content: Mapping[str, Any], options: ReadOptions) -> dict[str, object]:
    """The values of the columns that ``options`` name, by role; absent ones are left out."""
    return {role: content[name] for role in ROLES if (name := options.column(role)) in content}


class _Lacking:
    """Rows without the text's column: told one by one beside good rows, as one fault when all rows lack it."""

    def __init__(self, name: str, options: ReadOptions) -> None:
        self._name = name
        self._options = options
        self._rows = array("Q")
        self._keys: list[str] = []
        self._good = False

    def add(self, number: int, content: Mapping[str, Any]) -> bool:
        """Keep a row's number; False when patience has run out."""
        self._rows.append(number)
        self._keys = self._keys or list(content)
        return self._good or len(self._rows) < PATIENCE

    def settle(self) -> Iterator[Rejected]:
        """A good row has come: the column is there, and the rows kept are each at fault."""
        self._good = True
        column = self._options.text_column
        for number in self._rows:
            yield Rejected(f"{self._name}:{number}", f"the row has no {column!r}", f"give every row a {column!r}")
        del self._rows[:]

    def close(self) -> Iterator[Rejected]:
        """Tell what is left at the end of the file."""
        if self._good:
            yield from self.settle()
        elif self._rows:
            yield missing_column(self._name, self._options.text_column, self._keys, f"in {len(self._rows):,} rows")


def missing_column(place: str, column: str, columns: list[str], where: str = "") -> Rejected:
    """A whole file without a column that it must have; the reason names those that it has."""
    shown = ", ".join(repr(name[:40]) for name in columns[:20]) + (", …" if len(columns) > 20 else "")
    reason = f"there is no column {column!r}{f' {where}' if where else ''}; there are: {shown or 'none'}"
    option = " (such as --text-column NAME)" if column == ReadOptions.text_column else ""
    return Rejected(place, reason, f"name the column that takes its place{option}")


def _parse_object(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _MalformedError(_fault(error)) from error
    if not isinstance(content, dict):
        raise _MalformedError(f"is {kind_of(content)}, not an object")
    return content


def _fault(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is not valid JSON ({error.msg} at character {error.pos + 1})"
    return f"is not usable JSON ({'it is nested too deep' if isinstance(error, RecursionError) else error})"


def kind_of(value: object) -> str:
    """What a value is, in words."""
    if value is None:
        return "null"
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return kinds.get(type(value), type(value).__name__)
