"""What breaks off leaves nothing half-registered: disk full, server away, a killed run, a model that cannot be had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.training.learnable_corpus import corpus_rows, write_corpus
from tests.training.registry_fixtures import (
    NAME,
    bare_version,
    make_config,
    make_decision,
    make_evidence,
    make_store,
    make_version,
    shared_bundle,
)
from training import registry, tracking
from training import run as running
from training.cli import app
from training.provenance import this_process
from training.store import client, use_tracking
from training.tracking import start_run
from training.versions import CHALLENGER, find_alias

INPUTS: dict[str, Any] = {"corpus_digest": "c" * 64, "split_sizes": {"train": 3}}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = make_store(tmp_path / "mlruns")
    use_tracking(uri)
    return uri


def versions() -> list[int]:
    return sorted(int(found.version) for found in client().search_model_versions(f"name = '{NAME}'"))


class Cut(BaseException):
    """The process ends here."""


def break_off(monkeypatch: pytest.MonkeyPatch, at: str) -> str:
    """A run that registers and is cut off ``at`` a call of MLflow's client; its id."""
    from mlflow import MlflowClient

    def cut(*arguments: Any, **named: Any) -> None:
        raise Cut

    with start_run(make_config(), **INPUTS) as tracked, monkeypatch.context() as patch:
        tracked.log_report(make_evidence(), "# Bilan\n")
        if at == "settle":
            registry.register(tracked, shared_bundle(0), [])
            raise Cut
        patch.setattr(MlflowClient, at, cut)
        registry.register(tracked, shared_bundle(0), [])
    return tracked.run_id


@pytest.mark.parametrize("at", ["set_registered_model_alias", "settle"])
@pytest.mark.parametrize("killed", [False, True])
def test_half_registered_version_is_undone_by_the_next_run(
    store: str, monkeypatch: pytest.MonkeyPatch, at: str, killed: bool
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = f"{this_process().rpartition(':')[0]}:{gone.pid}"
    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(tracking, "this_process", lambda: dead)
        break_off(patch, at)
    (run_id,) = {found.run_id for found in client().search_model_versions(f"name = '{NAME}'")}
    if killed:  # nobody could say that it was over
        client().update_run(run_id, status="RUNNING")
    assert versions() == [1]
    assert registry.champion(NAME) is None
    second = make_version(shared_bundle(1))
    assert versions() == [2]
    assert find_alias(NAME, CHALLENGER) == second
    assert registry.settle(second, make_decision(True), against=None).what == "promoted"
    assert registry.champion(NAME) == second


def test_half_registered_versions_of_others_stay(store: str) -> None:
    under_way = bare_version(0)  # its run says RUNNING
    judged, forced = bare_version(1), bare_version(2)
    registry.settle(judged, make_decision(False), against=None)
    registry.promote(NAME, forced.number, reason="essai à blanc", force=True)
    for version in (judged, forced):
        client().set_terminated(version.run_id, "FAILED")
    last = make_version(shared_bundle(0))
    assert versions() == [under_way.number, judged.number, forced.number, last.number]


# -- from the command line ---------------------------------------------------------------------------------------------


def run_file(folder: Path, uri: str, **changes: Any) -> Path:
    """The YAML of a run that needs no torch."""
    corpus = write_corpus(folder / "corpus.jsonl", corpus_rows(240))
    content = {
        "name": "essai",
        "work": str(folder / "runs"),
        "tasks": {"stance": {"labels": ["pro-easing", "neutral", "pro-restriction"]}},
        "data": {"path": str(corpus), "split": {"tests": ["unseen"]}},
        "model": {"kind": "tfidf"},
        "registry": {"tracking_uri": uri, "model": NAME, "experiment": "essais"},
        "gate": {"resamples": 200},
        **changes,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_run_command_with_a_silent_server_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def train(*arguments: Any) -> None:
        raise AssertionError("trained all the same")

    monkeypatch.setattr(running, "train_candidate", train)
    done = CliRunner().invoke(app, ["run", str(run_file(tmp_path, "http://127.0.0.1:9"))])
    assert done.exit_code == 1
    assert done.stderr.startswith("penchant-train: no tracking server answers at http://127.0.0.1:9; ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("place", ["train_candidate", "write_results"])
def test_run_command_on_a_full_disk_registers_nothing(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device", "runs/essai")

    monkeypatch.setattr(running, place, full)
    done = CliRunner().invoke(app, ["run", str(run_file(tmp_path, store))])
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
    assert client().search_registered_models() == []
    experiment = client().get_experiment_by_name("essais")
    assert "RUNNING" not in {run.info.status for run in client().search_runs([experiment.experiment_id])}
    monkeypatch.undo()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert CliRunner().invoke(app, ["run", str(tmp_path / "run.yaml")]).exit_code == 0  # room again: the same command


def test_run_command_with_an_encoder_that_is_not_there_is_one_line(store: str, tmp_path: Path) -> None:
    path = run_file(tmp_path, store, model={"encoder": str(tmp_path / "nulle-part")})
    done = CliRunner().invoke(app, ["run", str(path)])
    assert done.exit_code == 1
    assert "nulle-part" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("penchant-train: ")
    assert client().search_registered_models() == []
