"""Runs: what they leave in MLflow, how they end, and where they are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.registry_fixtures import make_config, make_evidence, make_store
from training.provenance import git_state, is_running, this_process
from training.store import RegistryError, client, ensure_tracking, experiment_id, use_tracking
from training.tracking import PROCESS_TAG, Tracked, flatten, metrics_of, start_run

INPUTS: dict[str, Any] = {"corpus_digest": "c" * 64, "split_sizes": {"train": 120, "unseen": 24}}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store; the working folder is another one, where nothing may come to lie."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    use_tracking(make_store(tmp_path / "mlruns"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "mlruns"


def runs() -> dict[str, Any]:
    found = client().search_runs([experiment_id("essais")])
    return {run.info.run_name: run for run in found}


def test_tracking_run_holds_what_it_came_from_and_what_it_found(store: Path, tmp_path: Path) -> None:
    plot = tmp_path / "reliability.svg"
    plot.write_text("<svg/>", "utf-8")
    evidence = make_evidence()
    errors = [{"id": "r1", "gold": "neutral"}, {"id": "r2", "topic": "acier"}]
    with start_run(make_config(), **INPUTS, parameters={"encoder": {"digest": "e" * 64}}) as tracked:
        tracked.log_report(evidence, "# Bilan\n", [plot], errors)
    run = runs()["essai"]
    assert run.info.status == "FINISHED"
    assert run.data.params["tasks.stance.labels"] == '["pro-easing", "neutral", "pro-restriction"]'
    assert run.data.params["baseline.c"] == "4.0"
    assert run.data.params["encoder.digest"] == "e" * 64
    assert run.data.params["corpus.rows.unseen"] == "24"
    assert run.data.tags["corpus.digest"] == "c" * 64
    assert run.data.tags["version.mlflow"]
    (corpus,) = run.inputs.dataset_inputs
    assert (corpus.dataset.name, corpus.dataset.digest) == ("essai", "c" * 36)
    assert {tag.key: tag.value for tag in corpus.tags}["rows.train"] == "120"
    quality = evidence.report["splits"]["unseen"]["tasks"]["stance"]["macro_f1"]
    assert run.data.metrics["test_unseen.stance.macro_f1"] == pytest.approx(quality["value"])
    assert run.data.metrics["test_unseen.stance.macro_f1_low"] == pytest.approx(quality["low"])
    assert run.data.metrics["cost.size_bytes"] == 12_345
    kept = {path.path for path in client().list_artifacts(run.info.run_id)}
    assert kept == {"config.yaml", "environment.txt", "errors.json", "evidence", "plots", "report"}
    assert (store / "artifacts" / run.info.run_id / "artifacts" / "plots" / "reliability.svg").exists()
    assert list(Path.cwd().iterdir()) == []


def test_tracking_seed_is_a_nested_run_with_its_rows(store: Path) -> None:
    with start_run(make_config(), **INPUTS) as tracked, tracked.seed(11) as log:
        log(10, {"loss": 1.5, "lr": 3e-4})
        log(20, {"loss": 0.5})
    parent, child = runs()["essai"], runs()["seed 11"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params["seed"] == "11"
    history = client().get_metric_history(child.info.run_id, "loss")
    assert [(row.step, row.value) for row in history] == [(10, 1.5), (20, 0.5)]
    assert {parent.info.status, child.info.status} == {"FINISHED"}


def test_tracking_rows_wait_for_a_server_that_is_away(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    send = MlflowClient.log_batch
    away = [True, True, False]

    def flaky(self: MlflowClient, *arguments: Any, **named: Any) -> None:
        if away.pop(0):
            raise MlflowException("away")
        send(self, *arguments, **named)

    monkeypatch.setattr(MlflowClient, "log_batch", flaky)
    with start_run_without_inputs() as tracked, tracked.seed(3) as log:
        log(1, {"loss": 3.0})
        log(2, {"loss": 2.0})
    run_id = runs()["seed 3"].info.run_id
    assert [row.step for row in client().get_metric_history(run_id, "loss")] == [1, 2]


def start_run_without_inputs() -> Any:
    """A bare run: what a test of seeds needs."""
    from contextlib import contextmanager

    import mlflow

    @contextmanager
    def run() -> Any:
        with mlflow.start_run(experiment_id=experiment_id("essais"), run_name="nu") as active:
            yield Tracked(active.info.run_id, make_config())

    return run()


@pytest.mark.parametrize(("error", "status"), [(ValueError("perdu"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_tracking_run_that_breaks_off_says_so(store: Path, error: BaseException, status: str) -> None:
    import mlflow

    with pytest.raises(type(error)), start_run(make_config(), **INPUTS) as tracked, tracked.seed(1):
        raise error
    assert {run.info.status for run in runs().values()} == {status}
    assert runs()["essai"].data.tags["penchant.error"].startswith(type(error).__name__)
    assert mlflow.active_run() is None


def test_tracking_error_of_the_body_survives_a_store_that_fails(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def fail(*arguments: Any, **named: Any) -> None:
        raise MlflowException("disque plein")

    with pytest.raises(ValueError, match="la vraie cause"), start_run(make_config(), **INPUTS):
        monkeypatch.setattr(MlflowClient, "set_tag", fail)
        monkeypatch.setattr(MlflowClient, "set_terminated", fail)
        raise ValueError("la vraie cause")
    assert mlflow.active_run() is None


def test_tracking_disk_full_is_one_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    def fail(*arguments: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(RegistryError, match=r"^the report cannot be logged: .*No space left on device$"):  # noqa: SIM117
        with start_run(make_config(), **INPUTS) as tracked:
            monkeypatch.setattr(MlflowClient, "log_artifacts", fail)
            tracked.log_report(make_evidence(), "# Bilan\n")
    assert not tracked.has_evidence
    assert runs()["essai"].info.status == "FAILED"


def test_tracking_run_of_a_killed_process_is_closed_by_the_next(store: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = this_process().rpartition(":")[0]
    experiment = experiment_id("essais")
    for name, process in {"mort": f"{host}:{gone.pid}", "vif": this_process(), "ailleurs": "loin:1"}.items():
        client().create_run(experiment, tags={PROCESS_TAG: process}, run_name=name)
    with start_run(make_config(), **INPUTS):
        pass
    found = {name: run.info.status for name, run in runs().items()}
    assert found == {"mort": "KILLED", "vif": "RUNNING", "ailleurs": "RUNNING", "essai": "FINISHED"}


def test_tracking_model_name_that_cannot_be_registered_stops_the_run_first(store: Path) -> None:
    with pytest.raises(RegistryError, match="no slash"), start_run(make_config(name="a/b"), **INPUTS):
        pass
    assert runs() == {}


def test_tracking_makes_the_folder_and_keeps_a_relative_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    use_tracking("sqlite:///neuf/mlflow.db")
    assert (tmp_path / "neuf").is_dir()
    assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/neuf/mlflow.db"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_tracking_environment_variable_wins_and_is_not_invented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/voulu.db")
    use_tracking(f"sqlite:///{tmp_path}/autre.db")
    assert mlflow.get_tracking_uri().endswith("voulu.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    use_tracking(f"sqlite:///{tmp_path}/autre.db")
    assert mlflow.get_tracking_uri().endswith("autre.db")
    assert "MLFLOW_TRACKING_URI" not in os.environ
    ensure_tracking()
    assert mlflow.get_tracking_uri().endswith("autre.db")


@pytest.mark.parametrize(
    "uri", ["mlruns", "file:///srv/mlruns", "http://127.0.0.1:9", "sqlite:////proc/none/mlflow.db"]
)
def test_tracking_place_that_cannot_be_used_is_one_line(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(RegistryError) as caught:
        use_tracking(uri)
    assert "\n" not in str(caught.value)


def test_tracking_server_that_goes_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # answers 501 to anything: it is there
        threading.Thread(target=server.handle_request, daemon=True).start()
        use_tracking(f"http://127.0.0.1:{server.server_port}")
    with (
        pytest.raises(RegistryError, match=r"^experiment 'essais': .* got no answer;[^\n]*$"),
        start_run(make_config(), **INPUTS),
    ):
        pass


def test_tracking_default_place_is_not_made_by_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegistryError, match="there is no registry at"):
        use_tracking("sqlite:///mlruns/mlflow.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_tracking_deleted_experiment_is_one_line(store: Path) -> None:
    client().delete_experiment(experiment_id("essais"))
    with pytest.raises(RegistryError, match="restore"):
        experiment_id("essais")


def test_tracking_metrics_are_the_headline_of_a_report() -> None:
    metrics = metrics_of(make_evidence().report)
    names = {name.removeprefix("test_unseen.stance.") for name in metrics if ".stance." in name}
    assert {"macro_f1", "macro_f1_low", "macro_f1_high", "ece", "aurc", "f1.pro-easing", "majority_macro_f1"} <= names
    assert all(isinstance(value, float) for value in metrics.values())
    assert not any("slices" in name for name in metrics)
    report = {"splits": {"test": {"tasks": {"stance": {"n": 0}}}}}
    assert metrics_of(report) == {}


LEAVES = st.one_of(st.integers(), st.text(max_size=5), st.none(), st.lists(st.integers(), max_size=3))
NAMES = st.text("abcé_", min_size=1, max_size=4)


@given(
    st.dictionaries(NAMES, st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3)), max_size=4)
)
def test_tracking_flatten_keeps_every_leaf_under_its_path(content: dict[str, Any]) -> None:
    flat = flatten(content)
    assert not any(isinstance(value, (dict, list)) for value in flat.values())
    for path, value in flat.items():
        found: Any = content
        for key in path.split("."):
            found = found[key]
        assert found == value or isinstance(found, (dict, list))

    def leaves(part: Any) -> int:
        return sum(map(leaves, part.values())) if isinstance(part, dict) and part else 1

    assert len(flat) == (leaves(content) if content else 0)


def test_provenance_git_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() == {}
    author = ["-c", "user.name=Essai", "-c", "user.email=essai@example.org"]
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert git_state() == {}
    subprocess.run(["git", *author, "commit", "--quiet", "--allow-empty", "-m", "début"], check=True)
    clean = git_state()
    assert clean["git.dirty"] == "false"
    assert len(clean["git.commit"]) == 40
    (tmp_path / "neuf").touch()
    assert git_state() == {**clean, "git.dirty": "true"}
    monkeypatch.setenv("PATH", "")
    assert git_state() == {}


def test_provenance_process_that_runs_is_told_from_one_that_ended() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = this_process().rpartition(":")[0]
    assert is_running(this_process()) is True
    assert is_running(f"{host}:{gone.pid}") is False
    assert is_running("another machine:1") is None
