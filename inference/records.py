"""What reading yields: articles, rejected rows, and the options that name the columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: The columns of a table, or the keys of a header, that an article is made of.
ROLES = ("text", "id", "title", "date", "source", "topic")


class InputError(Exception):
    """Inputs that cannot be used at all; the message says what, where and the mend."""


@dataclass(frozen=True, slots=True)
class Article:
    """One article as it will be split and scored.

    ``place`` says where it was read (``news.jsonl:12``); ``date`` is ISO (yyyy-mm-dd) or None; ``encoding`` names the
    encoding where it was not UTF-8; ``notes`` say what was not understood or replaced.
    """

    id: str
    text: str
    title: str | None
    date: str | None
    source: str | None
    topic: str | None
    place: str
    encoding: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row or a file that could not be read: where, why, and what its owner can do about it."""

    place: str
    reason: str
    mend: str
    id: str | None = None


@dataclass(frozen=True)
class ReadOptions:
    """Names of the columns, and the limit on one article as it lies in the unpacked input: a file, a line or a row."""

    text_column: str = "text"
    id_column: str = "id"
    title_column: str = "title"
    date_column: str = "date"
    source_column: str = "source"
    topic_column: str = "topic"
    max_article_bytes: int = 10_000_000

    def column(self, role: str) -> str:
        """The column of a role: ``column("text")`` is ``text_column``."""
        name: str = getattr(self, f"{role}_column")
        return name

    def named_columns(self) -> list[str]:
        """The columns that a table must have: the text's, and every one that was renamed on purpose."""
        default = ReadOptions()
        return [self.column(role) for role in ROLES if role == "text" or self.column(role) != default.column(role)]


@dataclass(frozen=True, slots=True)
class RawArticle:
    """An article as a format's reader found it, before its values are checked; ``values`` is keyed by role."""

    place: str
    values: Mapping[str, object]
    encoding: str | None = None
    notes: tuple[str, ...] = field(default=())


def size_limit_passed(limit: int, what: str) -> tuple[str, str]:
    """Reason and mend for a ``what`` (a line, a row, a file) beyond the limit."""
    return f"the {what} is longer than {limit:,} bytes", "cut it into articles, or raise max_article_bytes"
