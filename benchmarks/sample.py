"""Texts to measure on, and how a measurement is taken and printed."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from itertools import cycle, islice
from pathlib import Path

ROOT = Path(__file__).parent.parent
ARTICLES = ROOT / "examples" / "articles"
#: Where `penchant-train run configs/train/mini.yaml` leaves the checkpoint of the shipped model.
CHECKPOINT = ROOT / "runs" / "mini" / "train-11" / "checkpoint"
CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def passages(count: int) -> list[str]:
    """Passages of the corpus' validation split, none twice: when they are through, they come again with a number."""
    lines = (ROOT / "training" / "corpus" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    return [
        text if place < len(texts) else f"{text} ({place})" for place, text in enumerate(islice(cycle(texts), count))
    ]


def parser(about: str | None) -> argparse.ArgumentParser:
    """A command line with the options that all single-process benchmarks share."""
    line = argparse.ArgumentParser(description=about)
    line.add_argument("--passages", type=int, default=600, help="how many passages are scored")
    line.add_argument("--rounds", type=int, default=3, help="each side is run so often, in turns; its best run counts")
    line.add_argument("--threads", type=int, default=1, help="threads of every model")
    line.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="cpu: on a machine with other work")
    return line


def best_seconds(sides: Mapping[str, Callable[[], object]], rounds: int, clock: str) -> dict[str, float]:
    """Seconds of the best of ``rounds`` runs of each side; sides take turns, so that a slow spell meets them all."""
    now = CLOCKS[clock]
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, run in sides.items():
            began = now()
            run()
            best[name] = min(best[name], now() - began)
    return best


def print_ratio(what: str, ratio: float, goal: str) -> None:
    """One line of a result."""
    print(f"ratio  {what:<64} {ratio:7.2f}   (goal {goal})")
