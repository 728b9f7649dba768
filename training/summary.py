"""The table at the end of a run."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from training.run import RunResult


def print_summary(result: RunResult) -> None:
    """Print the tests' headline figures with intervals, the gate's verdict and where everything lies."""
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("split", "task", "rows", "macro-F1", "ECE", "accuracy at 80 %", "contrast groups right"):
        table.add_column(name, justify="left" if name in ("split", "task") else "right")
    for split, content in result.report["splits"].items():
        for task, found in content["tasks"].items():
            if found["n"]:
                leaves = (found["macro_f1"], found["calibration"]["ece"], found["selective"]["accuracy_at"]["0.8"])
                table.add_row(split, task, f"{found['n']:,}", *map(_leaf, leaves), _leaf(found["contrast"]["all"]))
    console.print(table)
    if result.decision is not None:
        console.print(f"\n{result.decision.summary}", highlight=False)
    console.print(f"\nreport     {result.folder / 'report.md'}", highlight=False, soft_wrap=True)
    if result.bundle is not None:
        console.print(f"model      {result.bundle}", highlight=False, soft_wrap=True)


def _leaf(leaf: dict[str, Any]) -> str:
    if leaf["value"] is None:
        return "–"
    return f"{leaf['value']:.3f}" + ("" if leaf["low"] is None else f" ({leaf['low']:.3f}–{leaf['high']:.3f})")
