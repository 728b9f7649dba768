"""The plots of an evaluation report: confusion, reliability and risk-coverage, a file each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.plots import plot_confusion, plot_reliability


def plot_report(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw every split and task of ``report`` into ``folder`` and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for split, content in report["splits"].items():
        tables = {}
        for task, found in content["tasks"].items():
            if not found["n"]:
                continue
            confusion = found["confusion"]
            target = folder / f"confusion-{split}-{task}.svg"
            files.append(plot_confusion(confusion["counts"], confusion["labels"], target, f"{task}, {split}"))
            tables[task] = found["calibration"]["reliability"]
        if tables:
            files.append(plot_reliability(tables, folder / f"reliability-{split}.svg", f"reliability, {split}"))
    return files
