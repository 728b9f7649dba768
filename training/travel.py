"""Carry token shards to a machine without a network and an encoder home again, in pieces with digests.

Text travels as xz pieces that each stand alone, so that they may arrive in any order and in several calls; weights
come home as plain cuts of ``model.safetensors``. Needs the standard library alone, until :func:`join` saves a
tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

INDEX, HOME = "pieces.json", "home.json"
# Sixteen-bit tokens: even and odd bytes are told apart (lp, pb); a larger dictionary gains nothing at this size.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 25, "lc": 3, "lp": 1, "pb": 1}]
_HOPED_RATIO = 2.1  # what xz saves on a tokenised mix; a piece that comes out too large is cut in two


class TravelError(Exception):
    """Something is missing, damaged or too large; one line: what, where and the mend."""


@dataclass(frozen=True)
class Slice:
    """``bytes`` bytes of a shard from offset ``start``."""

    file: str
    start: int
    bytes: int


@dataclass(frozen=True)
class Piece:
    """One compressed file: its size, its digest, and the slices it holds one after the other."""

    file: str
    bytes: int
    sha256: str
    slices: tuple[Slice, ...]


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise TravelError(f"{path} is not there: give the folder that holds it")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


# -- the way out -----------------------------------------------------------------------------------------------------


def _slices(sizes: list[tuple[str, int]], start: int, stop: int) -> tuple[Slice, ...]:
    """The parts of the shards that lie between two offsets of their concatenation."""
    found, base = [], 0
    for file, size in sizes:
        first, last = max(start, base), min(stop, base + size)
        if first < last:
            found.append(Slice(file, first - base, last - first))
        base += size
    return tuple(found)


def _pressed(
    shards: Path, sizes: list[tuple[str, int]], start: int, stop: int, limit: int
) -> Iterator[tuple[tuple[Slice, ...], bytes]]:
    slices = _slices(sizes, start, stop)
    compressor = lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=_FILTERS)
    parts: list[bytes] = []
    for part in slices:
        with (shards / part.file).open("rb") as file:
            file.seek(part.start)
            parts.append(compressor.compress(file.read(part.bytes)))
    data = b"".join([*parts, compressor.flush()])
    if len(data) <= limit:
        yield slices, data
    elif stop - start < 1024:
        raise TravelError(f"{limit} bytes a piece is too little: give at least a few thousand")
    else:
        middle = (start + stop) // 4 * 2  # tokens stay whole
        yield from _pressed(shards, sizes, start, middle, limit)
        yield from _pressed(shards, sizes, middle, stop, limit)


def pack(shards: Path, tokenizer: Path, output: Path, limit: int) -> list[Piece]:
    """Compress the shards of ``shards/shards.json`` into pieces of at most ``limit`` bytes under ``output``.

    Writes the tokenizer beside them and, last, ``pieces.json``. Raises TravelError for a shard that is missing or
    does not match its digest.
    """
    index = shards / "shards.json"
    if not index.exists():
        raise TravelError(f"{index} is not there: give the folder that penchant-train pretrain tokenised into")
    rows = json.loads(index.read_text(encoding="utf-8"))
    for row in rows:
        path = shards / row["file"]
        if not path.exists() or digest(path) != row["sha256"]:
            raise TravelError(f"{path} is missing or damaged: delete the folder and tokenise again")
    sizes = [(row["file"], int(row["tokens"]) * 2) for row in rows]
    total = sum(size for _, size in sizes)
    count = max(1, -(-total // int(limit * _HOPED_RATIO)))
    cuts = [total * number // count // 2 * 2 for number in range(count + 1)]
    output.mkdir(parents=True, exist_ok=True)
    for stale in (*output.glob("text-*.xz"), output / INDEX):
        stale.unlink(missing_ok=True)
    pieces: list[Piece] = []
    for start, stop in pairwise(cuts):
        for slices, data in _pressed(shards, sizes, start, stop, limit):
            name = f"text-{len(pieces):02d}.xz"
            (output / name).write_bytes(data)
            pieces.append(Piece(name, len(data), hashlib.sha256(data).hexdigest(), slices))
    shutil.copyfile(tokenizer, output / "tokenizer.json")
    content = {"tokenizer": digest(tokenizer), "pieces": [asdict(piece) for piece in pieces], "shards": rows}
    (output / INDEX).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return pieces


def _restore(data: bytes, slices: list[dict[str, Any]], output: Path) -> None:
    plain, offset = lzma.decompress(data), 0
    for part in slices:
        path = output / part["file"]
        with path.open("r+b" if path.exists() else "wb") as out:
            out.seek(part["start"])
            out.write(plain[offset : offset + part["bytes"]])
        offset += part["bytes"]


def unpack(folder: Path, output: Path) -> list[str]:
    """Verify and restore the pieces in ``folder``; returns the names of those that have yet to come.

    ``folder`` holds ``pieces.json`` and at least some of the pieces; what came earlier is remembered in ``output``,
    where ``shards.json`` appears once every shard is whole. Raises TravelError for a digest that does not match.
    """
    index = _read(folder / INDEX)
    output.mkdir(parents=True, exist_ok=True)
    if (folder / "tokenizer.json").exists():
        if digest(folder / "tokenizer.json") != index["tokenizer"]:
            raise TravelError(f"{folder / 'tokenizer.json'} is damaged: send it again")
        shutil.copyfile(folder / "tokenizer.json", output / "tokenizer.json")
    arrived = output / "arrived.json"
    known: list[str] = json.loads(arrived.read_text(encoding="utf-8")) if arrived.exists() else []
    for piece in index["pieces"]:
        path = folder / piece["file"]
        if piece["sha256"] in known or not path.exists():
            continue
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != piece["sha256"]:
            raise TravelError(f"{path} is damaged: send it again")
        _restore(data, piece["slices"], output)
        known.append(piece["sha256"])
        arrived.write_text(json.dumps(known), encoding="utf-8")
    missing = [piece["file"] for piece in index["pieces"] if piece["sha256"] not in known]
    if not missing:
        for row in index["shards"]:
            if digest(output / row["file"]) != row["sha256"]:
                raise TravelError(f"{output / row['file']} is not what was packed: delete the folder and unpack again")
        (output / "shards.json").write_text(json.dumps(index["shards"], indent=1), encoding="utf-8")
    return missing


# -- the way home ----------------------------------------------------------------------------------------------------


def split(encoder: Path, home: Path, limit: int, progress: dict[str, Any]) -> int:
    """Cut ``encoder/model.safetensors`` into equal parts of at most ``limit`` bytes; returns how many.

    Parts, configuration, digests and ``progress`` replace what ``home`` held in one move.
    """
    data = (encoder / "model.safetensors").read_bytes()
    count = -(-len(data) // limit)
    size = -(-len(data) // count)
    fresh, old = home.with_name(home.name + ".new"), home.with_name(home.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    parts = []
    for number in range(count):
        part = data[number * size : (number + 1) * size]
        name = f"weights-{number}.part"
        (fresh / name).write_bytes(part)
        parts.append({"file": name, "bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()})
    content = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "parts": parts,
        "config": json.loads((encoder / "config.json").read_text(encoding="utf-8")),
        "progress": progress,
    }
    (fresh / HOME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(old, ignore_errors=True)
    if home.exists():
        home.rename(old)
    fresh.rename(home)
    shutil.rmtree(old, ignore_errors=True)
    return count


def assemble(home: Path) -> tuple[bytes, dict[str, Any]]:
    """The bytes of ``model.safetensors`` and the content of ``home.json``, verified by digest."""
    content = _read(home / HOME)
    data = b""
    for part in content["parts"]:
        path = home / part["file"]
        if not path.exists():
            raise TravelError(f"{path} is not there: {len(content['parts'])} parts belong together, fetch them all")
        piece = path.read_bytes()
        if hashlib.sha256(piece).hexdigest() != part["sha256"]:
            raise TravelError(f"{path} is damaged or of another checkpoint: fetch all parts of one call")
        data += piece
    if hashlib.sha256(data).hexdigest() != content["sha256"]:
        raise TravelError(f"{home} does not add up to the weights that were cut: fetch it again")
    return data, content


def join(home: Path, tokenizer: Path, output: Path) -> dict[str, Any]:
    """Put an encoder together as a standard Hugging Face folder in half precision; returns the run's progress."""
    from tokenizers import Tokenizer

    from training.text import save_tokenizer

    data, content = assemble(home)
    output.mkdir(parents=True, exist_ok=True)
    (output / "model.safetensors").write_bytes(data)
    (output / "config.json").write_text(json.dumps(content["config"], indent=2) + "\n", encoding="utf-8")
    save_tokenizer(Tokenizer.from_file(str(tokenizer)), output, int(content["config"]["max_position_embeddings"]))
    progress: dict[str, Any] = content["progress"]
    return progress
