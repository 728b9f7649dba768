"""Peak memory of a job on many passages against one on few: the resident set of the command's own process, watched.

Rows are passages of the example articles, each with an id of its own; as they come again, most of them are scored once
a part, which saves hours here and no memory: rows are read, kept for their part and written all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from benchmarks.sample import ARTICLES, ROOT, print_ratio
from inference.classifier import SHIPPED

#: Lines of the curve that is printed.
POINTS = 12
PAGE = os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str] | None = None) -> None:
    """Print the peak and the curve of both jobs, and the ratio of the peaks."""
    line = argparse.ArgumentParser(description=__doc__)
    line.add_argument("--passages", type=int, default=1_000_000, help="passages of the large job")
    line.add_argument("--few", type=int, default=10_000, help="passages of the small job")
    line.add_argument("--model", type=Path, default=SHIPPED, help="an exported model folder")
    given = line.parse_args(arguments)
    small, large = (watched(count, given.model) for count in (given.few, given.passages))
    print_ratio(f"of peak memory, {given.passages:,} passages to {given.few:,}", large / small, "at most 1.2")


def watched(count: int, model: Path) -> float:
    """Run a job of ``count`` passages in a process of its own; print its memory curve, return its peak in MiB."""
    with tempfile.TemporaryDirectory() as name:
        source, output = Path(name) / "passages.jsonl", Path(name) / "out"
        with source.open("w", encoding="utf-8") as file:
            for number, text in enumerate(islice(cycle(example_passages()), count)):
                file.write(json.dumps({"id": f"p{number}", "text": text}, ensure_ascii=False) + "\n")
        command = [sys.executable, "-m", "inference", "score", str(source), "--output", str(output)]
        command += ["--unit", "passage", "--model", str(model), "--threads", "1", "--quiet"]
        began = time.perf_counter()
        job = subprocess.Popen(command, cwd=ROOT)
        curve: list[tuple[float, float]] = []
        while job.poll() is None:
            if (size := resident(job.pid)) > 0:
                curve.append((time.perf_counter() - began, size))
            time.sleep(0.05)
        if job.returncode:
            sys.exit(f"the job of {count} passages ended with {job.returncode}")
    peak = max(size for _, size in curve)
    print(f"{count:,} passages: peak {peak:.0f} MiB, {curve[-1][0]:.0f} s")
    for seconds, size in curve[:: max(1, len(curve) // POINTS)]:
        print(f"  {seconds:8.1f} s {size:7.0f} MiB  {'#' * round(50 * size / peak)}")
    return peak


def resident(process: int) -> float:
    """Resident memory of a process in MiB; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE / 2**20
    except OSError:
        return 0.0


def example_passages() -> Iterator[str]:
    """The paragraphs of the example articles that are plain text."""
    for path in sorted(ARTICLES.glob("*.txt")):
        yield from (text for text in path.read_text(encoding="utf-8").split("\n\n") if len(text) > len(path.name))


if __name__ == "__main__":
    main()
