"""Registering, promoting, rolling back and fetching, on an SQLite store and through a real server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from inference.bundle import ModelError, open_bundle
from tests.training.registry_fixtures import (
    NAME,
    TEXTS,
    make_bundle,
    make_config,
    make_decision,
    make_evidence,
    make_store,
    make_version,
    tracking_server,
)
from training import promotion, registry
from training.ledger import Ledger, LedgerConflict, LedgerError
from training.registry import PromotionError, RegistryError, Version
from training.store import client, use_tracking
from training.tracking import start_run

ROOT = Path(__file__).parents[2]
INPUTS: dict[str, Any] = {"corpus_digest": "c" * 64, "split_sizes": {"train": 3}}


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three models."""
    folder = tmp_path_factory.mktemp("bundles")
    return [make_bundle(folder / f"model-{seed}", seed) for seed in range(3)]


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


@pytest.fixture(scope="session")
def populated(tmp_path_factory: pytest.TempPathFactory, bundles: list[Path]) -> tuple[Path, list[Version]]:
    """A store with three versions, the first of them champion, to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        folder = tmp_path_factory.mktemp("populated")
        use_tracking(make_store(folder))
        made = [bare_version(bundle) for bundle in bundles]
        registry.settle(made[0], make_decision(True), against=None)
    return folder / "mlflow.db", made


@pytest.fixture
def versions(populated: tuple[Path, list[Version]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Version]:
    """Three registered versions, the first of them champion, in a store of the test's own: ``tmp_path/mlflow.db``."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(populated[0], tmp_path / "mlflow.db")
    use_tracking(f"sqlite:///{tmp_path}/mlflow.db")
    return populated[1]


def bare_version(bundle: Path, name: str = NAME) -> Version:
    """A version without its artifacts, which promotions never look at: quick to make."""
    from training.ledger import create_ledger
    from training.store import experiment_id
    from training.versions import DIGEST_TAG, to_version

    create_ledger(name)
    run = client().create_run(experiment_id("essais"))
    tags = {DIGEST_TAG: open_bundle(bundle).digest}
    return to_version(client().create_model_version(name, f"{run.info.artifact_uri}/model", run_id=run.info.run_id, tags=tags))


def story(name: str = NAME) -> list[tuple[str, int | None, int | None]]:
    """What the ledger tells: what, version, former champion."""
    return [(line.what, line.version, line.former) for line in registry.history(name)]


# -- registering, and the whole way ------------------------------------------------------------------------------------


def test_registry_model_goes_the_whole_way(uri: str, bundles: list[Path], tmp_path: Path, request: Any) -> None:
    name = f"entier-{request.node.callspec.params['uri']}"
    assert registry.champion(name) is None
    first = make_version(bundles[0], make_config(name=name), TEXTS)
    assert (first.number, first.digest) == (1, open_bundle(bundles[0]).digest)
    assert registry.champion(name) is None
    assert registry.settle(first, make_decision(True), against=None).what == "promoted"
    assert registry.champion(name) == first
    second = make_version(bundles[1], make_config(name=name))
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


def test_registry_decision_is_kept_where_people_look(sqlite_store: Path, bundles: list[Path]) -> None:
    version = bare_version(bundles[0])
    registry.settle(version, make_decision(False, "pas meilleur : 0,61 contre 0,64"), against=None)
    found = client().get_model_version(NAME, "1")
    assert found.description == "pas meilleur : 0,61 contre 0,64"
    assert found.tags["penchant.gate"] == "fail"
    kept = {file.path for file in client().list_artifacts(version.run_id, "decision")}
    assert kept == {"decision/version-1.json", "decision/version-1.txt"}
    (line,) = registry.history(NAME)
    assert line.evidence["failed"] == ["stance macro-F1, unseen"]
    assert line.digest == version.digest


def test_registry_signature_and_requirements_are_those_of_scoring(sqlite_store: Path, bundles: list[Path]) -> None:
    import mlflow

    version = make_version(bundles[0], texts=TEXTS[:1])
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


def test_registry_path_is_left_as_it_was(sqlite_store: Path, bundles: list[Path]) -> None:
    before = list(sys.path)
    make_version(bundles[0], texts=TEXTS)
    assert sys.path == before


