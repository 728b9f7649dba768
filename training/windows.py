"""Fixed windows over token shards, in an order that is a pure function of (seed, step): resuming is exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """Tokens of one source, memory-mapped; the last ``held_out`` windows are never trained on."""

    name: str
    tokens: npt.NDArray[np.uint16]
    weight: float
    windows: int
    held_out: int


class Windows:
    """Windows of ``length`` ids, ``[CLS]`` first, over all sources by weight.

    A window is ``length - 1`` consecutive tokens of its source; documents inside it are parted by ``[SEP]``.
    """

    def __init__(self, sources: list[tuple[str, Path, float]], length: int, cls_id: int, seed: int) -> None:
        self.length, self.cls_id, self.seed = length, cls_id, seed
        self.sources: list[Source] = []
        for name, path, weight in sources:
            tokens = np.memmap(path, dtype="<u2", mode="r")
            windows = len(tokens) // (length - 1)
            held_out = min(max(1, windows // 200), 128)
            if windows > held_out:
                self.sources.append(Source(name, tokens, weight, windows, held_out))
        if not self.sources:
            raise ValueError("no source holds a window: give longer text or a shorter length")
        self._epoch = -1
        self._order: Ids = np.empty(0, dtype=np.int64)
        self.epoch_windows = sum(self._share(source, 0).size for source in self.sources)

    def _share(self, source: Source, epoch: int) -> Ids:
        """The windows of a source that an epoch reads: a rolling slice, so that weight 0.5 reads all in two epochs."""
        usable = source.windows - source.held_out
        count = max(1, round(usable * source.weight))
        return (np.arange(count, dtype=np.int64) + epoch * count) % usable

    def _epoch_order(self, epoch: int) -> Ids:
        if epoch != self._epoch:
            pairs = [self._share(s, epoch) + (number << 40) for number, s in enumerate(self.sources)]
            order = np.concatenate(pairs)
            np.random.default_rng((self.seed, epoch)).shuffle(order)
            self._epoch, self._order = epoch, order
        return self._order

    def places(self, step: int, size: int) -> tuple[Ids, Ids]:
        """Which windows the batch of ``step`` holds: numbers of sources, numbers of windows in them; both (size,)."""
        parts, position, end = [], step * size, (step + 1) * size
        while position < end:
            epoch, place = divmod(position, self.epoch_windows)
            part = self._epoch_order(epoch)[place : place + end - position]
            parts.append(part)
            position += len(part)
        codes = np.concatenate(parts)
        return codes >> 40, codes & ((1 << 40) - 1)

    def _read(self, source: Source, indices: Ids) -> Ids:
        body = self.length - 1
        ids = np.empty((len(indices), self.length), dtype=np.int64)
        ids[:, 0] = self.cls_id
        ids[:, 1:] = source.tokens[: source.windows * body].reshape(-1, body)[indices]
        return ids

    def batch(self, step: int, size: int) -> Ids:
        """The training batch of ``step``, shape (size, length)."""
        numbers, indices = self.places(step, size)
        ids = np.empty((size, self.length), dtype=np.int64)
        for number in np.unique(numbers):
            rows = numbers == number
            ids[rows] = self._read(self.sources[number], indices[rows])
        return ids

    def held_out(self, size: int) -> Iterator[tuple[str, Ids]]:
        """Batches of held-out windows, source by source: (source name, ids of shape (≤ size, length))."""
        for source in self.sources:
            first = source.windows - source.held_out
            for start in range(first, source.windows, size):
                stop = min(start + size, source.windows)
                yield source.name, self._read(source, np.arange(start, stop, dtype=np.int64))
