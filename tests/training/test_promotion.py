"""Promoting and rolling back: what is allowed, what a kill leaves behind, and two at once."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from tests.training.registry_fixtures import NAME, make_decision, settle_elsewhere, story, use_populated_store
from training import promotion, registry
from training.ledger import Ledger, LedgerConflict, LedgerError
from training.registry import PromotionError, RegistryError, Version
from training.store import client


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Version]:
    """Three registered versions, the first of them champion, in ``tmp_path/mlflow.db``."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return use_populated_store(tmp_path)


# -- deciding ----------------------------------------------------------------------------------------------------------


def test_promotion_decision_against_a_former_champion_is_refused(versions: list[Version]) -> None:
    assert registry.settle(versions[1], make_decision(True), against=versions[0]).what == "promoted"
    line = registry.settle(versions[2], make_decision(True), against=versions[0])
    assert line.what == "refused"
    assert "decided against version 1, but the champion is now version 2" in line.reason
    assert registry.champion(NAME) == versions[1]


def test_promotion_held_promotion_is_done_by_hand_until_the_champion_changes(versions: list[Version]) -> None:
    for version in versions[1:]:
        assert registry.settle(version, make_decision(True), against=versions[0], allow=False).what == "held"
    assert registry.champion(NAME) == versions[0]
    assert registry.promote(NAME, 2, reason="relu par l'équipe").what == "promoted"
    with pytest.raises(PromotionError, match="--force"):
        registry.promote(NAME, 3, reason="relu par l'équipe")
    with pytest.raises(PromotionError, match="already"):
        registry.promote(NAME, 2, reason="encore", force=True)


def test_promotion_refused_version_needs_force_and_every_hand_a_reason(versions: list[Version]) -> None:
    registry.settle(versions[1], make_decision(False, "trop lent"), against=versions[0])
    with pytest.raises(PromotionError, match=r"version 2 of .* was refused: trop lent"):
        registry.promote(NAME, 2, reason="pressé")
    with pytest.raises(PromotionError, match="was not judged by the gate"):
        registry.promote(NAME, 3, reason="pressé")
    with pytest.raises(PromotionError, match="needs a reason"):
        registry.promote(NAME, 2, reason=" ", force=True)
    with pytest.raises(PromotionError, match="needs a reason"):
        registry.rollback(NAME, reason="")
    with pytest.raises(RegistryError, match="has no version 9"):
        registry.promote(NAME, 9, reason="pressé", force=True)
    assert registry.champion(NAME) == versions[0]


def test_promotion_rollback_goes_back_step_by_step(versions: list[Version]) -> None:
    with pytest.raises(PromotionError, match="no champion before version 1"):
        registry.rollback(NAME, reason="dérive")
    registry.settle(versions[1], make_decision(True), against=versions[0])
    registry.settle(versions[2], make_decision(True), against=versions[1])
    assert [registry.rollback(NAME, reason="dérive").version for _ in range(2)] == [2, 1]
    with pytest.raises(PromotionError, match="no champion before version 1"):
        registry.rollback(NAME, reason="dérive")
    registry.settle(versions[2], make_decision(True), against=versions[0])
    assert registry.rollback(NAME, reason="dérive").version == 1


def test_promotion_rollback_to_a_deleted_version_says_so(versions: list[Version]) -> None:
    registry.settle(versions[1], make_decision(True), against=versions[0])
    client().delete_model_version(NAME, "1")
    with pytest.raises(PromotionError, match=r"version 1 of .* was deleted"):
        registry.rollback(NAME, reason="dérive")
    assert registry.champion(NAME) == versions[1]


def test_promotion_alias_moved_by_other_means_is_noticed(versions: list[Version]) -> None:
    client().set_registered_model_alias(NAME, "champion", "3")
    assert registry.champion(NAME) == versions[2]
    assert story()[-1] == ("moved-outside", 3, 1)
    client().delete_registered_model_alias(NAME, "champion")
    assert registry.champion(NAME) is None
    assert story()[-1] == ("moved-outside", None, 3)
    assert registry.rollback(NAME, reason="quelqu'un a effacé l'alias").version == 3


def test_promotion_tampered_ledger_stops_promotions_and_is_still_printed(
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
def test_promotion_killed_promotion_is_finished_or_never_began(
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
def test_promotion_killed_rollback_is_finished(
    versions: list[Version], owner: Any, step: str, call: int, after: bool
) -> None:
    registry.settle(versions[1], make_decision(True), against=versions[0])
    with pytest.MonkeyPatch.context() as patch:
        kill_before(patch, owner, step, call=call, after=after)
        with pytest.raises(Killed):
            registry.rollback(NAME, reason="dérive")
    assert story()[4:] == [("rolling-back", 1, 2), ("rolled-back", 1, 2)]
    assert registry.champion(NAME) == versions[0]


def test_promotion_killed_promotion_of_a_deleted_version_is_undone(versions: list[Version]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_before(patch, promotion, "_move_alias")
        with pytest.raises(Killed):
            registry.settle(versions[1], make_decision(True), against=versions[0])
    client().delete_model_version(NAME, "2")
    assert registry.champion(NAME) == versions[0]
    assert story()[-1] == ("abandoned", 2, 1)


def test_promotion_process_killed_by_the_system_is_finished_by_the_next(
    versions: list[Version], tmp_path: Path
) -> None:
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


# -- two at once ------------------------------------------------------------------------------------------------------


def test_promotion_line_decides_even_without_a_lock(versions: list[Version], monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_promotion_slow_helper_leaves_the_alias_where_the_ledger_says(
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


def test_promotion_gives_up_on_a_ledger_that_never_rests(
    versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*arguments: Any) -> None:
        raise LedgerConflict

    monkeypatch.setattr(promotion, "ATTEMPTS", 3)
    monkeypatch.setattr(Ledger, "append", busy)
    with pytest.raises(PromotionError, match="keep writing"):
        registry.settle(versions[1], make_decision(True), against=versions[0])


def test_promotion_lock_held_by_another_is_one_line(
    versions: list[Version], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    from training import store

    monkeypatch.setattr(store, "LOCK_SECONDS", 0.2)
    with (tmp_path / "mlflow.db.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RegistryError, match="another process holds"):
            registry.champion(NAME)
