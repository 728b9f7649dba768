from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from training.plots import Series, plot_confusion, plot_lines, plot_reliability, plot_risk_coverage

TABLE = [
    {"low": 0.4, "high": 0.6, "n": 20, "confidence": 0.5, "accuracy": 0.45},
    {"low": 0.8, "high": 1.0, "n": 80, "confidence": 0.9, "accuracy": 0.93},
]
PLOTS: dict[str, tuple[Callable[[Path], Path], list[str]]] = {
    "confusion": (
        lambda path: plot_confusion([[8, 2], [0, 0]], ["pour $x$", "contre"], path, "Position"),
        ["pour $x$", "contre", "80%", "Position", "gold", "predicted"],
    ),
    "reliability": (
        lambda path: plot_reliability({"stance": TABLE, "ton négatif": TABLE}, path, "Fiabilité"),
        ["stance", "ton négatif", "calibrated confidence", "accuracy"],
    ),
    "risk-coverage": (
        lambda path: plot_risk_coverage({"stance": [[0.5, 0.02], [1.0, 0.1]]}, path, target=0.05),
        ["stance", "target risk 0.05", "coverage (share of passages kept)"],
    ),
    "lines": (
        lambda path: plot_lines(
            [
                Series("five seeds", [1, 2, 4], [0.5, 0.6, 0.7], [0.4, 0.5, 0.6], [0.6, 0.7, 0.8]),
                Series("TF-IDF", [1], [0.4]),
            ],
            path,
            x_label="training passages",
            y_label="macro-F1",
        ),
        ["five seeds", "TF-IDF", "training passages", "macro-F1"],
    ),
}


@pytest.mark.parametrize("name", PLOTS)
def test_plots_write_the_same_file_twice_with_every_name_in_it(name: str, tmp_path: Path) -> None:
    draw, words = PLOTS[name]
    first, again = tmp_path / "figures" / "one.svg", tmp_path / "two.svg"
    assert draw(first) == first
    draw(again)
    assert first.read_bytes() == again.read_bytes()
    text = first.read_text(encoding="utf-8")
    assert [word for word in words if word not in text] == []


def test_plots_write_png_by_the_suffix(tmp_path: Path) -> None:
    path = PLOTS["confusion"][0](tmp_path / "confusion.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_plots_refuse_another_suffix(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one\.pdf must end in \.png or \.svg"):
        PLOTS["lines"][0](tmp_path / "one.pdf")


def test_plots_load_nothing_on_import_and_never_a_window(tmp_path: Path) -> None:
    code = (
        "import sys, training.plots; print('matplotlib' in sys.modules);"
        "training.plots.plot_lines([training.plots.Series('a', [1], [1])], training.plots.Path(sys.argv[1]));"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    arguments = [sys.executable, "-c", code, str(tmp_path / "line.svg")]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "False\nFalse\n"
