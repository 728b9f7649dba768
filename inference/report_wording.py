"""The words of a report in two languages: every text is written in one, and carries what the page needs for the other.

A number or a date is a *code*: one letter for its kind and its plain value (``c1200``, ``i-0.12``, ``d2026-03-01``);
``k`` and a key stand for another phrase. Both this module and the page's script write codes out by the same few rules,
with no arithmetic left to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup

from inference.labels import Task

TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = ("fr", "en")
Phrases = dict[str, Any]
_PLACE = re.compile(r"\{(\w+)\}")


def read_phrases() -> dict[str, Phrases]:
    """Both dictionaries, by language."""
    paths = {lang: TEMPLATES / f"report.{lang}.json" for lang in LANGUAGES}
    return {lang: json.loads(path.read_text(encoding="utf-8")) for lang, path in paths.items()}


def count(value: int) -> str:
    """Code of a whole number."""
    return f"c{value}"


def signed(value: float) -> str:
    """Code of an index: two decimals and its sign."""
    text = f"{value:+.2f}"
    return "i" + (text[1:] if float(text) == 0 else text)


def band(low: float, high: float) -> str:
    """Code of an interval of an index."""
    return f"b{signed(low)[1:]},{signed(high)[1:]}"


def share(part: float, whole: float = 1.0) -> str:
    """Code of a share in whole percent; what would round to 0 or 100 and is neither says so."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.5:
        return "p<1"
    if 99.5 <= percent < 100:
        return "p>99"
    return f"p{int(percent + 0.5)}"


def ratio(value: float) -> str:
    """Code of a figure of merit: three decimals."""
    return f"r{value:.3f}"


def day(iso: str) -> str:
    """Code of a date, yyyy-mm-dd (or yyyy-mm, yyyy)."""
    return f"d{iso}"


def literal(text: str) -> str:
    """Code of a text that is the same in every language."""
    return f"s{text}"


class Wording:
    """The texts of one page, written in ``lang``."""

    def __init__(self, lang: str, phrases: dict[str, Phrases]) -> None:
        self.lang = lang
        self.phrases = phrases[lang]
        self._kinds: dict[str, Callable[[str], str]] = {
            "c": self._count,
            "i": lambda value: self._decimal(value.replace("-", "−")),
            "b": lambda value: self._decimal(value.replace("-", "−").replace(",", " … ")),
            "p": lambda value: self.phrases["percent"].replace("{n}", value),
            "r": self._decimal,
            "d": self._day,
            "s": str,
            "k": self.phrase,
        }

    def _count(self, value: str) -> str:
        return f"{int(value):,}".replace(",", self.phrases["thousands"])

    def _decimal(self, value: str) -> str:
        decimal: str = self.phrases["decimal"]
        return value.replace(".", decimal)

    def _day(self, value: str) -> str:
        year, *rest = value.split("-")
        if not rest:
            return year
        month = self.phrases["months"][int(rest[0]) - 1]
        if len(rest) == 1:
            return f"{month} {year}"
        number = str(int(rest[1]))
        return f"{self.phrases['first'] if number == '1' else number} {month} {year}"

    def written(self, code: str) -> str:
        """A code as people of this language write it."""
        return self._kinds[code[0]](code[1:])

    def phrase(self, key: str, **codes: str) -> str:
        """A phrase with its codes written out; one with two forms takes the one for the number ``n``."""
        found = self.phrases[key]
        if isinstance(found, list):
            found = found[0 if int(codes["n"][1:]) in self.phrases["singular"] else 1]
        return _PLACE.sub(lambda match: self.written(codes[match[1]]), found)

    def text(self, key: str, **codes: str) -> Markup:
        """A phrase as an element that the page can write again in the other language."""
        return Markup("<span {}>{}</span>").format(self.source(key, **codes), self.phrase(key, **codes))

    def source(self, key: str, **codes: str) -> Markup:
        """The attributes from which the page can write a phrase again."""
        values = Markup(' data-a="{}"').format(urlencode(codes, quote_via=quote, safe=",:/ ")) if codes else ""
        return Markup('data-t="{}"{}').format(key, values)

    def value(self, code: str, css: str = "") -> Markup:
        """A number or a date as an element that the page can write again."""
        return Markup('<span{} data-v="{}">{}</span>').format(_class(css), code, self.written(code))

    def attribute(self, name: str, key: str) -> Markup:
        """An attribute whose value is a phrase."""
        return Markup('{}="{}" data-k="{}:{}"').format(name, self.phrase(key), name, key)

    def told(self, task: Task, counts: Sequence[int]) -> str:
        """How often each label of a task was given, in words."""
        names = [self.written(self.named("label", f"{task.name}/{label}")) for label in task.labels]
        return ", ".join(f"{self.written(count(n))} {name}" for n, name in zip(counts, names, strict=True))

    def key(self, kind: str, name: str) -> str | None:
        """The key of what is known under this name, else None: names of tasks, labels and metrics are data."""
        *path, last = name.split("/")
        for candidate in (f"{kind}.{'.'.join([*path, last])}", f"{kind}.{last}"):
            if candidate in self.phrases:
                return candidate
        return None

    def named(self, kind: str, name: str) -> str:
        """Code of a name, to stand inside a phrase."""
        key = self.key(kind, name)
        return f"k{key}" if key else literal(_plain(name))

    def name(self, kind: str, name: str, css: str = "") -> Markup:
        """A task, label (``task/label``), metric or other name: in words where it is known, else as it is."""
        key = self.key(kind, name)
        if not key:
            return Markup("<bdi{}>{}</bdi>").format(_class(css), _plain(name))
        return Markup("<span{} {}>{}</span>").format(_class(css), self.source(key), self.phrase(key))


def _class(css: str) -> Markup:
    return Markup(' class="{}"').format(css) if css else Markup("")


def _plain(name: str) -> str:
    return name.rpartition("/")[2].replace("_", " ")
