"""Articles in: every row of every input as an Article or a Rejected, one after another, in bounded memory.

Nothing is dropped in silence: what cannot be read is yielded as a Rejected with its place, the reason and the mend,
and the good rows keep flowing.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

from inference.dates import parse_date
from inference.decoding import UNPACK_ERRORS, UnreadableTextError
from inference.documents import read_document
from inference.inputs import InputFile, InputList, Skipped, list_inputs, spool_stdin
from inference.jsonlines import kind_of, read_json, read_json_lines
from inference.records import Article, InputError, RawArticle, ReadOptions, Rejected, size_limit_passed
from inference.tables import read_csv, read_parquet

__all__ = [
    "Article",
    "InputError",
    "InputFile",
    "InputList",
    "ReadOptions",
    "Rejected",
    "Skipped",
    "list_inputs",
    "read_articles",
    "spool_stdin",
]

_READERS: dict[str, Callable[[InputFile, ReadOptions], Iterator[RawArticle | Rejected]]] = {
    "txt": read_document,
    "md": read_document,
    "html": read_document,
    "jsonl": read_json_lines,
    "json": read_json,
    "csv": read_csv,
    "parquet": read_parquet,
}
#: Control characters beyond this share of a text mean that it is no text.
MAX_CONTROL_SHARE = 0.02
LONGEST_NOTE = 60
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1f\x7f]")
_WORD_SIGN = re.compile(r"[^\W_]")


def read_articles(files: Iterable[InputFile], options: ReadOptions | None = None) -> Iterator[Article | Rejected]:
    """Read files in order, their rows in order.

    An article without an id of its own is named after its file (and line or row). Of two articles with one id the
    second is rejected; ids are remembered as 8-byte digests, so that among ten million different ids the odds of
    one false alarm are about one in 400,000.
    """
    options = options or ReadOptions()
    seen = DigestSet()
    for file in files:
        for item in read_file(file, options):
            if isinstance(item, Article) and not seen.add(item.id):
                yield repeated(item)
            else:
                yield item


def read_file(file: InputFile, options: ReadOptions) -> Iterator[Article | Rejected]:
    """The rows of one file, whatever ids others have."""
    for item in _read_file(file, options):
        yield _checked(item, options) if isinstance(item, RawArticle) else item


def repeated(article: Article) -> Rejected:
    """Why an article whose id was read before is left out."""
    return Rejected(article.place, f"the id {article.id!r} was read before", "give every row its own id", article.id)


def id_digest(identity: str) -> int:
    """Eight bytes that stand for an id, never 0."""
    return int.from_bytes(blake2b(identity.encode("utf-8"), digest_size=8).digest(), "little") or 1


def _read_file(file: InputFile, options: ReadOptions) -> Iterator[RawArticle | Rejected]:
    """The items of a file; whatever breaks its reading is the last."""
    last = None
    try:
        for item in _READERS[file.format](file, options):
            last = item.place
            yield item
    except UnreadableTextError as error:
        yield Rejected(file.name, error.reason, error.mend)
    except UNPACK_ERRORS as error:
        after = f" after {last}" if last else ""
        if file.compression and not getattr(error, "errno", None):
            reason = f"the {file.compression} data is damaged{after} ({_line(error)})"
            yield Rejected(file.name, reason, "pack it again")
        else:
            reason = f"it cannot be read{after} ({_line(error)})"
            yield Rejected(file.name, reason, "check that it exists, is whole and may be read")


def _checked(raw: RawArticle, options: ReadOptions) -> Article | Rejected:
    """The values of a raw article as an Article, or why they are none."""
    values, notes = raw.values, list(raw.notes)
    given = values.get("id")
    if given is not None and (isinstance(given, bool) or not isinstance(given, str | int | float)):
        return Rejected(raw.place, f"its id is {kind_of(given)}", "give a text or a number as id")
    identity = _encodable(str(given).strip()) if given is not None else ""
    identity = identity or raw.place
    text = values.get("text")
    if text is None:
        text = ""
    if not isinstance(text, str):
        reason = f"its {options.text_column!r} is {kind_of(text)}, not text"
        return Rejected(raw.place, reason, "give the article as text", identity)
    if fault := _text_fault(text, options.max_article_bytes):
        return Rejected(raw.place, *fault, identity)
    encodable = _encodable(text)
    if encodable != text:
        notes.append("lone surrogates replaced")
    day = parse_date(values.get("date"))
    if day is None and (written := values.get("date")) not in (None, ""):
        notes.append(f"date not understood: {_short(written)}")
    title, source, topic = (_label(role, values.get(role), notes) for role in ("title", "source", "topic"))
    return Article(identity, encodable, title, day, source, topic, raw.place, raw.encoding, tuple(notes))


def _text_fault(text: str, limit: int) -> tuple[str, str] | None:
    """Reason and mend of a text that is empty, too long or no text."""
    if len(text) > limit or (4 * len(text) > limit and len(text.encode("utf-8", "surrogatepass")) > limit):
        return size_limit_passed(limit, "text")
    if "\x00" in text:
        return "the text holds NUL characters: binary", "leave it out, or write it again as text"
    if len(_CONTROL.findall(text)) > MAX_CONTROL_SHARE * len(text):
        return "the text is full of control characters: binary", "leave it out, or write it again as text"
    if not _WORD_SIGN.search(text):
        return "the text is empty" if not text.strip() else "the text holds no word", "leave it out, or give it a text"
    return None


def _label(role: str, value: object, notes: list[str]) -> str | None:
    """A title, source or topic on one line; what is neither text nor a number is left out with a note."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        notes.append(f"{role} not understood: {_short(value)}")
        return None
    return _encodable(" ".join(str(value).split())) or None


def _encodable(text: str) -> str:
    """Lone surrogates, which no UTF-8 file can hold, as replacement characters; lengths stay."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


def _short(value: object) -> str:
    return _encodable(" ".join(str(value).split()))[:LONGEST_NOTE]


def _line(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).partition("\n")[0][:200]


class DigestSet:
    """A set of texts kept as 8-byte digests in one array: 16 to 32 bytes a text, whatever its length."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._count = 0

    def add(self, text: str) -> bool:
        """Add a text; False where it was there."""
        digest = id_digest(text)  # 0 is a free slot
        slot = self._slot(digest)
        if self._slots[slot] == digest:
            return False
        self._slots[slot] = digest
        self._count += 1
        if 2 * self._count > len(self._slots):
            full = self._slots
            self._slots = array("Q", bytes(16 * len(full)))
            for old in full:
                if old:
                    self._slots[self._slot(old)] = old
        return True

    def _slot(self, digest: int) -> int:
        """Where the digest is, or would go: the first free slot from its own on."""
        slot = digest % len(self._slots)
        while self._slots[slot] not in (0, digest):
            slot = (slot + 1) % len(self._slots)
        return slot
