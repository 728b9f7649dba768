"""Registering, promoting, rolling back and fetching, on an SQLite store and through a real server."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inference.bundle import ModelError, open_bundle
from tests.training.registry_fixtures import (
    NAME,
    ROOT,
    TEXTS,
    bare_version,
    make_bundle,
    make_config,
    make_decision,
    make_evidence,
    make_store,
    make_version,
    settle_elsewhere,
    shared_bundle,
    story,
    tracking_server,
)
from training import registry
from training.ledger import LedgerConflict, create_ledger
from training.registry import RegistryError, Version
from training.store import client, use_tracking
from training.tracking import start_run

INPUTS: dict[str, Any] = {"corpus_digest": "c" * 64, "split_sizes": {"train": 3}}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("server")
    with tracking_server(folder) as uri:
        yield uri, folder


@pytest.fixture
def sqlite_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    use_tracking(make_store(tmp_path / "mlruns"))
    return tmp_path / "mlruns" / "mlflow.db"


@pytest.fixture(params=["sqlite", "server"])
def uri(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of either kind of store, in use."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('sqlite_store')}"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    address: str = request.getfixturevalue("server")[0]
    use_tracking(address)
    return address


# -- registering, and the whole way ------------------------------------------------------------------------------------


def test_registry_model_goes_the_whole_way(uri: str, tmp_path: Path, request: Any) -> None:
    name = f"entier-{request.node.callspec.params['uri']}"
    assert registry.champion(name) is None
    first = make_version(shared_bundle(0), make_config(name=name), TEXTS)
    assert (first.number, first.digest) == (1, open_bundle(shared_bundle(0)).digest)
    assert registry.champion(name) is None
    assert registry.settle(first, make_decision(True), against=None).what == "promoted"
    assert registry.champion(name) == first
    second = make_version(shared_bundle(1), make_config(name=name))
    assert registry.resolve(f"models:/{name}@challenger") == second
    assert registry.settle(second, make_decision(False), against=first).what == "refused"
    assert registry.champion(name) == first
    line = registry.promote(name, 2, reason="la porte se trompe : corpus corrigé", force=True)
    assert (line.what, line.version, line.former, line.evidence["forced"]) == ("promoted", 2, 1, True)
    fetched = registry.fetch_model(f"models:/{name}@champion", tmp_path / "cache")
    assert open_bundle(fetched).digest == second.digest
    assert registry.rollback(name, reason="trop d'abstentions").version == 1
    assert registry.champion(name) == first
    assert story(name) == [
        ("promoting", 1, None),
        ("promoted", 1, None),
        ("refused", 2, 1),
        ("promoting", 2, 1),
        ("promoted", 2, 1),
        ("rolling-back", 1, 2),
        ("rolled-back", 1, 2),
    ]
    assert all(one.intact for one in registry.history(name))
    stored = registry.evidence(first)
    expected = make_evidence()
    assert stored.cost == expected.cost
    assert stored.scored["unseen"].ids == expected.scored["unseen"].ids
    assert json.dumps(stored.report) == json.dumps(expected.report)
    if uri.startswith("http"):
        kept = request.getfixturevalue("server")[1] / "kept"
        assert list(kept.rglob("evidence.json"))
        assert list(kept.rglob("artifacts/bundle/model.onnx"))


def test_registry_decision_is_kept_where_people_look(sqlite_store: Path) -> None:
    version = bare_version(0)
    registry.settle(version, make_decision(False, "pas meilleur : 0,61 contre 0,64"), against=None)
    found = client().get_model_version(NAME, "1")
    assert found.description == "pas meilleur : 0,61 contre 0,64"
    assert found.tags["penchant.gate"] == "fail"
    kept = {file.path for file in client().list_artifacts(version.run_id, "decision")}
    assert kept == {"decision/version-1.json", "decision/version-1.txt"}
    (line,) = registry.history(NAME)
    assert line.evidence["failed"] == ["stance macro-F1, unseen"]
    assert line.digest == version.digest


def test_registry_signature_and_requirements_are_those_of_scoring(sqlite_store: Path) -> None:
    import mlflow

    version = make_version(shared_bundle(0), texts=TEXTS[:1])
    info = mlflow.models.get_model_info(version.uri)
    assert info.signature.inputs.to_dict() == [
        {"type": "string", "name": "text", "required": True},
        {"type": "string", "name": "pair", "required": False},
    ]
    columns = {column["name"]: column["type"] for column in info.signature.outputs.to_dict()}
    assert columns["stance"] == "string"
    assert columns["stance_pro_easing"] == "double"
    assert columns["abstained"] == "boolean"
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=version.uri))
    wanted = (folder / "requirements.txt").read_text("utf-8")
    assert {line.split("<")[0].split(">")[0] for line in wanted.split()} == {
        "mlflow",
        "numpy",
        "onnxruntime",
        "tokenizers",
    }
    shipped = {path.relative_to(folder / "code").parts[0] for path in (folder / "code").rglob("*.py")}
    assert shipped == {"inference"}
    assert not list((folder / "code").rglob("*.onnx"))


def test_registry_requirements_begin_where_the_project_does() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    floors = {one.split(",")[0] for one in declared}
    assert {one.split(",")[0] for one in registry.REQUIREMENTS} <= floors


def test_registry_path_is_left_as_it_was(sqlite_store: Path) -> None:
    before = list(sys.path)
    make_version(shared_bundle(0), texts=TEXTS)
    assert sys.path == before


def test_registry_registers_nothing_by_halves(
    sqlite_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    cut = make_bundle(tmp_path / "cut")
    (cut / "model.onnx").write_bytes(b"cut")
    with pytest.raises(ModelError, match="does not match the digest"):
        make_version(cut)
    with pytest.raises(RegistryError, match="no evaluation yet"), start_run(make_config(), **INPUTS) as tracked:
        registry.register(tracked, shared_bundle(0), [])
    with start_run(make_config(), **INPUTS) as tracked:
        tracked.log_report(make_evidence(), "# Bilan\n")
    with pytest.raises(RegistryError, match="is over"):
        registry.register(tracked, shared_bundle(0), [])
    assert client().search_registered_models() == []

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", full)
    with pytest.raises(RegistryError, match=r"^the model cannot be logged: .*No space left on device$"):
        make_version(shared_bundle(0))
    assert client().search_model_versions(f"name = '{NAME}'") == []
    failed = client().search_runs([client().get_experiment_by_name("essais").experiment_id])
    assert [run.info.status for run in failed] == ["FAILED", "FINISHED", "FAILED", "FAILED"]


def test_registry_store_that_gives_back_another_model_is_found_out(
    sqlite_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    fetch = mlflow.artifacts.download_artifacts

    def swap(**named: Any) -> str:
        fetched: str = fetch(**named)
        for file in shared_bundle(1).iterdir():
            (Path(fetched) / "artifacts" / "bundle" / file.name).write_bytes(file.read_bytes())
        return fetched

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", swap)
    with pytest.raises(RegistryError, match="gave back another model"):
        make_version(shared_bundle(0))
    assert client().search_model_versions(f"name = '{NAME}'") == []


# -- two at once -------------------------------------------------------------------------------------------------------


def test_registry_two_processes_cannot_both_win(uri: str, request: Any) -> None:
    name = f"course-{request.node.callspec.params['uri']}"
    first, second, _ = [bare_version(seed, name) for seed in range(3)]
    registry.settle(first, make_decision(True), against=None)
    racer = settle_elsewhere(uri, name, 3)
    assert racer.stdin is not None
    assert racer.stdout is not None
    ready = racer.stdout.readline()
    assert ready == "ready\n", racer.communicate()[1]
    racer.stdin.write("go\n")
    racer.stdin.flush()
    here = registry.settle(second, make_decision(True), against=first).what
    there = racer.communicate(timeout=120)[0].strip()
    assert {here, there} == {"promoted", "refused"}
    winner = registry.champion(name)
    assert winner is not None
    assert winner.number == (2 if here == "promoted" else 3)
    assert sorted(what for what, _, _ in story(name)[2:]) == ["promoted", "promoting", "refused"]


def test_registry_ledger_line_has_one_writer_in_either_store(uri: str, request: Any) -> None:
    ledger = create_ledger(f"ligne-{request.node.callspec.params['uri']}")
    lines = ledger.append([], "refused", None, None, "le premier")
    with pytest.raises(LedgerConflict):
        ledger.append([], "refused", None, None, "le second")
    assert ledger.lines() == lines


# -- fetching ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fetchable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Version]:
    """One version with its artifacts, champion, in a store of the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        use_tracking(make_store(tmp_path_factory.mktemp("fetch")))
        version = make_version(shared_bundle(0))
        registry.settle(version, make_decision(True), against=None)
        import mlflow

        patch.setenv("MLFLOW_TRACKING_URI", mlflow.get_tracking_uri())
        yield version


