"""Figures of an evaluation, written as PNG or SVG by the path's suffix. Colours: Okabe & Ito's, safe for colour-blind.

matplotlib is imported inside the functions and drawn without pyplot: no window, no state left behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BLACK = "#333333"
#: Blue, vermilion, green, orange, purple, sky blue, black; markers tell them apart in grey.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", BLACK)
MARKERS = "osD^vPX"


@dataclass(frozen=True)
class Series:
    """A named line: x, y, and for a band the low and high ends (None: no band)."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@contextmanager
def _axes(path: Path, title: str, width: float = 6.0, height: float = 4.2) -> Iterator[Any]:
    """One pair of axes; the figure is written to ``path`` at the end, the same bytes for the same content."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"{path.name} must end in .png or .svg")
    # Labels are data: a dollar sign in one is no formula.
    with rc_context({"svg.hashsalt": "penchant", "svg.fonttype": "none", "text.parse_math": False}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_title(title, loc="left", fontsize=11)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        yield axes
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})


def plot_confusion(counts: Sequence[Sequence[int]], labels: Sequence[str], path: Path, title: str = "") -> Path:
    """Confusion matrix, gold down and predicted across: counts, and shaded by the share of the gold row."""
    matrix = np.asarray(counts, dtype=np.float64)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1.0)
    size = 2.6 + 0.9 * len(labels)
    with _axes(path, title, size + 0.8, size) as axes:
        axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        for row, column in np.ndindex(*matrix.shape):
            ink = "white" if shares[row, column] > 0.55 else BLACK
            text = f"{matrix[row, column]:,.0f}\n{shares[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", color=ink)
        axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xlabel("predicted")
        axes.set_ylabel("gold")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    return path


def plot_reliability(tables: Mapping[str, Sequence[Mapping[str, Any]]], path: Path, title: str = "") -> Path:
    """Accuracy against confidence, a line a name, from reliability tables; a point's area grows with its rows."""
    with _axes(path, title, 5.0, 4.6) as axes:
        axes.plot([0, 1], [0, 1], color=BLACK, linewidth=1, linestyle=":", label="perfect calibration")
        for place, (name, table) in enumerate(tables.items()):
            colour = SERIES[place % len(SERIES)]
            x, y, n = (np.array([row[key] for row in table]) for key in ("confidence", "accuracy", "n"))
            axes.plot(x, y, color=colour, linewidth=1.5, label=name, marker=MARKERS[place % len(MARKERS)], markersize=4)
            axes.scatter(x, y, s=12 + 240 * n / max(1, n.sum()), color=colour, marker=MARKERS[place % len(MARKERS)])
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_aspect("equal")
        axes.grid(alpha=0.25)
        axes.set_xlabel("calibrated confidence")
        axes.set_ylabel("accuracy")
        axes.legend(frameon=False, loc="upper left")
    return path


def plot_risk_coverage(
    curves: Mapping[str, Sequence[Sequence[float]]], path: Path, title: str = "", target: float | None = None
) -> Path:
    """Error rate among kept passages against the share that is kept, a line a name, and the ``target`` risk if any."""
    with _axes(path, title) as axes:
        for place, (name, curve) in enumerate(curves.items()):
            points = np.asarray(curve)
            axes.plot(
                points[:, 0],
                points[:, 1],
                color=SERIES[place % len(SERIES)],
                label=name,
                linewidth=1.8,
                marker=MARKERS[place % len(MARKERS)],
                markersize=3.5,
            )
        if target is not None:
            axes.axhline(target, color=BLACK, linewidth=1, linestyle="--", label=f"target risk {target:g}")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.set_xlabel("coverage (share of passages kept)")
        axes.set_ylabel("risk (error rate among them)")
        axes.legend(frameon=False)
    return path


def plot_lines(series: Sequence[Series], path: Path, title: str = "", x_label: str = "", y_label: str = "") -> Path:
    """Lines with bands: a learning curve, a metric over epochs, a score over sizes of the training data."""
    with _axes(path, title) as axes:
        for place, line in enumerate(series):
            colour = SERIES[place % len(SERIES)]
            axes.plot(
                line.x,
                line.y,
                color=colour,
                label=line.name,
                linewidth=1.8,
                marker=MARKERS[place % len(MARKERS)] if len(line.x) <= 40 else None,
                markersize=4,
            )
            if line.low is not None and line.high is not None:
                axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.18, linewidth=0)
        axes.grid(alpha=0.25)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if len(series) > 1:
            axes.legend(frameon=False)
    return path
