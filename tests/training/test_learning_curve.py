"""The learning curve: nested shares, a point a model, share, test and task, table and plots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.learnable_corpus import corpus_rows
from tests.training.test_run import settings
from training.corpus import load_examples
from training.learning_curve import curve_markdown, learning_curve, nested_shares, write_curve
from training.metrics import Resampling


def test_learning_curve_shares_are_nested_and_keep_groups_whole(tmp_path: Path) -> None:
    train = load_examples(settings(tmp_path, None, corpus_rows()))["train"]
    shares = nested_shares(train, (0.25, 0.5, 1.0), 0)
    for small, large in ((0.25, 0.5), (0.5, 1.0)):
        groups = {row.group for row in shares[small]}
        assert groups < {row.group for row in shares[large]}
        assert sum(row.group in groups for row in train) == len(shares[small])
    assert shares[1.0] == train


def test_learning_curve_climbs_on_learnable_rows_and_is_written(tmp_path: Path) -> None:
    config = settings(tmp_path, None, corpus_rows())
    points = learning_curve(config, (0.02, 1.0), how=Resampling(200))
    by_share = {point.share: point.value for point in points if (point.split, point.task) == ("seen", "stance")}
    assert by_share[1.0] > by_share[0.02]
    assert all(point.low <= point.value <= point.high for point in points)
    table = write_curve(points, tmp_path / "curve")
    assert table == curve_markdown(points)
    assert f"| essai | stance | seen | {by_share[0.02]:.3f} | {by_share[1.0]:.3f} |" in table
    assert len(json.loads((tmp_path / "curve" / "points.json").read_text(encoding="utf-8"))) == len(points)
    assert "<svg" in (tmp_path / "curve" / "learning-curve-stance.svg").read_text(encoding="utf-8")


def test_learning_curve_command_prints_the_table(tmp_path: Path) -> None:
    import yaml
    from typer.testing import CliRunner

    from training.cli import app

    config = settings(tmp_path, None, corpus_rows())
    path = tmp_path / "essai.yaml"
    path.write_text(yaml.safe_dump(json.loads(config.model_dump_json(exclude_unset=True))), encoding="utf-8")
    answer = CliRunner().invoke(
        app, ["learning-curve", str(path), "-o", str(tmp_path / "curve"), "--shares", "0.5,1", "--set", "name=autre"]
    )
    assert answer.exit_code == 0, answer.output
    assert "| autre | stance | unseen |" in answer.output
    refused = CliRunner().invoke(app, ["learning-curve", str(path), "-o", str(tmp_path / "curve"), "--shares", "a"])
    assert refused.exit_code == 1


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_learning_curve_refuses_shares_out_of_range(share: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="share"):
        nested_shares(load_examples(settings(tmp_path, None, corpus_rows()))["train"], (share,), 0)
