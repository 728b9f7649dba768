"""A loss that sees contrast groups, and the sampler that brings a group's members into one batch.

Members of a contrast group share topic, actors and most words: cross-entropy row by row can be lowered by what they
share. The loss here asks only what the small edit does. Of two members with labels a ≠ b, known to be one of each,
which is which? Minus the log-likelihood of the right assignment is softplus(−d), with

    d = (z₁[a] − z₁[b]) + (z₂[b] − z₂[a])

from the members' logits z: whatever both have in common cancels out. Two members with one label are asked to agree:
half the symmetric Kullback–Leibler divergence of their probabilities.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch.nn import functional

from training.corpus import Example
from training.slices import PHENOMENON

#: A row without a group.
ALONE = -1
#: Batches that are sorted by length together: enough to save padding, few enough to mix.
SORTED_BATCHES = 50


def contrast_codes(examples: Sequence[Example]) -> list[int]:
    """A number for each contrast group, shared by its members; ``ALONE`` for prose and for a group of one."""
    names = [example.group if example.facets.get(PHENOMENON) is not None else None for example in examples]
    sizes = Counter(name for name in names if name is not None)
    codes: dict[str, int] = {}
    return [ALONE if name is None or sizes[name] == 1 else codes.setdefault(name, len(codes)) for name in names]


def group_loss(logits: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """The mean over contrasting pairs plus the mean over agreeing pairs; zero where the batch holds no pair.

    ``logits`` (n, k) of one task, ``labels`` (n,) with negatives for none, ``groups`` (n,) with ``ALONE`` for none.
    """
    known = (labels >= 0) & (groups != ALONE)
    together = (groups[:, None] == groups[None, :]) & known[:, None] & known[None, :]
    first, second = torch.nonzero(together.triu(diagonal=1), as_tuple=True)
    total = logits.new_zeros(())
    if not len(first):
        return total
    a, b = labels[first], labels[second]
    differ = a != b
    if bool(differ.any()):
        one, two = first[differ], second[differ]
        own, other = a[differ], b[differ]
        distance = logits[one, own] - logits[one, other] + logits[two, other] - logits[two, own]
        total = total + functional.softplus(-distance).mean()
    if not bool(differ.all()):
        log_one, log_two = (functional.log_softmax(logits[rows[~differ]], dim=-1) for rows in (first, second))
        gap = ((log_one.exp() - log_two.exp()) * (log_one - log_two)).sum(dim=-1)
        total = total + 0.5 * gap.mean()
    return total


class GroupedBatches(torch.utils.data.Sampler[int]):
    """Row numbers such that each run of ``batch_size`` is a batch of like lengths that holds its groups whole.

    A group that fits nowhere whole (at the very end, or wider than a batch) is parted. The order is drawn anew at each
    reading by torch's global generator, as the Trainer's own samplers do.
    """

    def __init__(self, lengths: Sequence[int], groups: Sequence[int], batch_size: int) -> None:
        self.lengths, self.batch_size = lengths, batch_size
        units: dict[int, list[int]] = {}
        for row, group in enumerate(groups):
            # A row of its own has a negative key of its own.
            units.setdefault(group if group != ALONE else -2 - row, []).append(row)
        self.units = list(units.values())

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(len(self.units)).tolist()
        bounds, rows = [0], 0
        for place, unit in enumerate(order, 1):
            rows += len(self.units[unit])
            if rows >= SORTED_BATCHES * self.batch_size or place == len(order):
                bounds.append(place)
                rows = 0
        batches: list[list[int]] = []
        left: list[list[int]] = []
        for start, end in pairwise(bounds):
            chunk = [self.units[unit] for unit in order[start:end]] + left
            full, left = pack(sorted(chunk, key=self._length, reverse=True), self.batch_size)
            batches += full
        mixed = [batches[place] for place in torch.randperm(len(batches)).tolist()]
        yield from (row for batch in mixed for row in batch)
        yield from (row for unit in left for row in unit)

    def _length(self, unit: Sequence[int]) -> float:
        return sum(self.lengths[row] for row in unit) / len(unit)


def pack(units: Sequence[list[int]], size: int) -> tuple[list[list[int]], list[list[int]]]:
    """Full batches of exactly ``size`` rows from whole units in their order, and the units that are left over.

    Where the next unit is too wide for the room left, the nearest narrower one goes first.
    """
    waiting = deque(units)
    batches: list[list[int]] = []
    batch: list[int] = []
    taken: list[list[int]] = []
    while waiting:
        place = next((place for place, unit in enumerate(waiting) if len(unit) <= size - len(batch)), None)
        if place is None:
            break
        unit = waiting[place]
        del waiting[place]
        batch += unit
        taken.append(unit)
        if len(batch) == size:
            batches.append(batch)
            batch, taken = [], []
    return batches, [*taken, *waiting]