def test_registry_registers_nothing_by_halves(
    sqlite_store: Path, bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    cut = make_bundle(tmp_path / "cut")
    (cut / "model.onnx").write_bytes(b"cut")
    with pytest.raises(ModelError, match="does not match the digest"):
        make_version(cut)
    with pytest.raises(RegistryError, match="no evaluation yet"), start_run(make_config(), **INPUTS) as tracked:
        registry.register(tracked, bundles[0], [])
    with start_run(make_config(), **INPUTS) as tracked:
        tracked.log_report(make_evidence(), "# Bilan\n")
    with pytest.raises(RegistryError, match="is over"):
        registry.register(tracked, bundles[0], [])
    assert client().search_registered_models() == []

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", full)
    with pytest.raises(RegistryError, match=r"^the model cannot be logged: .*No space left on device$"):
        make_version(bundles[0])
    assert client().search_model_versions(f"name = '{NAME}'") == []
    failed = client().search_runs([client().get_experiment_by_name("essais").experiment_id])
    assert [run.info.status for run in failed] == ["FAILED", "FINISHED", "FAILED", "FAILED"]


def test_registry_store_that_gives_back_another_model_is_found_out(
    sqlite_store: Path, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    fetch = mlflow.artifacts.download_artifacts

    def swap(**named: Any) -> str:
        fetched: str = fetch(**named)
        for file in bundles[1].iterdir():
            (Path(fetched) / "artifacts" / "bundle" / file.name).write_bytes(file.read_bytes())
        return fetched

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", swap)
    with pytest.raises(RegistryError, match="gave back another model"):
        make_version(bundles[0])
    assert client().search_model_versions(f"name = '{NAME}'") == []


# -- deciding ----------------------------------------------------------------------------------------------------------


def test_registry_decision_against_a_former_champion_is_refused(versions: list[Version]) -> None:
    assert registry.settle(versions[1], make_decision(True), against=versions[0]).what == "promoted"
    line = registry.settle(versions[2], make_decision(True), against=versions[0])
    assert line.what == "refused"
    assert "decided against version 1, but the champion is now version 2" in line.reason
    assert registry.champion(NAME) == versions[1]


def test_registry_held_promotion_is_done_by_hand_until_the_champion_changes(versions: list[Version]) -> None:
    for version in versions[1:]:
        assert registry.settle(version, make_decision(True), against=versions[0], allow=False).what == "held"
    assert registry.champion(NAME) == versions[0]
    assert registry.promote(NAME, 2, reason="relu par l'équipe").what == "promoted"
    with pytest.raises(PromotionError, match="--force"):
        registry.promote(NAME, 3, reason="relu par l'équipe")
    with pytest.raises(PromotionError, match="already"):
        registry.promote(NAME, 2, reason="encore", force=True)


def test_registry_refused_version_needs_force_and_every_hand_a_reason(versions: list[Version]) -> None:
    registry.settle(versions[1], make_decision(False, "trop lent"), against=versions[0])
    with pytest.raises(PromotionError, match=r"version 2 of .* was refused: trop lent"):
        registry.promote(NAME, 2, reason="pressé")
    with pytest.raises(PromotionError, match="was not judged by the gate"):
        registry.promote(NAME, 3, reason="pressé")
    for attempt in (
        lambda: registry.promote(NAME, 2, reason=" ", force=True),
        lambda: registry.rollback(NAME, reason=""),
    ):
        with pytest.raises(PromotionError, match="needs a reason"):
            attempt()
    with pytest.raises(RegistryError, match="has no version 9"):
        registry.promote(NAME, 9, reason="pressé", force=True)
    assert registry.champion(NAME) == versions[0]


def test_registry_rollback_goes_back_step_by_step(versions: list[Version]) -> None:
    with pytest.raises(PromotionError, match="no champion before version 1"):
        registry.rollback(NAME, reason="dérive")
    registry.settle(versions[1], make_decision(True), against=versions[0])
    registry.settle(versions[2], make_decision(True), against=versions[1])
    assert [registry.rollback(NAME, reason="dérive").version for _ in range(2)] == [2, 1]
    with pytest.raises(PromotionError, match="no champion before version 1"):
        registry.rollback(NAME, reason="dérive")
    registry.settle(versions[2], make_decision(True), against=versions[0])
    assert registry.rollback(NAME, reason="dérive").version == 1


def test_registry_rollback_to_a_deleted_version_says_so(versions: list[Version]) -> None:
    registry.settle(versions[1], make_decision(True), against=versions[0])
    client().delete_model_version(NAME, "1")
    with pytest.raises(PromotionError, match=r"version 1 of .* was deleted"):
        registry.rollback(NAME, reason="dérive")
    assert registry.champion(NAME) == versions[1]


def test_registry_alias_moved_by_other_means_is_noticed(versions: list[Version]) -> None:
    client().set_registered_model_alias(NAME, "champion", "3")
    assert registry.champion(NAME) == versions[2]
    assert story()[-1] == ("moved-outside", 3, 1)
    client().delete_registered_model_alias(NAME, "champion")
    assert registry.champion(NAME) is None
    assert story()[-1] == ("moved-outside", None, 3)
    assert registry.rollback(NAME, reason="quelqu'un a effacé l'alias").version == 3


def test_registry_tampered_ledger_stops_promotions_and_is_still_printed(
    versions: list[Version], tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("UPDATE params SET value = replace(value, 'better', 'superb') WHERE key = 'line-000001'")
    with pytest.raises(LedgerError, match="line 1"):
        registry.settle(versions[1], make_decision(True), against=versions[0])
    assert [line.intact for line in registry.history(NAME)] == [False, True]


# -- being killed ------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a kill: nothing in the program catches it."""


def kill_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, call: int = 1, after: bool = False) -> None:
    """Raise Killed at the ``call``-th call of a step, before it is done or after."""
    step: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(1, 100))

    def dying(*arguments: Any, **named: Any) -> Any:
        last = next(calls) == call
        if last and not after:
            raise Killed
        result = step(*arguments, **named)
        if last:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, dying)


