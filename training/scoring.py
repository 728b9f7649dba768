"""Examples through a model, as :class:`training.metrics.Scored`, which all evaluation works on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.classifier import Classifier
from training.config import RunConfig
from training.corpus import Example
from training.metrics import Scored
from training.slices import LENGTH, length_band


def to_scored(config: RunConfig, examples: Sequence[Example], logits: npt.NDArray[np.float32]) -> Scored:
    """Join examples with their logits of shape (n, labels of all tasks)."""
    cuts = (*config.data.facets, "phenomenon")
    facets = {name: [example.facets[name] for example in examples] for name in cuts}
    facets[LENGTH] = [length_band(len(example.text.split())) for example in examples]
    by_task, start = {}, 0
    for name, task in config.tasks.items():
        by_task[name] = logits[:, start : start + len(task.labels)]
        start += len(task.labels)
    return Scored(
        ids=[example.id for example in examples],
        groups=[example.group for example in examples],
        facets=facets,
        gold={name: np.array([example.gold[name] for example in examples]) for name in config.tasks},
        logits=by_task,
        labels={name: tuple(task.labels) for name, task in config.tasks.items()},
    )


def bundle_logits(
    folder: Path, examples: Sequence[Example], precision: str | None = None
) -> tuple[npt.NDArray[np.float32], float]:
    """Logits by the very code that scores articles, and its seconds per 1,000 passages on this machine.

    ``precision`` asks for one of the folder's graphs; by default it is the one that would score articles here.
    """
    classifier = Classifier.load(folder, precision=precision)
    pairs = [example.pair or "" for example in examples] if examples[0].pair is not None else None
    began = time.perf_counter()
    logits = classifier.logits(classifier.encode([example.text for example in examples], pairs))
    return logits, (time.perf_counter() - began) / len(examples) * 1000


def seconds_side_by_side(folders: Sequence[Path], examples: Sequence[Example], rounds: int = 3) -> list[float]:
    """Seconds per 1,000 passages of each model folder, by the graph that would score articles here (int8 where it may).

    The models take turns, first one ahead and then the other, and the median of ``rounds`` counts, so that a machine
    that slows down or a cold cache weighs on all of them alike.
    """
    taken: list[list[float]] = [[] for _ in folders]
    for turn in range(rounds):
        order = list(enumerate(folders))
        for place, folder in order[:: -1 if turn % 2 else 1]:
            taken[place].append(bundle_logits(folder, examples)[1])
    return [statistics.median(seconds) for seconds in taken]
