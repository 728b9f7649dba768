"""Timing two models against each other."""

from pathlib import Path

import numpy as np
import pytest

from training import scoring


def test_scoring_times_models_in_turns_by_the_graph_that_would_score(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"new": iter([9.0, 2.0, 3.0]), "old": iter([4.0, 4.0, 50.0])}
    calls: list[str] = []

    def scored(folder: Path, examples: object, precision: str | None = None) -> tuple[object, float]:
        assert precision is None, "the folder's own choice, which may be int8"
        calls.append(folder.name)
        return np.zeros((1, 6), np.float32), next(seconds[folder.name])

    monkeypatch.setattr(scoring, "bundle_logits", scored)
    assert scoring.seconds_side_by_side([Path("new"), Path("old")], []) == [3.0, 4.0]
    assert calls == ["new", "old", "old", "new", "new", "old"]