def test_fetch_model_is_fetched_once_and_mended(
    fetchable: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    folder = registry.fetch_model(f"models:/{NAME}@champion", tmp_path)
    assert folder == tmp_path / fetchable.digest
    assert open_bundle(folder).digest == fetchable.digest
    (folder / "model.onnx").write_bytes(b"cut")
    assert registry.fetch_model(f"models:/{NAME}/1", tmp_path) == folder
    assert open_bundle(folder).digest == fetchable.digest

    def offline(**named: Any) -> None:
        raise AssertionError("fetched again")

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", offline)
    assert registry.fetch_model(f"models:/{NAME}@champion", tmp_path) == folder
    assert [path.name for path in tmp_path.iterdir()] == [fetchable.digest]


def test_fetch_model_keeps_to_the_cache_folder_of_the_user(
    fetchable: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expected = tmp_path / "penchant" / "models" / fetchable.digest
    assert registry.fetch_model(f"models:/{NAME}@champion") == expected
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert registry.default_cache() == Path.home() / ".cache" / "penchant" / "models"


def test_fetch_model_that_is_not_the_registered_one_is_refused(
    fetchable: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    fetch = mlflow.artifacts.download_artifacts

    def swap(**named: Any) -> str:
        fetched: str = fetch(**named)
        for file in shared_bundle(1).iterdir():
            (Path(fetched) / file.name).write_bytes(file.read_bytes())
        return fetched

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", swap)
    with pytest.raises(RegistryError, match="holds another model than was registered"):
        registry.fetch_model(f"models:/{NAME}@champion", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"models:/{NAME}@second", "has no alias 'second'"),
        (f"models:/{NAME}/7", "has no version 7"),
        ("models:/inconnu@champion", "inconnu has no alias 'champion'"),
        (f"models:/{NAME}", "write models:/NAME@champion"),
        (f"models:/{NAME}/latest", "write models:/NAME@champion"),
        ("runs:/abc/model", "write models:/NAME@champion"),
    ],
)
def test_fetch_model_of_what_is_not_there_is_one_line(
    fetchable: Version, tmp_path: Path, address: str, said: str
) -> None:
    with pytest.raises(ModelError) as caught:  # what the scoring command line catches
        registry.fetch_model(address, tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fetch_model_from_a_silent_server_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"^no tracking server answers at http://127.0.0.1:9; [^\n]*$"):
        registry.fetch_model(f"models:/{NAME}@champion", tmp_path)


def test_registry_history_of_an_unknown_model_is_one_line(sqlite_store: Path) -> None:
    for attempt in (lambda: registry.history("inconnu"), lambda: registry.rollback("inconnu", reason="dérive")):
        with pytest.raises(RegistryError, match="no model 'inconnu' is registered"):
            attempt()
