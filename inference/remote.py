"""Inputs on object stores and other remote file systems, through fsspec (``penchant[remote]``).

Access is configured as each file system's own tools are: for S3 the environment, ``~/.aws``, ``AWS_ENDPOINT_URL``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from inference.records import InputError


class StoreError(Exception):
    """A remote store that failed while a job ran; the message says what and where. No row is to blame."""


def is_remote(path: str | Path) -> bool:
    """Whether an input or output is an address such as ``s3://bucket/folder``."""
    return "://" in str(path)


def file_system(url: str) -> tuple[Any, str]:
    """The file system of an address and the path in it; raises InputError where fsspec or its part is missing."""
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        fault = str(error).partition("\n")[0]
        raise InputError(f"{url} cannot be reached ({fault}); install penchant[remote], or copy it here") from error
    return system, path.rstrip("/")


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One object: its address, its name below the input it came from, and its size."""

    url: str
    name: str
    size: int

    def open(self) -> BinaryIO:
        """Its bytes; raises StoreError where the store fails, so that no network fault is taken for a bad file."""
        return io.BufferedReader(_Guarded(self.url), 1 << 20)

    def size_now(self) -> int | None:
        """Its size at this moment; None where it is gone."""
        system, path = file_system(self.url)
        try:
            system.invalidate_cache()
            return int(system.info(path)["size"])
        except FileNotFoundError:
            return None
        except Exception as error:
            raise StoreError(_fault(self.url, error)) from error


class _Guarded(io.RawIOBase):
    """A remote file whose every error is a StoreError."""

    def __init__(self, url: str) -> None:
        self._url = url
        system, path = file_system(url)
        try:
            self._file = system.open(path, "rb")
        except Exception as error:  # each file system has errors of its own
            raise StoreError(_fault(url, error)) from error

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            content = self._file.read(len(view))
        except Exception as error:
            raise StoreError(_fault(self._url, error)) from error
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()


def _fault(url: str, error: Exception) -> str:
    said = str(error).partition("\n")[0] or type(error).__name__
    return f"{url} failed ({said}); the same command goes on where it stopped"


def walk(url: str) -> Iterator[tuple[RemoteObject, str | None]]:
    """Objects under an address in the order of their names, each with the reason to skip it, or None.

    Raises InputError where there is nothing, StoreError where the store does not answer.
    """
    system, path = file_system(url)
    try:
        found = system.find(path, detail=True)
    except Exception as error:
        raise StoreError(_fault(url, error)) from error
    if not found:
        raise InputError(f"{url} does not exist or is empty; check the address")
    outputs = _outputs(found)
    for key in sorted(found, key=lambda key: PurePosixPath(key).parts):
        name = key.rpartition("/")[2] if key == path else key[len(path) :].lstrip("/")
        reason = None
        if any(part.startswith(".") for part in PurePosixPath(name).parts):
            reason = "it is hidden"
        elif any(key.startswith(output) for output in outputs):
            reason = "it is of the outputs of a job"
        yield RemoteObject(system.unstrip_protocol(key), name, int(found[key]["size"] or 0)), reason


def _outputs(keys: Any) -> list[str]:
    """The folders that hold a job's outputs, each with its closing slash."""
    folders = (key[: -len("manifest.json")] for key in keys if key.endswith("/manifest.json"))
    return [folder for folder in folders if any(key.startswith(f"{folder}passages/") for key in keys)]
