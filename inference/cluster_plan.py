"""Who reads what on a cluster: inputs are grouped into shards, and a shard's rows are cut into parts, before scoring.

A first, quick reading of every shard (a *survey*) finds the files' digests, where the parts begin, and the ids that
occur more than once anywhere, so that afterwards every shard can be read alone and still gives the very rows of the
single-machine job. Of each row the driver keeps nine bytes: eight of its id's digest, one of its state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from inference.articles import Article, ReadOptions, Rejected, id_digest, read_file, repeated
from inference.inputs import InputFile
from inference.progress import ClusterError
from inference.since import FormerJob

#: A shard is closed at so many bytes on disk, or so many files; a file is never cut, so one may be larger.
SHARD_BYTES, SHARD_FILES = 64_000_000, 2_000
#: Characters that count as one passage where parts are cut, before anything is split.
CHARACTERS_A_PASSAGE = 400
#: States of a row in a survey.
REJECTED, NEW, CHANGED, UNCHANGED = 0, 1, 2, 3
_STATES = {"new": NEW, "changed": CHANGED, "unchanged": UNCHANGED}


@dataclass(frozen=True, slots=True)
class PartPlan:
    """A part: the rows ``start`` to ``stop`` of its shard."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Files that are read one after another by one reader, and what is to be made of their rows.

    ``repeats`` are the rows whose id was read before, here or in an earlier shard.
    """

    number: int
    files: tuple[InputFile, ...]
    parts: tuple[PartPlan, ...] = ()
    repeats: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first reading of a shard found: its files' SHA-256, and of each row its id, its state and its part.

    ``ids`` are digests as uint64, 0 for rejected rows; ``states`` are uint8; ``cuts`` are the rows at which parts end.
    """

    digests: tuple[str, ...]
    ids: bytes = field(repr=False)
    states: bytes = field(repr=False)
    cuts: tuple[int, ...]


def group(files: Sequence[InputFile]) -> list[Shard]:
    """Cut the list of files into shards, in order."""
    shards: list[Shard] = []
    bundle: list[InputFile] = []
    size = 0
    for file in files:
        bundle.append(file)
        size += file.size
        if size >= SHARD_BYTES or len(bundle) == SHARD_FILES:
            shards.append(Shard(len(shards), tuple(bundle)))
            bundle, size = [], 0
    if bundle:
        shards.append(Shard(len(shards), tuple(bundle)))
    return shards


def survey(shard: Shard, options: ReadOptions, former: FormerJob | None, part_passages: int) -> Survey:
    """Read a shard without splitting or scoring it."""
    ids: list[int] = []
    states = bytearray()
    cuts: list[int] = []
    weight = 0
    for item in _read(shard, options):
        if isinstance(item, Rejected):
            ids.append(0)
            states.append(REJECTED)
            weight += 1
        else:
            ids.append(id_digest(item.id))
            state = former.find(item) if former is not None else "new"
            states.append(_STATES[state])
            weight += 0 if state == "unchanged" else 1 + len(item.text) // CHARACTERS_A_PASSAGE
        if weight >= part_passages:
            cuts.append(len(ids))
            weight = 0
    if len(ids) > (cuts[-1] if cuts else 0):
        cuts.append(len(ids))
    digests = tuple(file.sha256() for file in shard.files)
    return Survey(digests, np.array(ids, dtype=np.uint64).tobytes(), bytes(states), tuple(cuts))


def _read(shard: Shard, options: ReadOptions) -> Iterator[Article | Rejected]:
    """All rows of a shard; a file that this node sees otherwise than the driver did must not be taken for a bad one."""
    for file in shard.files:
        seen = file.size_now()
        if seen != file.size:
            found = "is not there" if seen is None else f"has {seen:,} bytes, not {file.size:,}"
            raise ClusterError(
                f"{file.name} {found} on a worker; put inputs where every node sees them, and leave them"
            )
        yield from read_file(file, options)


def plan(shards: Sequence[Shard], surveys: Sequence[Survey]) -> list[Shard]:
    """The shards with their parts, numbered through, and the rows whose ids were read before."""
    lengths = [len(found.states) for found in surveys]
    ids = np.concatenate([np.frombuffer(found.ids, dtype=np.uint64) for found in surveys] or [np.empty(0, np.uint64)])
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    again = np.zeros(len(ids), dtype=bool)
    again[1:] = (ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)
    repeats = np.sort(order[again])
    planned: list[Shard] = []
    number, first = 0, 0
    for shard, found, length in zip(shards, surveys, lengths, strict=True):
        low, high = np.searchsorted(repeats, (first, first + length))
        mine = repeats[low:high] - first
        wanted = np.frombuffer(found.states, dtype=np.uint8) != UNCHANGED
        wanted[mine] = True
        parts: list[PartPlan] = []
        start = 0
        for stop in found.cuts:
            if wanted[start:stop].any():
                parts.append(PartPlan(number, start, stop))
                number += 1
            start = stop
        planned.append(Shard(shard.number, shard.files, tuple(parts), frozenset(mine.tolist())))
        first += length
    return planned


def count_states(surveys: Sequence[Survey], shards: Sequence[Shard]) -> dict[str, int]:
    """How many articles are new, changed and unchanged, repeated ids left out."""
    counts = dict.fromkeys(_STATES, 0)
    for found, shard in zip(surveys, shards, strict=True):
        states = np.frombuffer(found.states, dtype=np.uint8).copy()
        states[sorted(shard.repeats)] = REJECTED
        for name, state in _STATES.items():
            counts[name] += int((states == state).sum())
    return counts


def read_parts(
    shard: Shard, options: ReadOptions, former: FormerJob | None
) -> Iterator[tuple[int, list[Article | Rejected]]]:
    """The rows of each part of a shard, in order, with the part's number; what is unchanged is left out."""
    parts = iter(shard.parts)
    part = next(parts, None)
    rows: list[Article | Rejected] = []
    for number, item in enumerate(_read(shard, options)):
        if part is None:
            return
        if number >= part.start:
            rows += _kept(item, number in shard.repeats, former)
        if number + 1 == part.stop:
            yield part.number, rows
            part, rows = next(parts, None), []
    if part is not None:
        raise ClusterError(f"{shard.files[0].path} and those after it changed while the job ran; start again")


def _kept(item: Article | Rejected, again: bool, former: FormerJob | None) -> list[Article | Rejected]:
    if isinstance(item, Rejected):
        return [item]
    if again:
        return [repeated(item)]
    return [] if former is not None and former.find(item) == "unchanged" else [item]
