"""Output on an object store: a job writes into a folder on this machine, and each finished part is sent on.

An object of these stores appears whole or not at all, whatever its size, and is seen at once by whoever reads; the
objects of a part are put first and its marker last. So a part that has a marker is whole, and the same command, here
or on another machine, fetches what is finished and goes on. File systems without that promise are refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inference.job import JobResult, OnPart, score_articles
from inference.progress import JobRefusedError, Part, index_path, marker_path, quarantine_path
from inference.remote import StoreError, file_system

#: Protocols of stores where putting an object is atomic and reading follows writing.
ATOMIC = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
FINGERPRINT = ".job/fingerprint.json"


def score_to_store(
    inputs: Sequence[str | Path],
    output: str,
    *,
    overwrite: bool = False,
    on_part: OnPart | None = None,
    job: Callable[..., JobResult] = score_articles,
    **options: Any,
) -> JobResult:
    """Run :func:`inference.score_articles` with its output at an address such as ``s3://bucket/folder``.

    Disk is needed for all of the output. ``output`` of the result is the folder on this machine, which is gone by then.
    Raises JobRefusedError for a store that cannot promise to go on after a failure, or one that holds something else;
    StoreError where the store fails; and all that ``score_articles`` raises.
    """
    with tempfile.TemporaryDirectory(prefix="penchant-output-") as folder:
        store = _Store(output, Path(folder))
        if overwrite:
            store.clear()
        else:
            store.fetch()

        def send(part: Part) -> None:
            store.put_part(part)
            if on_part is not None:
                on_part(part)

        try:
            result = job(inputs, Path(folder), on_part=send, **options)
        except JobRefusedError as error:  # the folder that the message names is a stand-in
            raise JobRefusedError(str(error).replace(folder, output)) from error
        store.put_rest()
        return result


class _Store:
    """An output folder on a store, and its double on this machine."""

    def __init__(self, url: str, folder: Path) -> None:
        protocol = url.partition("://")[0]
        if protocol not in ATOMIC:
            raise JobRefusedError(
                f"{url}: a job cannot promise to go on after a failure on {protocol}://; give a folder, or one of "
                + ", ".join(f"{name}://" for name in ATOMIC)
            )
        self._url = url
        self._system, self._root = file_system(url)
        self._folder = folder
        self._begun = False

    def _names(self) -> list[str]:
        """What is there, by its name below the output."""
        self._system.invalidate_cache()
        found = self._guarded(self._system.find, self._root)
        return [key[len(self._root) + 1 :] for key in found]

    def fetch(self) -> None:
        """Get what a former run finished; refuse a folder that holds no job."""
        names = self._names()
        if names and FINGERPRINT not in names:
            raise JobRefusedError(f"{self._url} holds objects that are not of a job; give another --output")
        for name in names:
            local = self._folder / name
            if not local.resolve().is_relative_to(self._folder.resolve()):
                raise JobRefusedError(f"{self._url} holds an object named {name!r}; give another --output")
            local.parent.mkdir(parents=True, exist_ok=True)
            self._guarded(self._system.get_file, f"{self._root}/{name}", str(local))
        self._begun = bool(names)

    def clear(self) -> None:
        """Remove a job, its markers first; refuse what is no job."""
        names = self._names()
        if not names:
            return
        if FINGERPRINT not in names:
            raise JobRefusedError(f"{self._url} was not written by penchant score, so --overwrite does not clear it")
        ours = [name for name in names if name.partition("/")[0] in (".job", "passages", "articles") or "/" not in name]
        ours.sort(key=lambda name: (name == FINGERPRINT, not name.startswith(".job/part-")))
        for name in ours:  # one by one: the order matters, should it break off
            self._guarded(self._system.rm_file, f"{self._root}/{name}")

    def put_part(self, part: Part) -> None:
        """Send a part: its files, then its marker."""
        if not self._begun:
            self._put(self._folder / FINGERPRINT)
            self._begun = True
        for table in ("passages", "articles"):
            for path in (self._folder / table).glob(f"part-{part.number:05d}.*"):
                self._put(path)
        self._put(quarantine_path(self._folder, part.number))
        self._put(index_path(self._folder, part.number))
        self._put(marker_path(self._folder, part.number))

    def put_rest(self) -> None:
        """Send what the end of a job writes, the manifest last."""
        if not self._begun:
            self._put(self._folder / FINGERPRINT)
        files = [path for path in self._folder.iterdir() if path.is_file()]
        for path in sorted(files, key=lambda path: (path.name == "manifest.json", path.name)):
            self._put(path)

    def _put(self, path: Path) -> None:
        name = path.relative_to(self._folder).as_posix()
        self._guarded(self._system.put_file, str(path), f"{self._root}/{name}")

    def _guarded(self, action: Callable[..., Any], *arguments: str) -> Any:
        try:
            return action(*arguments)
        except Exception as error:  # each file system has errors of its own
            said = str(error).partition("\n")[0] or type(error).__name__
            raise StoreError(f"{self._url} failed ({said}); the same command goes on where it stopped") from error
