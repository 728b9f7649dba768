"""The learning curve: how a score on the tests grows with the share of the training groups that a model is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from training.config import RunConfig
from training.corpus import Example, corpus_digest, load_examples
from training.metrics import Resampling, Scored, classification
from training.plots import Series, plot_lines
from training.run import train_candidate
from training.steps import Steps

SHARES = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Point:
    """One model at one size: macro-F1 of ``task`` on ``split`` with its 95 % interval."""

    model: str
    share: float
    rows: int
    split: str
    task: str
    value: float
    low: float
    high: float


def nested_shares(train: Sequence[Example], shares: Sequence[float], seed: int) -> dict[float, list[Example]]:
    """Training rows at each share of the groups; a smaller share's groups are all in a larger one."""
    for share in shares:
        if not 0 < share <= 1:
            raise ValueError(f"a share of the training groups lies above 0 and at most at 1, not at {share:g}")
    groups = sorted({row.group for row in train})
    np.random.default_rng(seed).shuffle(groups)
    kept = {share: set(groups[: max(1, round(share * len(groups)))]) for share in shares}
    return {share: [row for row in train if row.group in kept[share]] for share in shares}


def learning_curve(
    config: RunConfig,
    shares: Sequence[float] = SHARES,
    say: Callable[[str], None] = lambda line: None,
    how: Resampling | None = None,
) -> list[Point]:
    """Train ``config``'s model on each share, with its first seed, and score every test. Nothing is registered.

    A share that was trained before from the same rows and settings is not trained again. Raises CorpusError.
    """
    splits = load_examples(config)
    points: list[Point] = []
    for share, rows in nested_shares(splits[config.data.split.train], shares, config.data.split.seed).items():
        part = {**splits, config.data.split.train: rows}
        steps = Steps(config.work / f"{config.name}-curve" / f"{share:g}", say)
        candidate = train_candidate(config, config.seeds[0], part, corpus_digest(part), steps, lambda step, found: None)
        for split in config.data.split.tests:
            points += score_points(config.name, share, len(rows), split, candidate.scored[split], how or Resampling())
    return points


def score_points(model: str, share: float, rows: int, split: str, scored: Scored, how: Resampling) -> list[Point]:
    """A point a task that has gold on this split."""
    found = []
    for task in scored.tasks:
        if (scored.gold[task] >= 0).any():
            answer = classification(scored, task, how)["macro_f1"]
            found.append(Point(model, share, rows, split, task, answer["value"], answer["low"], answer["high"]))
    return found


def curve_markdown(points: Sequence[Point]) -> str:
    """One line a model, task and split; one column a share."""
    shares = sorted({point.share for point in points})
    cells: Mapping[tuple[str, str, str, float], Point] = {
        (point.model, point.task, point.split, point.share): point for point in points
    }
    lines = ["| model | task | test | " + " | ".join(f"{share:.0%}" for share in shares) + " |"]
    lines.append("| --- | --- | --- |" + " --- |" * len(shares))
    for model, task, split in dict.fromkeys((point.model, point.task, point.split) for point in points):
        values = [cells.get((model, task, split, share)) for share in shares]
        shown = " | ".join("–" if cell is None else f"{cell.value:.3f}" for cell in values)
        lines.append(f"| {model} | {task} | {split} | {shown} |")
    return "\n".join(lines)


def write_curve(points: Sequence[Point], folder: Path) -> str:
    """Write the points (JSON), the table (Markdown) and a plot a task (SVG) into ``folder``; returns the table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "points.json").write_text(json.dumps([asdict(point) for point in points], indent=1), encoding="utf-8")
    table = curve_markdown(points)
    (folder / "learning-curve.md").write_text(table + "\n", encoding="utf-8")
    for task in dict.fromkeys(point.task for point in points):
        plot_curve(points, task, folder / f"learning-curve-{task}.svg")
    return table


def plot_curve(points: Sequence[Point], task: str, path: Path) -> Path:
    """Macro-F1 of ``task`` against training rows, a line a model and test, with 95 % bands."""
    series = []
    for model, split in dict.fromkeys((point.model, point.split) for point in points if point.task == task):
        line = [point for point in points if (point.model, point.split, point.task) == (model, split, task)]
        columns = [[getattr(point, name) for point in line] for name in ("rows", "value", "low", "high")]
        series.append(Series(f"{model}, {split}", *columns))
    return plot_lines(series, path, f"{task}: what more passages bring", "training rows", "macro-F1")
