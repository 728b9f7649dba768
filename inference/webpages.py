"""Web pages to plain text with their title, date and source.

The main text comes from trafilatura where the ``html`` extra is installed, else from the blocks of the page outside
its menus, asides and forms. Title, date and source are only ever what the page states in its markup.
"""

from __future__ import annotations

import re
from html import unescape

from inference.markdown import without_comments

#: Encodings that pages declare, by the name browsers give them, to the codec that browsers use.
_DECLARED = {
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
    "windows-1252": "cp1252",
    "iso-8859-15": "iso8859_15",
    "latin9": "iso8859_15",
    "macintosh": "mac_roman",
    "windows-1250": "cp1250",
    "iso-8859-2": "iso8859_2",
    "windows-1251": "cp1251",
}
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_-]{1,40})""", re.IGNORECASE)
_JSON_DATE = re.compile(r'"datePublished"\s*:\s*"([^"]{4,40})"')
_TAG = re.compile(r"""<(/?)([A-Za-z][^\s/<>"']*)((?:[^<>"']|"[^"]*"|'[^']*')*)>""")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)\s*=\s*("[^"]*"|'[^']*'|[^\s"'<>=`]+)""")
_DECLARATION = re.compile(r"<[!?/][^<>]*>")
_RAW = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in ("script", "style", "textarea", "title")}
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_DATE_NAMES = ("article:published_time", "datepublished", "date", "dc.date", "dcterms.date", "pubdate", "publish-date")
_SOURCE_NAMES = ("og:site_name", "dc.publisher", "application-name")
_MIN_MAIN_SHARE = 0.25


def declared_encoding(page: bytes) -> str | None:
    """The codec of the encoding that the page declares in its first bytes, if it is one of those known here."""
    match = _CHARSET.search(page[:4096])
    return _DECLARED.get(match[1].decode("ascii").lower()) if match else None


def page_text(html: str) -> tuple[str, dict[str, object]]:
    """The page's main text, paragraphs parted by blank lines, and the title, date, source and topic it states."""
    html = without_comments(html, keep_unclosed=False)
    page = _Page(html)
    return _main_text(html) or page.text(), page.values()


def _main_text(html: str) -> str | None:
    """The main text by trafilatura, one paragraph a line there; None where it is not installed or finds none."""
    try:
        import trafilatura
    except ImportError:
        return None
    try:
        found = trafilatura.extract(html, output_format="txt", include_comments=False, favor_recall=True)
    except Exception:  # noqa: BLE001  # pages are arbitrary; the blocks of the page are there to fall back on
        return None
    lines = (line.strip() for line in (found or "").splitlines())
    return "\n\n".join(line for line in lines if line) or None


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


_SILENT = _tags("script style noscript template svg head iframe select textarea")
_ASIDE = _tags("nav aside footer button menu dialog")
_MAIN = _tags("article main")
_BLOCKS = _tags(
    """address article aside blockquote body button caption center dd details dialog div dl dt fieldset figcaption
    figure footer form h1 h2 h3 h4 h5 h6 header hr html legend li main menu nav ol option p pre section summary table
    tbody td tfoot th thead title tr ul"""
)
_REGIONS = _SILENT | _ASIDE | _MAIN | {"title", "h1"}


class _Page:
    """A page's blocks of text and what its head states, read in one pass.

    The standard library's parser takes quadratic time, hours on a few megabytes, over tags that are never closed.
    """

    def __init__(self, html: str) -> None:
        self._open: dict[str, int] = {}
        self._blocks: list[tuple[str, bool, bool]] = []
        self._pieces: list[str] = []
        self._stated: dict[str, str] = {}
        self._title: list[str] = []
        self._headings: list[tuple[bool, str]] = []
        self._time: str | None = None
        in_json = _JSON_DATE.search(html)
        self._json_date = in_json[1] if in_json else None
        self._read(html)

    def _read(self, html: str) -> None:
        position = 0
        while (opens := html.find("<", position)) >= 0:
            self._take(html[position:opens])
            if tag := _TAG.match(html, opens):
                position = tag.end()
                name = tag[2].lower()
                if tag[1]:
                    self._end(name)
                else:
                    self._begin(name, tag[3])
                if name in _RAW and not tag[1]:
                    closed = _RAW[name].search(html, position)
                    ends = closed.start() if closed else len(html)
                    self._take(html[position:ends])
                    position = ends
            elif declaration := _DECLARATION.match(html, opens):
                position = declaration.end()
            else:
                self._take("<")
                position = opens + 1
        self._take(html[position:])
        self._end_block("body")

    def _begin(self, tag: str, written: str) -> None:
        """Begin a block, open a region, or note what a ``meta`` or ``time`` states."""
        if tag in ("meta", "time"):
            values = {name.lower(): unescape(value.strip("\"'")).strip() for name, value in _ATTRIBUTE.findall(written)}
            name = values.get("property") or values.get("name") or values.get("itemprop") or ""
            if tag == "meta":
                self._stated.setdefault(name.lower(), values.get("content", ""))
            else:
                self._time = self._time or values.get("datetime") or None
        elif tag == "br":
            self._pieces.append("\n")
        if tag in _BLOCKS:
            self._end_block(tag)
            if tag not in ("html", "title"):
                self._open["head"] = 0  # its end tag may be left out
        if tag in _REGIONS:
            self._open[tag] = self._open.get(tag, 0) + 1

    def _end(self, tag: str) -> None:
        """End a block or a region."""
        if tag in _BLOCKS:
            self._end_block(tag)
        if self._open.get(tag):
            self._open[tag] -= 1

    def _take(self, written: str) -> None:
        """Take up text, except where it is not shown."""
        if self._open.get("title") and not self._open.get("svg"):
            self._title.append(unescape(written))
        elif written and not self._inside(_SILENT):
            self._pieces.append(_BLANKS.sub(" ", unescape(written)))

    def text(self) -> str:
        """The blocks of the main part; without one, of the page but its menus; where that is void, all blocks."""
        main = [text for text, in_main, aside in self._blocks if in_main and not aside]
        outside = [text for text, _, aside in self._blocks if not aside]
        if sum(map(len, main)) >= _MIN_MAIN_SHARE * sum(map(len, outside)):
            outside = main
        return "\n\n".join(outside or [text for text, _, _ in self._blocks])

    def values(self) -> dict[str, object]:
        """Title, date, source and topic as the page states them; None where it does not."""
        headings = sorted(self._headings, key=lambda heading: not heading[0])  # those of the main part first
        title = " ".join("".join(self._title).split())
        dates = [self._stated.get(name) for name in _DATE_NAMES]
        return {
            "title": headings[0][1] if headings else self._stated.get("og:title") or title or None,
            "date": next(filter(None, [*dates, self._json_date, self._time]), None),
            "source": next(filter(None, map(self._stated.get, _SOURCE_NAMES)), None),
            "topic": self._stated.get("article:section") or None,
        }

    def _inside(self, tags: frozenset[str]) -> bool:
        return any(self._open.get(tag) for tag in tags)

    def _end_block(self, tag: str) -> None:
        lines = (line.strip(" ") for line in "".join(self._pieces).split("\n"))
        self._pieces.clear()
        for block in re.split(r"\n{2,}", "\n".join(lines)):
            if text := block.strip():
                in_main = self._inside(_MAIN)
                self._blocks.append((text, in_main, self._inside(_ASIDE)))
                if tag == "h1" and self._open.get("h1"):
                    self._headings.append((in_main, " ".join(text.split())))
