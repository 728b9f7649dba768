"""Length-homogeneous batches under a token budget: little padding, and nothing that depends on the neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows (indices into the caller's sequence) that are scored together, padded to ``width`` tokens."""

    rows: tuple[int, ...]
    width: int


def padded_width(length: int, step: int, longest: int) -> int:
    """The width a row of ``length`` tokens is padded to: a function of the row alone, never of its batch mates."""
    return min(max(step, -(-length // step) * step), max(longest, length))


def plan_batches(
    lengths: Sequence[int], *, token_budget: int = 1024, step: int = 8, longest: int = 512, max_rows: int = 64
) -> Iterator[Batch]:
    """Group rows of equal padded width, at most ``token_budget`` padded tokens and ``max_rows`` rows a batch.

    The defaults were the fastest on passages of about 90 tokens: the values of 1,024 tokens stay near the core, and
    steps of 8 pad by 4 %, where finer ones leave batches of one or two rows in a small job. Rows of one width keep
    their order. Since a row's width depends on the row alone, its score does not move with the rows that happen to
    travel with it.
    """
    by_width: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        by_width.setdefault(padded_width(length, step, longest), []).append(row)
    for width in sorted(by_width):
        rows = by_width[width]
        size = max(1, min(max_rows, token_budget // width))
        for start in range(0, len(rows), size):
            yield Batch(tuple(rows[start : start + size]), width)
