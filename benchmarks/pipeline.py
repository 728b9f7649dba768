"""Passages a second against what people call otherwise: the transformers pipeline, and sorted PyTorch batches.

The checkpoint is stored in 16 bits, in which a processor runs the pipeline very slowly; the pipeline is measured in
float32 as well, and the goals are held against that, its better side.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.sample import CHECKPOINT, best_seconds, parser, passages, print_ratio
from inference.classifier import SHIPPED, Classifier

BATCHES = (4, 8, 32)


def main(arguments: list[str] | None = None) -> None:
    """Print passages/s of every side and the ratios of ours to each."""
    line = parser(__doc__)
    line.set_defaults(passages=200, rounds=1)
    line.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="the checkpoint of the model")
    line.add_argument("--model", type=Path, default=SHIPPED, help="the exported folder of the same weights")
    line.add_argument("--batches", type=int, nargs="+", default=list(BATCHES), help="batch sizes to try")
    given = line.parse_args(arguments)

    import torch

    torch.set_num_threads(given.threads)
    texts = passages(given.passages)
    ours = Classifier.load(given.model, threads=given.threads)
    sides: dict[str, Callable[[], object]] = {f"penchant {ours.bundle.precision}": partial(ours.predict, texts)}
    sides |= pipelines(given.checkpoint, texts, ours.bundle.max_length, given.batches)
    sides |= sorted_batches(given.checkpoint, texts, ours.bundle.max_length, given.batches)
    seconds = best_seconds(sides, given.rounds, given.clock)
    for name, value in seconds.items():
        print(f"{name:<40} {len(texts) / value:8.1f} passages/s")
    base = seconds[next(iter(sides))]

    def against(prefix: str) -> float:
        return min(value for name, value in seconds.items() if name.startswith(prefix)) / base

    print_ratio("to the pipeline, batch 1, float32", seconds["pipeline float32 batch 1"] / base, "8")
    print_ratio(
        "to the pipeline, batch 1, as it opens the checkpoint", seconds["pipeline as stored batch 1"] / base, "-"
    )
    print_ratio("to the pipeline at its best batch size, float32", against("pipeline float32"), "5")
    print_ratio("to length-sorted PyTorch, bf16", against("sorted bfloat16"), "1.5")
    print_ratio("to length-sorted PyTorch, float32", against("sorted float32"), "-")


def pipelines(checkpoint: Path, texts: list[str], longest: int, sizes: list[int]) -> dict[str, Callable[[], object]]:
    """The pipeline as people call it, and in float32 at batch 1 and ``sizes``."""
    import torch
    from transformers import pipeline

    make: Any = partial(pipeline, "text-classification", model=str(checkpoint), device="cpu", top_k=None)
    more = {"truncation": True, "max_length": longest}
    sides: dict[str, Callable[[], object]] = {"pipeline as stored batch 1": partial(make(), texts, **more)}
    full = make(dtype=torch.float32)
    for size in (1, *sizes):
        sides[f"pipeline float32 batch {size}"] = partial(full, texts, batch_size=size, **more)
    return sides


def sorted_batches(
    checkpoint: Path, texts: list[str], longest: int, sizes: list[int]
) -> dict[str, Callable[[], object]]:
    """PyTorch on batches of texts sorted by length, in float32 and bfloat16."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
    ordered = sorted(texts, key=len)

    def run(model: Any, size: int) -> None:
        with torch.inference_mode():
            for start in range(0, len(ordered), size):
                batch = ordered[start : start + size]
                model(**tokenizer(batch, padding=True, truncation=True, max_length=longest, return_tensors="pt"))

    sides: dict[str, Callable[[], object]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=dtype).eval()
        for size in sizes:
            sides[f"sorted {str(dtype).removeprefix('torch.')} batch {size}"] = partial(run, model, size)
    return sides


if __name__ == "__main__":
    main()
