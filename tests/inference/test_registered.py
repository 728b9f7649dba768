"""Scoring with a model of the registry: which version it was is written down, checked, and fetched once."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from inference.bundle import ModelError, open_bundle
from inference.classifier import Classifier
from inference.cli import app
from inference.job import score_articles
from inference.progress import JobRefusedError
from inference.registered import Located, locate
from inference.settings import ScoreSettings
from inference.writer import read_part
from tests.training.registry_fixtures import (
    NAME,
    TEXTS,
    make_decision,
    make_store,
    make_version,
    shared_bundle,
)
from training import registry
from training.registry import Version
from training.store import sqlite_file, use_tracking

CHAMPION = f"models:/{NAME}@champion"


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Version]]:
    """Two versions with their artifacts, the second of them champion, in a store of the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        uri = make_store(tmp_path_factory.mktemp("registered"))
        use_tracking(uri)
        made = [make_version(shared_bundle(seed)) for seed in range(2)]
        registry.settle(made[0], make_decision(True), against=None)
        registry.settle(made[1], make_decision(True), against=made[0])
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield made


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "penchant" / "models"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    rows = [{"id": f"a{number}", "text": text} for number, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def score(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["score", *map(str, arguments), "--unit", "passage"])


def test_registered_model_is_named_in_the_manifest(
    versions: list[Version], cache: Path, source: Path, tmp_path: Path
) -> None:
    done = score(source, "--output", tmp_path / "out", "--model", CHAMPION)
    assert done.exit_code == 0, done.output
    model = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["model"]
    second = versions[1]
    assert model["sha256"] == second.digest == open_bundle(shared_bundle(1)).digest
    assert model["registry"] == {
        "uri": CHAMPION,
        "name": NAME,
        "version": 2,
        "digest": second.digest,
        "run": second.run_id,
    }
    (part,) = (tmp_path / "out" / "passages").iterdir()
    expected = Classifier.load(shared_bundle(1)).predict(TEXTS)
    assert [row["stance"] for row in read_part(part)] == [one["stance"] for one in expected]
    assert {row["model"] for row in read_part(part)} == {f"{NAME}@{second.digest[:12]}"}
    assert [path.name for path in cache.iterdir()] == [second.digest]


def test_registered_model_by_number_and_from_a_folder(versions: list[Version], cache: Path) -> None:
    by_number = Classifier.load(f"models:/{NAME}/1").bundle
    assert by_number.registered is not None
    assert (by_number.registered["version"], by_number.digest) == (1, versions[0].digest)
    assert locate(shared_bundle(0)) == Located(shared_bundle(0), None)
    assert Classifier.load(shared_bundle(0)).bundle.registered is None


def test_registered_model_is_fetched_once(
    versions: list[Version], cache: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    assert score(source, "--output", tmp_path / "1", "--model", CHAMPION).exit_code == 0

    def offline(**named: Any) -> None:
        raise AssertionError("fetched again")

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", offline)
    done = score(source, "--output", tmp_path / "2", "--model", CHAMPION)
    assert done.exit_code == 0, done.output
    tables = [(tmp_path / job / "passages" / "part-00000.parquet").read_bytes() for job in "12"]
    assert tables[0] == tables[1]


def test_registered_job_does_not_go_on_with_another_champion(
    versions: list[Version], cache: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ScoreSettings(unit="passage", underlined_passages=0, threads=1)
    score_articles([source], tmp_path / "out", model=CHAMPION, settings=settings)
    resolve = registry.resolve
    monkeypatch.setattr(registry, "resolve", lambda uri: resolve(f"models:/{NAME}/1"))
    with pytest.raises(JobRefusedError):
        score_articles([source], tmp_path / "out", model=CHAMPION, settings=settings)


@pytest.mark.parametrize("command", ["score", "explain", "doctor"])
def test_registered_model_that_is_another_than_registered_is_refused(
    versions: list[Version],
    cache: Path,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    file = sqlite_file(make_store(tmp_path / "spoiled"))
    assert file is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        use_tracking(f"sqlite:///{file}")
        make_version(shared_bundle(0))
    (graph,) = file.parent.rglob("artifacts/bundle/model.onnx")
    shutil.copytree(shared_bundle(1), graph.parent, dirs_exist_ok=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    given = {
        "score": [str(source), "--output", str(tmp_path / "out")],
        "explain": [TEXTS[0]],
        "doctor": [],
    }[command]
    done = CliRunner().invoke(app, [command, *given, "--model", f"models:/{NAME}/1"])
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "holds another model than was registered" in done.stderr
    assert not (tmp_path / "out").exists()
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("missing", ["training.registry", "mlflow"])
def test_registered_model_without_the_training_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in [name for name in sys.modules if name == missing or name.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModelError, match=r"install penchant\[train\] to reach it[^\n]*$"):
        Classifier.load(CHAMPION)
