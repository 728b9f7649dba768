"""Invented scored rows whose truth is known: gold drawn from the probabilities that the logits state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inference.classifier import softmax
from training.calibrate import Calibration
from training.evidence import Cost, Evidence
from training.metrics import Scored

LABELS = {
    "stance": ("pro-easing", "neutral", "pro-restriction"),
    "sentiment": ("negative", "neutral", "positive"),
}
TOPICS = ("chips", "grain", "steel", "visas")


def simulate(
    n: int = 400, *, spread: float = 3.0, overconfidence: float = 1.0, seed: int = 0, group_size: int = 2
) -> Scored:
    """Rows calibrated at a temperature of ``overconfidence``; a larger ``spread`` makes an easier task."""
    generator = np.random.default_rng(seed)
    gold, logits = {}, {}
    for task, labels in LABELS.items():
        scores = generator.normal(0.0, spread, (n, len(labels)))
        draw = generator.random(n)[:, None]
        gold[task] = np.minimum((softmax(scores, 1.0).cumsum(axis=1) < draw).sum(axis=1), len(labels) - 1)
        logits[task] = scores * overconfidence
    return Scored(
        ids=[f"row-{row:05d}" for row in range(n)],
        groups=[f"group-{row // group_size:05d}" for row in range(n)],
        facets={
            "topic": [TOPICS[row // group_size % len(TOPICS)] for row in range(n)],
            "phenomenon": [None] * n,
        },
        gold=gold,
        logits=logits,
        labels=dict(LABELS),
    )


def answer(scored: Scored, task: str, predicted: Sequence[int], confidence: Sequence[float] | float = 0.9) -> Scored:
    """The same rows, where the model answers ``predicted`` with the given top probability."""
    k = len(scored.labels[task])
    top = np.broadcast_to(np.asarray(confidence, dtype=np.float64), (len(scored),))
    probabilities = np.repeat(((1.0 - top) / (k - 1))[:, None], k, axis=1)
    probabilities[np.arange(len(scored)), np.asarray(predicted)] = top
    return replace(scored, logits={**scored.logits, task: np.log(probabilities)})


def with_errors(scored: Scored, task: str, rows: Sequence[int] | np.ndarray, confidence: float = 0.9) -> Scored:
    """The same rows with every answer to ``task`` right but those of ``rows``."""
    predicted = scored.gold[task].copy()
    predicted[np.asarray(rows, dtype=np.int64)] = (predicted[np.asarray(rows, dtype=np.int64)] + 1) % 3
    return answer(scored, task, predicted, confidence)


def plain_calibration(threshold: float = 0.0) -> Calibration:
    """Temperature 1 for both tasks."""
    ones = dict.fromkeys(LABELS, 1.0)
    return Calibration(ones, dict.fromkeys(LABELS, threshold), 0.1, 0.9, dict(ones), dict(ones))


def evidence(scored: Scored, *, size: int = 1000, seconds: float | None = 2.0, split: str = "unseen") -> Evidence:
    """Evidence on one split, with actor swaps as the phenomenon that should change nothing."""
    report = {"settings": {"invariance": ["actor-swap"]}}
    return Evidence({split: scored}, plain_calibration(), report, Cost(size, seconds))
