"""Promotion and rollback: the alias ``champion`` moves only together with the ledger.

A promotion is a small transaction. Its **intent line decides it**: the line can be written by one process only, and
only while the champion that the decision was made against still stands. The alias and the concluding line merely carry
it out, so whoever finds an intent without its conclusion (the process was killed in between) carries it out instead, or
abandons it where the version is gone. On an SQLite store a lock file keeps two processes of one machine from helping
each other needlessly; correctness does not rest on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from training.evidence import Decision
from training.ledger import (
    CONCLUSION,
    Champion,
    Ledger,
    LedgerConflict,
    LedgerLine,
    What,
    champions,
    half_done,
    open_ledger,
)
from training.store import RegistryError, alone, client, ensure_tracking, one_line
from training.versions import CHAMPION, GATE_TAG, Version, find_alias, find_version

ATTEMPTS = 20


class PromotionError(RegistryError):
    """A promotion or rollback that is not allowed; the message says why and what would be."""


class Entry(Protocol):
    """Says which line comes after ``lines``, or raises PromotionError; asked again where another was quicker."""

    def __call__(self, lines: Sequence[LedgerLine]) -> tuple[What, Champion | None, str, dict[str, Any]]:
        """What, the version, why, the evidence."""
        ...


def _move_alias(name: str, champion: Champion | None) -> None:
    with one_line(f"alias {CHAMPION} of {name} cannot be moved"):
        if champion is None:
            client().delete_registered_model_alias(name, CHAMPION)
        else:
            client().set_registered_model_alias(name, CHAMPION, str(champion.version))


def _carry_out(ledger: Ledger, lines: Sequence[LedgerLine], note: str = "") -> list[LedgerLine]:
    """Move the alias as the last line, an intent, decided, and conclude it; returns all lines."""
    intent = lines[-1]
    assert intent.version is not None
    decided, former = Champion(intent.version, intent.digest), champions(lines)[-1]
    version = find_version(ledger.name, decided.version)
    try:
        if version is None or version.digest != decided.digest:
            _move_alias(ledger.name, former)
            gone = f"version {decided.version} is gone from the registry"
            return ledger.append(lines, "abandoned", decided, former, gone)
        _move_alias(ledger.name, decided)
        return ledger.append(lines, CONCLUSION[intent.what], decided, former, note + intent.reason, intent.evidence)
    except LedgerConflict:
        # Another process carried it out and may have gone on since: the alias must say what the ledger says now.
        lines = ledger.lines()
        if half_done(lines) is None:
            _move_alias(ledger.name, champions(lines)[-1])
        return lines


def _steady(ledger: Ledger) -> list[LedgerLine]:
    """All lines, once nothing is half done and the alias stands where the ledger says.

    An alias that somebody moved by other means stays where it is, since that is what is served; the ledger says so.
    """
    for _ in range(ATTEMPTS):
        lines = ledger.lines()
        ledger.require_intact(lines)
        if (intent := half_done(lines)) is not None:
            _carry_out(ledger, lines, note=f"(finished for {intent.who}, who was interrupted) ")
            continue
        alias, recorded = find_alias(ledger.name, CHAMPION), champions(lines)[-1]
        if (alias.as_champion if alias else None) == recorded:
            return lines
        try:
            reason = "the alias was moved by other means than penchant-train"
            return ledger.append(lines, "moved-outside", alias.as_champion if alias else None, recorded, reason)
        except LedgerConflict:
            continue
    raise PromotionError(f"other processes keep writing the ledger of {ledger.name}; try again")


def _write(ledger: Ledger, entry: Entry) -> LedgerLine:
    """Write the line that ``entry`` asks for, after everything before it is concluded; carry it out if it decides."""
    for _ in range(ATTEMPTS):
        lines = _steady(ledger)
        what, version, reason, evidence = entry(lines)
        try:
            lines = ledger.append(lines, what, version, champions(lines)[-1], reason, evidence)
        except LedgerConflict:
            continue
        if half_done(lines) is None:
            return lines[-1]
        number = len(lines) + 1
        return next(line for line in _carry_out(ledger, lines) if line.number == number)
    raise PromotionError(f"other processes keep writing the ledger of {ledger.name}; try again")


def _require_ledger(name: str) -> Ledger:
    ledger = open_ledger(name)
    if ledger is None:
        raise RegistryError(f"no model {name!r} is registered; register one with penchant-train run")
    return ledger


def _require_version(name: str, number: int) -> Version:
    version = find_version(name, number)
    if version is None:
        raise RegistryError(f"{name} has no version {number}; penchant-train history prints the known ones")
    return version


def _said(champion: Champion | None) -> str:
    return f"version {champion.version}" if champion else "no champion"


def champion(name: str) -> Version | None:
    """The champion, None before the first; a promotion left half done is concluded. Raises RegistryError."""
    ensure_tracking()
    ledger = open_ledger(name)
    if ledger is None:
        return None
    with alone():
        _steady(ledger)
        return find_alias(name, CHAMPION)


def history(name: str) -> list[LedgerLine]:
    """Every line of the ledger, first to last; ``intact`` is False where one was edited. Raises RegistryError."""
    ensure_tracking()
    ledger = _require_ledger(name)
    with alone():
        lines = ledger.lines()
        return _steady(ledger) if all(line.intact for line in lines) else lines


def settle(version: Version, decision: Decision, *, against: Version | None, allow: bool = True) -> LedgerLine:
    """Write the gate's decision to the ledger and, where it promotes and ``allow`` is set, make ``version`` champion.

    ``against`` is the champion that the decision was made against (None: there was none). Where that is no longer the
    champion, the decision says nothing about the present one, and the line says refused. Returns the concluding line:
    ``promoted``, ``held`` (it passed, but ``allow`` is off) or ``refused``. Raises RegistryError.
    """
    ensure_tracking()
    ledger = _require_ledger(version.name)
    rival = against.as_champion if against else None
    with one_line(f"the decision on {version.uri} cannot be kept"):
        client().log_dict(version.run_id, decision.to_dict(), f"decision/version-{version.number}.json")
        client().log_text(version.run_id, decision.to_text(), f"decision/version-{version.number}.txt")
        client().set_model_version_tag(
            version.name, str(version.number), GATE_TAG, "pass" if decision.promote else "fail"
        )
        client().update_model_version(version.name, str(version.number), decision.summary)

    def entry(lines: Sequence[LedgerLine]) -> tuple[What, Champion | None, str, dict[str, Any]]:
        evidence = {**evidence_summary(decision), "against": rival.version if rival else None}
        now = champions(lines)[-1]
        if not decision.promote:
            return "refused", version.as_champion, decision.summary, evidence
        if now != rival:
            reason = f"decided against {_said(rival)}, but the champion is now {_said(now)}: run the gate again"
            return "refused", version.as_champion, reason, evidence
        return "promoting" if allow else "held", version.as_champion, decision.summary, evidence

    with alone():
        return _write(ledger, entry)


def evidence_summary(decision: Decision) -> dict[str, Any]:
    """What a ledger line keeps of a decision: the main numbers and the criteria that failed; the rest is in the run."""
    failed = [one.name[:80] for one in decision.criteria if one.verdict == "fail"]
    summary: dict[str, Any] = {"gate": "pass" if decision.promote else "fail", "criteria": len(decision.criteria)}
    if decision.criteria:
        main = decision.criteria[0]
        summary["main"] = {"name": main.name[:80], "challenger": main.challenger, "champion": main.champion}
    return {**summary, "failed": failed[:12], "failed_count": len(failed)}


def promote(name: str, number: int, *, reason: str, force: bool = False) -> LedgerLine:
    """Make version ``number`` champion by hand, for a ``reason`` that the ledger keeps; returns the concluding line.

    Without ``force`` the gate must have passed the version against the present champion (a ``held`` promotion).
    Raises PromotionError where it has not, RegistryError where there is no such version.
    """
    ensure_tracking()
    ledger = _require_ledger(name)
    version = _require_version(name, number)
    _require_reason(reason)

    def entry(lines: Sequence[LedgerLine]) -> tuple[What, Champion | None, str, dict[str, Any]]:
        now = champions(lines)[-1]
        if now == version.as_champion:
            raise PromotionError(f"version {number} is the champion of {name} already")
        verdicts = [one for one in lines if one.what in ("refused", "held") and one.digest == version.digest]
        last = verdicts[-1] if verdicts else None
        evidence = dict(last.evidence) if last else {"gate": "never asked"}
        passed = (
            last is not None and last.what == "held" and last.evidence.get("against") == (now.version if now else None)
        )
        if not (passed or force):
            said = "was not judged by the gate" if last is None else f"was {last.what}: {last.reason}"
            raise PromotionError(
                f"version {number} of {name} {said} (the champion is {_said(now)}); --force promotes it all the same"
            )
        return "promoting", version.as_champion, reason, evidence if passed else {**evidence, "forced": True}

    with alone():
        return _write(ledger, entry)


def rollback(name: str, *, reason: str) -> LedgerLine:
    """Put the former champion back; again, the one before it. Returns the concluding line.

    Raises PromotionError where there is none or it was deleted.
    """
    ensure_tracking()
    ledger = _require_ledger(name)
    _require_reason(reason)

    def entry(lines: Sequence[LedgerLine]) -> tuple[What, Champion | None, str, dict[str, Any]]:
        *before, now = champions(lines)
        former = next((one for one in reversed(before) if one is not None and one != now), None)
        if former is None:
            raise PromotionError(f"{name} has no champion before {_said(now)} to roll back to; promote another version")
        found = find_version(name, former.version)
        if found is None or found.digest != former.digest:
            raise PromotionError(
                f"the former champion, version {former.version} of {name}, was deleted; promote another"
            )
        return "rolling-back", former, reason, {}

    with alone():
        return _write(ledger, entry)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise PromotionError("a promotion or rollback by hand needs a reason; the ledger keeps it")
