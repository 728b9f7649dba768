"""From nothing to the first score: a fresh process that imports, opens the model and scores one sentence."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.sample import CHECKPOINT, ROOT, print_ratio
from inference.classifier import SHIPPED

SENTENCE = "Le syndicat salue la levée des quotas."
OURS = "import sys; from inference import Classifier; Classifier.load(sys.argv[1], threads=1).predict([sys.argv[2]])"
PIPELINE = (
    "import sys; from transformers import pipeline; "
    "pipeline('text-classification', model=sys.argv[1], device='cpu', top_k=None)(sys.argv[2])"
)


def main(arguments: list[str] | None = None) -> None:
    """Print the seconds of both and the ratio."""
    line = argparse.ArgumentParser(description=__doc__)
    line.add_argument("--rounds", type=int, default=5, help="fresh processes a side; the median counts")
    line.add_argument("--model", type=Path, default=SHIPPED, help="an exported model folder")
    line.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="the checkpoint of the same weights")
    given = line.parse_args(arguments)
    ours, theirs = [], []
    for _ in range(given.rounds):
        ours.append(seconds(OURS, given.model))
        theirs.append(seconds(PIPELINE, given.checkpoint))
    first, second = statistics.median(ours), statistics.median(theirs)
    print(f"penchant   {first:6.2f} s to the first score (fastest {min(ours):.2f})")
    print(f"pipeline   {second:6.2f} s (fastest {min(theirs):.2f})")
    print_ratio("of a second to our cold start", 1.0 / first, "1")
    print_ratio("of the pipeline's cold start to ours", second / first, "-")


def seconds(program: str, model: Path) -> float:
    """Wall time of a fresh interpreter that runs ``program`` with the model and the sentence."""
    began = time.perf_counter()
    command = [sys.executable, "-c", program, str(model), SENTENCE]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
