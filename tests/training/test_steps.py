"""Steps are redone when their inputs change, and only then; a killed one leaves nothing half-made."""

from pathlib import Path

import pytest

from training.steps import Steps


def test_steps_keep_what_has_not_changed(tmp_path: Path) -> None:
    made: list[int] = []

    def make(folder: Path) -> None:
        made.append(1)
        (folder / "out").write_text(str(len(made)))

    steps = Steps(tmp_path)
    assert (steps.do("train", {"seed": 1}, make) / "out").read_text() == "1"
    assert (Steps(tmp_path).do("train", {"seed": 1}, make) / "out").read_text() == "1"
    assert (steps.do("train", {"seed": 2}, make) / "out").read_text() == "2"
    assert len(made) == 2


def test_steps_that_fail_are_done_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "out").write_text("half")
        raise KeyboardInterrupt

    def make(folder: Path) -> None:
        assert not (folder / "out").exists()
        (folder / "out").write_text("whole")

    with pytest.raises(KeyboardInterrupt):
        Steps(tmp_path).do("train", 1, fail)
    assert not (tmp_path / "train").exists()
    assert (Steps(tmp_path).do("train", 1, make) / "out").read_text() == "whole"
