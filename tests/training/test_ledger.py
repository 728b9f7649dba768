"""The ledger: written once, read by all, numbered, linked; and the champions that follow from its lines."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.registry_fixtures import make_store
from training.ledger import (
    EXPERIMENT,
    GENESIS,
    Champion,
    Ledger,
    LedgerConflict,
    LedgerError,
    LedgerLine,
    champions,
    create_ledger,
    half_done,
    open_ledger,
)
from training.store import RegistryError, client, experiment_id, use_tracking

FIRST, SECOND = Champion(1, "a" * 64), Champion(2, "b" * 64)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    use_tracking(make_store(tmp_path / "mlruns"))
    return tmp_path / "mlruns" / "mlflow.db"


@pytest.fixture
def ledger(store: Path) -> Ledger:
    return create_ledger("essai")


def edit(store: Path, number: int, old: str, new: str) -> None:
    """Change a line as somebody with the database at hand would."""
    with sqlite3.connect(store) as database:
        key = f"line-{number:06d}"
        (raw,) = database.execute("SELECT value FROM params WHERE key = ?", (key,)).fetchone()
        assert old in raw
        database.execute("UPDATE params SET value = ? WHERE key = ?", (raw.replace(old, new), key))


def test_ledger_lines_come_back_numbered_and_linked(ledger: Ledger) -> None:
    written = ledger.append([], "promoting", FIRST, None, "meilleur : « +3 points »", {"gate": "pass", "f1": 0.1 + 0.2})
    written = ledger.append(written, "promoted", FIRST, None, "meilleur")
    read = ledger.lines()
    assert read == written
    assert [line.number for line in read] == [1, 2]
    assert (read[0].previous, read[1].previous) == (GENESIS, read[0].sha256)
    assert all(line.intact for line in read)
    assert read[0].who
    assert read[0].when.endswith("+00:00")
    assert read[0].evidence == {"gate": "pass", "f1": 0.1 + 0.2}


def test_ledger_line_has_one_writer(ledger: Ledger) -> None:
    ledger.append([], "refused", FIRST, None, "le premier")
    with pytest.raises(LedgerConflict):
        ledger.append([], "refused", SECOND, None, "le second")
    assert [line.reason for line in ledger.lines()] == ["le premier"]


def test_ledger_takes_a_line_whose_answer_was_lost(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    sent = MlflowClient.log_param

    def send_and_lose(self: MlflowClient, *arguments: Any) -> None:
        sent(self, *arguments)
        raise MlflowException("connection reset")

    monkeypatch.setattr(MlflowClient, "log_param", send_and_lose)
    assert ledger.append([], "refused", FIRST, None, "arrivé") == ledger.lines()


def test_ledger_line_that_could_not_be_written_is_an_error(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def lose(self: MlflowClient, *arguments: str) -> None:
        raise MlflowException("connection reset")

    monkeypatch.setattr(MlflowClient, "log_param", lose)
    with pytest.raises(RegistryError, match="cannot be written: connection reset"):
        ledger.append([], "refused", FIRST, None, "perdu")
    assert ledger.lines() == []


@pytest.mark.parametrize(("number", "old", "new"), [(1, '"who":', '"Who":'), (2, "excellent", "passable")])
def test_ledger_edited_by_hand_shows(store: Path, ledger: Ledger, number: int, old: str, new: str) -> None:
    lines = ledger.append([], "promoting", FIRST, None, "bon")
    lines = ledger.append(lines, "promoted", FIRST, None, "excellent")
    edit(store, number, old, new)
    if number == 1:  # no longer a line at all
        with pytest.raises(LedgerError, match=r"line 1 .* cannot be read"):
            ledger.lines()
        return
    read = ledger.lines()
    assert [line.intact for line in read] == [True, False]
    with pytest.raises(LedgerError, match=r"line 2 .* was changed by hand"):
        ledger.require_intact(read)


def test_ledger_with_a_line_rewritten_whole_shows_at_the_next(store: Path, ledger: Ledger) -> None:
    other = create_ledger("autre")
    forged = other.append([], "refused", SECOND, None, "maquillé")[0]
    ledger.append(ledger.append([], "refused", FIRST, None, "vrai"), "refused", FIRST, None, "suite")
    content = forged.to_dict()
    del content["intact"]
    with sqlite3.connect(store) as database:
        query = "UPDATE params SET value = ? WHERE key = 'line-000001' AND run_uuid = ?"
        database.execute(query, (json.dumps(content, ensure_ascii=False, separators=(",", ":")), ledger.run_id))
    assert [line.intact for line in ledger.lines()] == [True, False]


def test_ledger_with_a_line_removed_shows(store: Path, ledger: Ledger) -> None:
    lines = ledger.append([], "refused", FIRST, None, "un")
    lines = ledger.append(lines, "refused", FIRST, None, "deux")
    ledger.append(lines, "refused", FIRST, None, "trois")
    with sqlite3.connect(store) as database:
        database.execute("DELETE FROM params WHERE key = 'line-000002'")
    assert [line.intact for line in ledger.lines()] == [True, False]


def test_ledger_cuts_a_long_reason_and_refuses_long_evidence(ledger: Ledger) -> None:
    lines = ledger.append([], "refused", FIRST, None, "é" * 9_000)
    assert ledger.lines() == lines
    assert lines[0].reason.endswith("é…")
    with pytest.raises(LedgerError, match="characters"):
        ledger.append(lines, "refused", FIRST, None, "bref", {"notes": "x" * 6_000})


def test_ledger_made_by_several_at_once_is_one(store: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(create_ledger, ["essai"] * 4))
    assert len({ledger.run_id for ledger in made}) == 1
    left = client().search_runs([experiment_id(EXPERIMENT)])
    assert [run.info.run_id for run in left] == [made[0].run_id]


def test_ledger_of_no_model_is_none_and_of_a_foreign_model_an_error(store: Path) -> None:
    assert open_ledger("essai") is None
    client().create_registered_model("essai")
    with pytest.raises(LedgerError, match=r"set registry.model to another"):
        open_ledger("essai")


def test_ledger_whose_run_is_gone_is_an_error(store: Path, ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="is gone"):
        replace(ledger, run_id="0" * 32).lines()


def line(what: str, champion: Champion | None) -> LedgerLine:
    version, digest = champion or (None, "")
    return LedgerLine(1, "", "", "", what, "essai", version, digest, None, "", {}, "", "")  # type: ignore[arg-type]


@given(st.lists(st.one_of(st.integers(1, 5), st.just("back")), max_size=30))
def test_ledger_champions_are_a_stack(steps: list[int | str]) -> None:
    model: list[Champion | None] = [None]
    lines = []
    for step in steps:
        if isinstance(step, int) and model[-1] != Champion(step, str(step)):
            model.append(Champion(step, str(step)))
            lines += [line("promoting", model[-1]), line("promoted", model[-1]), line("refused", Champion(9, "9"))]
        elif step == "back" and len(model) > 2:
            model.pop()
            lines += [line("rolling-back", model[-1]), line("rolled-back", model[-1])]
    assert champions(lines) == model
    assert half_done(lines) is None


def test_ledger_intent_without_conclusion_changes_no_champion() -> None:
    lines = [line("promoting", FIRST), line("promoted", FIRST), line("promoting", SECOND)]
    assert champions(lines)[-1] == FIRST
    assert half_done(lines) is lines[-1]
    assert champions([*lines, line("abandoned", SECOND)])[-1] == FIRST
