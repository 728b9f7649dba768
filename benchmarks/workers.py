"""Two scoring processes against one, and two threads against one, on the same job. It wants two idle cores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.sample import best_seconds, parser, passages, print_ratio
from benchmarks.whole_job import write_articles
from inference.classifier import SHIPPED
from inference.job import score_articles
from inference.settings import ScoreSettings


def main(arguments: list[str] | None = None) -> None:
    """Print passages/s of one worker, of several and of several threads, and the ratios."""
    line = parser(__doc__)
    line.set_defaults(passages=4000, rounds=2)
    line.add_argument("--workers", type=int, default=2, help="processes, and threads, to set against one")
    line.add_argument("--part", type=int, default=250, help="passages a part; each worker wants many")
    line.add_argument("--model", type=Path, default=SHIPPED, help="an exported model folder")
    given = line.parse_args(arguments)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < given.workers:
        print(f"this process may use {cores} cores, so {given.workers} workers cannot be faster than one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_articles(folder / "articles.jsonl", passages(given.passages))

        def side(label: str, workers: int, threads: int) -> Callable[[], object]:
            settings = ScoreSettings(part_passages=given.part, workers=workers, threads=threads, underlined_passages=0)
            return partial(
                score_articles, [source], folder / label, model=given.model, settings=settings, overwrite=True
            )

        many, more = f"{given.workers} processes", f"{given.workers} threads"
        sides = {"one": side("one", 1, 1), many: side("many", given.workers, 1), more: side("more", 1, given.workers)}
        seconds = best_seconds(sides, given.rounds, "wall")  # processor time would hide what other processes spend
    for label, value in seconds.items():
        print(f"{label:<14} {given.passages / value:8.1f} passages/s, model's start and report included")
    print_ratio(f"of {many} to one", seconds["one"] / seconds[many], "1.8")
    print_ratio(f"of {more} to one", seconds["one"] / seconds[more], "-")


if __name__ == "__main__":
    main()
