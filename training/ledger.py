"""The ledger of a registered model: who made which version champion, when and why. Append-only, seen by every client.

It lives where the model lives. A file would be seen by one machine alone and tags can be written over, but a
**parameter of an MLflow run can be written once**: a second value for the same name is refused by the database's own
primary key, through a server as well. So each line is a parameter of one run a model, named by its number, and whoever
writes line n first has written it; the other is told so and reads again. That is all the mutual exclusion promotions
need. Each line carries the SHA-256 of itself and of the line before it, so that an edit behind MLflow's back shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from training.provenance import this_process, user
from training.store import RegistryError, client, experiment_id, one_line

What = Literal[
    "refused",  # by the gate
    "held",  # passed the gate, but promotion is switched off
    "promoting",  # decided: the alias is about to move
    "promoted",
    "rolling-back",
    "rolled-back",
    "abandoned",  # decided, but the version is gone: the alias stays where it was
    "moved-outside",  # somebody moved the alias without this program
]
CONCLUSION: dict[What, What] = {"promoting": "promoted", "rolling-back": "rolled-back"}

EXPERIMENT = "penchant-ledger"
RUN_TAG = "penchant.ledger"
GENESIS = "0" * 64

#: MLflow cuts a parameter at 6,000 characters without a word, which must never happen to a line.
MAX_LINE = 5_800
MAX_REASON = 1_500


class LedgerError(RegistryError):
    """A ledger that is missing, cannot be read, or was tampered with."""


class LedgerConflict(Exception):  # noqa: N818  # not an error: it says to read again
    """Another process wrote this line first."""


class Champion(NamedTuple):
    """A version as the ledger knows it. A number can be given again once a version is deleted; a digest cannot."""

    version: int
    digest: str


@dataclass(frozen=True)
class LedgerLine:
    """One line. ``when`` is UTC, ISO 8601; ``version`` None is no champion at all; ``former`` is the champion before.

    ``who`` is the user name of the writing process. ``sha256`` is over all the fields before it, ``previous`` is that
    of the line before; ``intact`` says whether both are right.
    """

    number: int
    when: str
    who: str
    process: str
    what: What
    name: str
    version: int | None
    digest: str
    former: int | None
    reason: str
    evidence: dict[str, Any]
    previous: str
    sha256: str
    intact: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def champions(lines: Sequence[LedgerLine]) -> list[Champion | None]:
    """The champions so far, the present one last; a rollback takes off those after its own. None is no champion."""
    stack: list[Champion | None] = [None]
    for line in lines:
        champion = None if line.version is None else Champion(line.version, line.digest)
        if line.what in ("promoted", "moved-outside"):
            stack.append(champion)
        elif line.what == "rolled-back":
            while len(stack) > 1 and stack[-1] != champion:
                stack.pop()
    return stack


def half_done(lines: Sequence[LedgerLine]) -> LedgerLine | None:
    """The promotion or rollback that was decided but not concluded: the last line or none."""
    return lines[-1] if lines and lines[-1].what in CONCLUSION else None


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _sha256(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(content).encode()).hexdigest()


def _key(number: int) -> str:
    return f"line-{number:06d}"


@dataclass(frozen=True)
class Ledger:
    """The lines of one registered model, in the parameters of run ``run_id``."""

    name: str
    run_id: str

    def lines(self) -> list[LedgerLine]:
        """All lines, first to last. Raises LedgerError where one cannot be read."""
        from mlflow.exceptions import MlflowException

        with one_line(f"the ledger of {self.name} cannot be read"):
            try:
                parameters = client().get_run(self.run_id).data.params
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                raise LedgerError(
                    f"the ledger of {self.name} (run {self.run_id}) is gone; restore it from a backup"
                ) from error
        numbers = sorted(int(key[5:]) for key in parameters if key.startswith("line-") and key[5:].isdecimal())
        lines: list[LedgerLine] = []
        expected = GENESIS
        for place, number in enumerate(numbers, 1):
            try:
                content = json.loads(parameters[_key(number)])
                linked = number == place == content["number"] and content["previous"] == expected
                expected = content.pop("sha256")
                lines.append(LedgerLine(**content, sha256=expected, intact=linked and expected == _sha256(content)))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise LedgerError(f"line {number} of the ledger of {self.name} cannot be read ({error!r})") from error
        return lines

    def require_intact(self, lines: Sequence[LedgerLine]) -> None:
        """Raise LedgerError for the first line that was tampered with."""
        for line in lines:
            if not line.intact:
                raise LedgerError(
                    f"line {line.number} of the ledger of {self.name} was changed by hand, or lines before it were "
                    "removed; restore the database from a backup before promoting"
                )

    def append(
        self,
        after: Sequence[LedgerLine],
        what: What,
        champion: Champion | None,
        former: Champion | None,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
    ) -> list[LedgerLine]:
        """Write the line that follows ``after`` and return all lines.

        Raises LedgerConflict where another process was quicker; nothing is written then.
        """
        from mlflow.exceptions import MlflowException

        content: dict[str, Any] = {
            "number": len(after) + 1,
            "when": datetime.now(UTC).isoformat(timespec="microseconds"),
            "who": user(),
            "process": this_process(),
            "what": what,
            "name": self.name,
            "version": champion.version if champion else None,
            "digest": champion.digest if champion else "",
            "former": former.version if former else None,
            "reason": reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 1] + "…",
            "evidence": dict(evidence or {}),
            "previous": after[-1].sha256 if after else GENESIS,
        }
        digest = _sha256(content)
        raw = _json({**content, "sha256": digest})
        if len(raw) > MAX_LINE:
            raise LedgerError(f"a ledger line of {len(raw)} characters is over {MAX_LINE}; shorten its evidence")
        with one_line(f"the ledger of {self.name} cannot be written"):
            try:
                client().log_param(self.run_id, _key(len(after) + 1), raw)
            except MlflowException as error:
                # Client, server and database word a refusal differently: what stands there now tells who won.
                stands = client().get_run(self.run_id).data.params.get(_key(len(after) + 1))
                if stands is None:
                    raise
                if stands != raw:
                    raise LedgerConflict(f"line {len(after) + 1} of {self.name}") from error
        return [*after, LedgerLine(**content, sha256=digest)]


def open_ledger(name: str) -> Ledger | None:
    """The ledger of a registered model; None where there is no such model yet.

    Raises LedgerError for a model that was not registered by this program.
    """
    from mlflow.exceptions import MlflowException

    with one_line(f"model {name!r} cannot be read"):
        try:
            model = client().get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
    run_id = model.tags.get(RUN_TAG)
    if run_id is None:
        raise LedgerError(
            f"model {name!r} has no {RUN_TAG} tag, so penchant-train did not register it; set registry.model to another"
        )
    return Ledger(name, run_id)


def create_ledger(name: str) -> Ledger:
    """The ledger of a registered model, and the model itself, made where they are not there yet.

    The model is created with its ledger's address in one request, and names are unique, so of two processes that
    create it at once both end up with the same ledger.
    """
    from mlflow.exceptions import MlflowException

    if (ledger := open_ledger(name)) is not None:
        return ledger
    with one_line(f"model {name!r} cannot be made"):
        run = client().create_run(experiment_id(EXPERIMENT), run_name=f"ledger of {name}", tags={RUN_TAG: name})
        client().set_terminated(run.info.run_id)
        try:
            client().create_registered_model(name, tags={RUN_TAG: run.info.run_id})
        except MlflowException as error:
            client().delete_run(run.info.run_id)
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    ledger = open_ledger(name)
    assert ledger is not None
    return ledger
