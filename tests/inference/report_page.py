"""A report read without a browser: its elements, by a parser of the standard library."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from inference.report import write_report

VOID = {"meta", "link", "input", "br", "path", "use"}


class Page(HTMLParser):
    """A report as elements: ``nodes`` are (tag, attributes, text of everything inside), in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.nodes: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node: tuple[str, dict[str, str | None], list[str]] = (tag, dict(attrs), [])
        self.nodes.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.nodes.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, _, texts in self._open:
            texts.append(data)

    def texts(self, tag: str, style: str | None = None) -> list[str]:
        return [
            "".join(node[2])
            for node in self.nodes
            if node[0] == tag and style in (None, *(node[1].get("class") or "").split())
        ]

    def attributes(self, tag: str, name: str) -> list[str]:
        return [node[1][name] or "" for node in self.nodes if node[0] == tag and name in node[1]]

    def part(self, identity: str) -> str:
        return next(" ".join(node[2]) for node in self.nodes if node[1].get("id") == identity)


def read(output: Path, **options: Any) -> Page:
    return Page(write_report(output, **options).read_text(encoding="utf-8"))


def spaced(text: str) -> str:
    return " ".join(text.split())
