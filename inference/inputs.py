"""Which files a job reads: the formats, a deterministic walk of folders, and standard input set down as a file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from inference.records import InputError
from inference.remote import RemoteObject, is_remote, walk

#: Suffix to format; each may be followed by a suffix of COMPRESSIONS.
FORMATS = {
    ".txt": "txt",
    ".md": "md",
    ".markdown": "md",
    ".html": "html",
    ".htm": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
UNKNOWN_SUFFIX = "its suffix is none of"
KNOWN = ", ".join(FORMATS) + " (each also " + ", ".join(COMPRESSIONS) + ")"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read: ``name`` stands in places and ids; ``compression`` is None or a value of COMPRESSIONS."""

    path: Path
    name: str
    format: str
    compression: str | None
    size: int
    remote: RemoteObject | None = None

    def sha256(self) -> str:
        """SHA-256 of the file as it lies on disk; empty where it cannot be read (reading then rejects it)."""
        try:
            with self.open() as file:
                return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # wants readinto
        except OSError:
            return ""

    def open(self) -> BinaryIO:
        """The file's bytes as they lie there, packed where it is packed."""
        return self.path.open("rb") if self.remote is None else self.remote.open()

    def size_now(self) -> int | None:
        """The size that the file has at this moment, seen from here; None where it is not there."""
        if self.remote is not None:
            return self.remote.size_now()
        try:
            return self.path.stat().st_size
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that was found and not taken, and why."""

    path: Path | str
    reason: str


class InputList(list[InputFile]):
    """The files to read, in order; ``skipped`` tells what the walk passed over."""

    def __init__(self, files: Sequence[InputFile], skipped: Sequence[Skipped]) -> None:
        """Keep both, in order."""
        super().__init__(files)
        self.skipped = tuple(skipped)


def list_inputs(inputs: Sequence[str | Path]) -> InputList:
    """The files under ``inputs``, in the order given, folders walked in the order of their names; each file once.

    A file's name is relative to the input it came from; should two inputs hold the same name, names are relative to
    the folder that holds all. Hidden files, unknown suffixes, links to folders and the outputs of former jobs are
    skipped and told. Raises InputError where an input does not exist or nothing is left to read.
    """
    if not inputs:
        raise InputError("no input was given; name a file or a folder of articles")
    if any(map(is_remote, inputs)):
        return _list_remote([str(given) for given in inputs])
    found: dict[Path, tuple[Path, str]] = {}
    skipped: list[Skipped] = []
    for given in map(Path, inputs):
        if not given.exists():
            raise InputError(f"{given} does not exist; check the path")
        walked = _walk(given, skipped) if given.is_dir() else iter([(given, given.name)])
        for path, name in walked:
            found.setdefault(path.resolve(), (path, name))
    if max(Counter(name for _, name in found.values()).values(), default=0) > 1:
        common = os.path.commonpath([path.parent for path in found])
        found = {real: (path, real.relative_to(common).as_posix()) for real, (path, _) in found.items()}
    files: list[InputFile] = []
    for path, name in found.values():
        form, compression = format_of(path)
        if form is None:
            skipped.append(Skipped(path, f"{UNKNOWN_SUFFIX} {KNOWN}"))
            continue
        try:
            files.append(InputFile(path, _printable(name), form, compression, path.stat().st_size))
        except OSError as error:
            skipped.append(Skipped(path, f"it cannot be reached ({error.strerror})"))
    if not files:
        raise _nothing_to_read(inputs, skipped)
    return InputList(files, skipped)


def _list_remote(inputs: Sequence[str]) -> InputList:
    """The objects under addresses, as :func:`list_inputs` lists files."""
    if here := next((given for given in inputs if not is_remote(given)), None):
        raise InputError(f"{here} is on this machine and other inputs are not; score them in two jobs")
    found: dict[str, RemoteObject] = {}
    skipped: list[Skipped] = []
    for given in inputs:
        for entry, reason in walk(given):
            if reason is None:
                found.setdefault(entry.url, entry)
            else:
                skipped.append(Skipped(entry.url, reason))
    entries = list(found.values())
    if len({entry.name for entry in entries}) < len(entries):
        entries = [replace(entry, name=entry.url.partition("://")[2]) for entry in entries]
    files: list[InputFile] = []
    for entry in entries:
        form, compression = format_of(Path(entry.name))
        if form is None:
            skipped.append(Skipped(entry.url, f"{UNKNOWN_SUFFIX} {KNOWN}"))
        else:
            files.append(InputFile(Path(entry.name), entry.name, form, compression, entry.size, entry))
    if not files:
        raise _nothing_to_read(inputs, skipped)
    return InputList(files, skipped)


def _nothing_to_read(inputs: Sequence[str | Path], skipped: Sequence[Skipped]) -> InputError:
    found = "it holds no file" if len(inputs) == 1 else "they hold no file"
    if skipped:
        found = f"{len(skipped):,} skipped (the first: {skipped[0].path}, {skipped[0].reason})"
    mend = "" if skipped and skipped[0].reason.startswith(UNKNOWN_SUFFIX) else f"; what is read ends in {KNOWN}"
    return InputError(f"nothing to read in {', '.join(map(str, inputs))}: {found}{mend}")


def format_of(path: Path) -> tuple[str | None, str | None]:
    """Format and compression by suffix: ``a.csv.gz`` is ``("csv", "gzip")``; format None where it is not known."""
    suffix = path.suffix.lower()
    if suffix in COMPRESSIONS:
        return FORMATS.get(Path(path.stem).suffix.lower()), COMPRESSIONS[suffix]
    return FORMATS.get(suffix), None


def _walk(folder: Path, skipped: list[Skipped]) -> Iterator[tuple[Path, str]]:
    """Files under ``folder`` with their relative names, by name, a folder after its files."""

    def unreadable(error: OSError) -> None:
        skipped.append(Skipped(Path(error.filename), f"the folder cannot be listed ({error.strerror})"))

    for root, folders, files in os.walk(folder, onerror=unreadable):
        here = Path(root)
        if "manifest.json" in files and {"passages", "articles"} <= set(folders):
            skipped.append(Skipped(here, "it holds the outputs of a job"))
            folders.clear()
            continue
        for name in list(folders):
            if name.startswith("."):
                folders.remove(name)
                skipped.append(Skipped(here / name, "it is hidden"))
            elif (here / name).is_symlink():
                folders.remove(name)
                skipped.append(Skipped(here / name, "it is a link to a folder; name the folder itself"))
        folders.sort()
        for name in sorted(files):
            path = here / name
            if name.startswith("."):
                skipped.append(Skipped(path, "it is hidden"))
            elif not _is_file(path):
                skipped.append(Skipped(path, "it is no regular file, or cannot be reached"))
            else:
                yield path, path.relative_to(folder).as_posix()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _printable(name: str) -> str:
    """A file name that can be written as UTF-8, whatever bytes the file system holds."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def spool_stdin(stream: BinaryIO, folder: Path) -> Path:
    """Set standard input down in ``folder`` as ``stdin.jsonl`` or ``stdin.txt``, and return the path.

    It is taken for JSON lines when its first line is, or begins as, a JSON object; otherwise it is one text.
    """
    head = stream.read(1 << 20)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("stdin.jsonl" if _begins_as_json_lines(head) else "stdin.txt")
    with path.open("wb") as file:
        file.write(head)
        shutil.copyfileobj(stream, file)
    return path


def _begins_as_json_lines(head: bytes) -> bool:
    start = head.decode("utf-8-sig", errors="replace").lstrip()
    if not start.startswith("{"):
        return False
    first, newline, _ = start.partition("\n")
    try:
        return isinstance(json.loads(first), dict)
    except ValueError:  # a first line that is longer than the head cannot be parsed; its beginning decides
        return not newline and start[1:].lstrip().startswith('"')
