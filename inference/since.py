"""Incremental jobs: which articles a former job has scored, kept as an index that is looked up on disk.

``articles.index`` beside a job's manifest holds 16 bytes an article, sorted: eight bytes of the digest of its id and
eight of the digest of what its rows are made of. It is searched where it lies, through the page cache, so that memory
stays flat whatever the archive's size; an unchanged article is mistaken only where all sixteen bytes agree by chance
(about one in 10^25 for ten million articles on either side). A job that starts from a former one carries its index
on: the newest index knows every article scored so far.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from inference.articles import Article, Rejected
from inference.bundle import Bundle
from inference.progress import difference
from inference.records import InputError
from inference.writer import atomic

INDEX = "articles.index"
MAGIC = b"penchant index 1"
RECORD, HALF = 16, 8
#: Records that are read at a time from each run while runs are merged.
BLOCK = 64
#: Settings besides the model that rows are made by; where they differ, old and new rows do not go together.
ROW_SETTINGS = ("unit", "max_passage_words", "min_passage_words")


def record_of(article: Article) -> bytes:
    """The index record of an article: all but its place counts as content, since it shows in the rows."""
    content = [article.text, article.title, article.date, article.source, article.topic, article.encoding]
    whole = json.dumps([*content, *article.notes], ensure_ascii=False).encode()
    return _digest(article.id.encode()) + _digest(whole)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=HALF).digest()


def run_of(articles: Iterable[Article]) -> bytes:
    """The sorted records of one part's articles."""
    return b"".join(sorted(map(record_of, articles)))


def write_index(output: Path, runs: Sequence[Path], former: FormerJob | None = None) -> dict[str, Any]:
    """Merge the runs of a job, and the index of the ``former`` one, into ``output``'s index, and describe it.

    Where both know an id, the newer record stays. Memory: one kilobyte a run.
    """
    sources = [_run_records(run, 0) for run in runs]
    if former is not None:
        sources.append(_run_records(former.index, len(MAGIC)))
    count, last = 0, b""
    checksum = hashlib.sha256(MAGIC)
    with atomic(output / INDEX) as file:
        file.write(MAGIC)
        for record in heapq.merge(*sources, key=_half):  # stable: of one id, the run comes before the former index
            if count and record[:HALF] == last:
                continue
            file.write(record)
            checksum.update(record)
            count, last = count + 1, record[:HALF]
    return {"file": INDEX, "articles": count, "sha256": checksum.hexdigest()}


def _half(record: bytes) -> bytes:
    return record[:HALF]


def _run_records(path: Path, start: int) -> Iterator[bytes]:
    """The records of a file from ``start`` on; it is opened for each block, for there may be many thousand runs."""
    while True:
        with path.open("rb") as file:
            file.seek(start)
            block = file.read(BLOCK * RECORD)
        for place in range(0, len(block), RECORD):
            yield block[place : place + RECORD]
        if len(block) < BLOCK * RECORD:
            return
        start += len(block)


class FormerJob:
    """The articles of a finished job, and how many of those read since were new, changed or unchanged.

    ``digest`` names the state that it was in. Raises InputError where ``path``, a manifest or the folder that holds
    one, is not of a finished job, or its index is not beside it or was damaged.
    """

    def __init__(self, path: str | Path) -> None:
        given = Path(path)
        self.manifest_path = given / "manifest.json" if given.is_dir() else given
        self.manifest = _read_manifest(self.manifest_path)
        self.index = self.manifest_path.parent / INDEX
        described = self.manifest.get("index")
        if not isinstance(described, dict):
            raise InputError(f"{self.manifest_path} tells of no index of articles; score once more in full")
        try:
            with self.index.open("rb") as file:
                self.digest: str = hashlib.file_digest(file, "sha256").hexdigest()
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise InputError(f"{self.index} cannot be read ({error}); keep it beside its manifest") from error
        if self.digest != described.get("sha256"):
            raise InputError(f"{self.index} is not the index that its manifest describes; restore it")
        self._count = (len(self._map) - len(MAGIC)) // RECORD
        self.new = self.changed = self.unchanged = 0

    def check(self, bundle: Bundle, settings: Mapping[str, Any]) -> None:
        """Raise InputError where the former rows were made by another model or other settings."""
        model = self.manifest["model"]
        pairs = [
            ("model", model["sha256"], bundle.digest),
            ("precision of the model", model.get("precision"), bundle.precision),
            *((name, self.manifest["settings"].get(name), settings[name]) for name in ROW_SETTINGS),
        ]
        if reasons := [difference(name, then, now) for name, then, now in pairs if then != now]:
            raise InputError(
                f"{self.manifest_path} is of a job with another {', '.join(reasons)}, and rows of both must not be "
                "mixed; score everything again without --since-manifest"
            )

    def find(self, article: Article) -> str:
        """Whether an article is ``new``, ``changed`` or ``unchanged``."""
        record = record_of(article)
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._half_at(middle) < record[:HALF]:
                low = middle + 1
            else:
                high = middle
        if low == self._count or self._half_at(low) != record[:HALF]:
            return "new"
        at = len(MAGIC) + low * RECORD
        return "unchanged" if self._map[at : at + RECORD] == record else "changed"

    def _half_at(self, number: int) -> bytes:
        at = len(MAGIC) + number * RECORD
        return self._map[at : at + HALF]

    def sift(self, items: Iterable[Article | Rejected]) -> Iterator[Article | Rejected]:
        """Pass on new and changed articles, and all that was rejected; count what is met."""
        for item in items:
            if isinstance(item, Rejected):
                yield item
                continue
            state = self.find(item)
            setattr(self, state, getattr(self, state) + 1)
            if state != "unchanged":
                yield item

    def described(self) -> dict[str, Any]:
        """What a manifest says of the job that this one started from."""
        counts = {"new": self.new, "changed": self.changed, "unchanged": self.unchanged}
        return {"manifest": str(self.manifest_path), "index_sha256": self.digest, **counts}


def _read_manifest(path: Path) -> dict[str, Any]:
    if not path.is_file():
        unfinished = (path.parent / ".job").is_dir()
        mend = "let that job finish first" if unfinished else "give the manifest.json of a finished job, or its folder"
        raise InputError(f"there is no manifest at {path}; {mend}")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        manifest["model"]["sha256"], manifest["settings"]["unit"]  # they must be there
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a job's manifest ({error!r}); give the manifest.json of a job") from error
    return manifest