#: Every place between two steps of a promotion: which step, at which of its calls, before or after; then who is
#: champion and what the ledger gained. Before the intent line there is nothing to finish.
STEPS = [
    pytest.param(promotion, "find_alias", 1, False, 1, [], id="before-anything"),
    pytest.param(Ledger, "append", 1, False, 1, [], id="before-the-intent"),
    pytest.param(Ledger, "append", 1, True, 2, ["promoting", "promoted"], id="after-the-intent"),
    pytest.param(promotion, "_move_alias", 1, False, 2, ["promoting", "promoted"], id="before-the-alias"),
    pytest.param(promotion, "_move_alias", 1, True, 2, ["promoting", "promoted"], id="after-the-alias"),
    pytest.param(Ledger, "append", 2, False, 2, ["promoting", "promoted"], id="before-the-conclusion"),
    pytest.param(Ledger, "append", 2, True, 2, ["promoting", "promoted"], id="after-the-conclusion"),
]


@pytest.mark.parametrize(("owner", "step", "call", "after", "champion", "gained"), STEPS)
def test_registry_killed_promotion_is_finished_or_never_began(
    versions: list[Version], owner: Any, step: str, call: int, after: bool, champion: int, gained: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_before(patch, owner, step, call=call, after=after)
        with pytest.raises(Killed):
            registry.settle(versions[1], make_decision(True), against=versions[0])
    found = registry.champion(NAME)
    assert found == versions[champion - 1]
    assert [what for what, _, _ in story()[2:]] == gained
    line = registry.settle(versions[2], make_decision(True), against=found)
    assert (line.what, line.former) == ("promoted", champion)


@pytest.mark.parametrize(("owner", "step", "call", "after"), [one.values[:4] for one in STEPS[2:]])
def test_registry_killed_rollback_is_finished(
    versions: list[Version], owner: Any, step: str, call: int, after: bool
) -> None:
    registry.settle(versions[1], make_decision(True), against=versions[0])
    with pytest.MonkeyPatch.context() as patch:
        kill_before(patch, owner, step, call=call, after=after)
        with pytest.raises(Killed):
            registry.rollback(NAME, reason="dérive")
    assert story()[4:] == [("rolling-back", 1, 2), ("rolled-back", 1, 2)]
    assert registry.champion(NAME) == versions[0]


def test_registry_killed_promotion_of_a_deleted_version_is_undone(versions: list[Version]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_before(patch, promotion, "_move_alias")
        with pytest.raises(Killed):
            registry.settle(versions[1], make_decision(True), against=versions[0])
    client().delete_model_version(NAME, "2")
    assert registry.champion(NAME) == versions[0]
    assert story()[-1] == ("abandoned", 2, 1)


SETTLE = """
import os, signal, sys
from tests.training.registry_fixtures import make_decision
from training import promotion, registry
from training.store import use_tracking

uri, name, number, dies = sys.argv[1:]
use_tracking(uri)
if dies == "dies":
    move = promotion._move_alias
    promotion._move_alias = lambda *arguments: (move(*arguments), os.kill(os.getpid(), signal.SIGKILL))
version = registry.resolve(f"models:/{name}/{number}")
champion = registry.champion(name)
print("ready", flush=True)
sys.stdin.readline()
print(registry.settle(version, make_decision(True), against=champion).what, flush=True)
"""


def settle_elsewhere(uri: str, name: str, number: int, how: str = "lives") -> subprocess.Popen[str]:
    """Another process that promotes a version, once it reads a line on its standard input."""
    command = [sys.executable, "-c", SETTLE, uri, name, str(number), how]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_registry_process_killed_by_the_system_is_finished_by_the_next(versions: list[Version], tmp_path: Path) -> None:
    process = settle_elsewhere(f"sqlite:///{tmp_path}/mlflow.db", NAME, 2, "dies")
    process.communicate("go\n", timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert [line.what for line in Ledger(NAME, ledger_run()).lines()][2:] == ["promoting"]
    assert registry.champion(NAME) == versions[1]
    last = registry.history(NAME)[-1]
    assert (last.what, last.version) == ("promoted", 2)
    assert "was interrupted" in last.reason


def ledger_run() -> str:
    run_id: str = client().get_registered_model(NAME).tags["penchant.ledger"]
    return run_id


# -- two at once -------------------------------------------------------------------------------------------------------


def test_registry_two_processes_cannot_both_win(uri: str, bundles: list[Path], request: Any) -> None:
    name = f"course-{request.node.callspec.params['uri']}"
    first, *_ = [bare_version(bundle, name) for bundle in bundles]
    registry.settle(first, make_decision(True), against=None)
    racers = [settle_elsewhere(uri, name, number) for number in (2, 3)]
    for racer in racers:
        assert racer.stdout is not None
        line = racer.stdout.readline()
        assert line == "ready\n", racer.communicate()[1]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=120)[0].strip() for racer in racers]
    assert sorted(said) == ["promoted", "refused"]
    winner = registry.champion(name)
    assert winner is not None
    assert winner.number == (2, 3)[said.index("promoted")]
    assert sorted(what for what, _, _ in story(name)[2:]) == ["promoted", "promoting", "refused"]


def test_registry_line_decides_even_without_a_lock(versions: list[Version], monkeypatch: pytest.MonkeyPatch) -> None:
    append, meet = Ledger.append, Barrier(2)

    def together(self: Ledger, after: Any, what: Any, *rest: Any) -> Any:
        """Both have read the ledger before either writes its intent."""
        if what == "promoting":
            try:
                meet.wait(timeout=20)
            except BrokenBarrierError:
                raise AssertionError("the two never met") from None
        return append(self, after, what, *rest)

    monkeypatch.setattr(promotion, "alone", nullcontext)
    monkeypatch.setattr(Ledger, "append", together)
    with ThreadPoolExecutor(2) as pool:
        lines = list(pool.map(lambda one: registry.settle(one, make_decision(True), against=versions[0]), versions[1:]))
    assert sorted(line.what for line in lines) == ["promoted", "refused"]
    winner = next(line.version for line in lines if line.what == "promoted")
    found = registry.champion(NAME)
    assert found is not None
    assert found.number == winner


def test_registry_slow_helper_leaves_the_alias_where_the_ledger_says(
    versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process sleeps between its intent and the alias; meanwhile others finish for it and promote another version."""
    move = promotion._move_alias
    calls = iter(range(100))

    def slow(name: str, champion: Any) -> None:
        if next(calls) == 0:
            found = registry.champion(NAME)  # finishes the promotion of version 2
            registry.settle(versions[2], make_decision(True), against=found)
        move(name, champion)

    monkeypatch.setattr(promotion, "alone", nullcontext)
    monkeypatch.setattr(promotion, "_move_alias", slow)
    assert registry.settle(versions[1], make_decision(True), against=versions[0]).version == 2
    assert registry.champion(NAME) == versions[2]
    assert [what for what, _, _ in story()[2:]] == ["promoting", "promoted"] * 2


def test_registry_gives_up_on_a_ledger_that_never_rests(
    versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*arguments: Any) -> None:
        raise LedgerConflict

    monkeypatch.setattr(promotion, "ATTEMPTS", 3)
    monkeypatch.setattr(Ledger, "append", busy)
    with pytest.raises(PromotionError, match="keep writing"):
        registry.settle(versions[1], make_decision(True), against=versions[0])


def test_registry_lock_held_by_another_is_one_line(
    versions: list[Version], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    from training import store

    monkeypatch.setattr(store, "LOCK_SECONDS", 0.2)
    with (tmp_path / "mlflow.db.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RegistryError, match="another process holds"):
            registry.champion(NAME)


# -- fetching ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fetchable(tmp_path_factory: pytest.TempPathFactory, bundles: list[Path]) -> Iterator[Version]:
    """One version with its artifacts, champion, in a store of the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        use_tracking(make_store(tmp_path_factory.mktemp("fetch")))
        version = make_version(bundles[0])
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
    fetchable: Version, bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    fetch = mlflow.artifacts.download_artifacts

    def swap(**named: Any) -> str:
        fetched: str = fetch(**named)
        for file in bundles[1].iterdir():
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
