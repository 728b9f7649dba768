"""What a model brings before the promotion gate, and the decision that comes out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from training.calibrate import Calibration
from training.metrics import Scored

Verdict = Literal["pass", "fail", "not measured"]


@dataclass(frozen=True)
class Cost:
    """What a model costs to keep and to run; time is None where it was not measured."""

    size_bytes: int
    seconds_per_1000_passages: float | None


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a model brings before the gate: scored rows by **test** split, calibration, evaluation report and cost."""

    scored: dict[str, Scored]
    calibration: Calibration
    report: dict[str, Any]
    cost: Cost

    def save(self, folder: Path) -> None:
        """Write ``evidence.json`` and one parquet file a split; ``evidence.json`` comes last, so it vouches for all."""
        folder.mkdir(parents=True, exist_ok=True)
        files = {split: f"scored-{number}.parquet" for number, split in enumerate(self.scored)}
        for split, name in files.items():
            self.scored[split].save(folder / name)
        content = {"scored": files, "calibration": self.calibration.to_dict(), "cost": asdict(self.cost)}
        half = folder / "evidence.json.part"
        half.write_text(json.dumps({**content, "report": self.report}, ensure_ascii=False, indent=1), encoding="utf-8")
        half.replace(folder / "evidence.json")

    @classmethod
    def load(cls, folder: Path) -> Evidence:
        """Read what :meth:`save` wrote. Raises OSError or ValueError where it is missing or not whole."""
        path = folder / "evidence.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        try:
            scored = {split: Scored.load(folder / name) for split, name in content["scored"].items()}
            calibration, cost = Calibration.from_dict(content["calibration"]), Cost(**content["cost"])
            return cls(scored, calibration, content["report"], cost)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} holds no evidence ({error!r}); evaluate the model again") from error


@dataclass(frozen=True)
class Criterion:
    """One test of the gate: both models' numbers, the limit the challenger's must keep to, the verdict and why."""

    kind: str
    name: str
    challenger: float | None
    champion: float | None
    limit: float | None
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Decision:
    """Whether the challenger is promoted, in one sentence and criterion by criterion."""

    promote: bool
    summary: str
    criteria: tuple[Criterion, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "criteria": [asdict(criterion) for criterion in self.criteria]}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Decision:
        """The inverse of :meth:`to_dict`."""
        criteria = tuple(Criterion(**criterion) for criterion in content["criteria"])
        return cls(content["promote"], content["summary"], criteria)

    def table(self) -> Any:
        """A rich table: every criterion, of the slices only those beyond their margin, and a count of the others."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=escape(self.summary), title_justify="left")
        for column in ("criterion", "challenger", "champion", "limit", "verdict", "reason"):
            table.add_column(column, justify="right" if column in ("challenger", "champion", "limit") else "left")
        quiet = [one for one in self.criteria if one.kind == "slice" and not _beyond(one)]
        styles = {"pass": "green", "fail": "bold red", "not measured": "dim"}
        for one in self.criteria:
            if one not in quiet:
                values = (one.challenger, one.champion, one.limit)
                numbers = ("–" if value is None else f"{value:.3f}" for value in values)
                table.add_row(escape(one.name), *numbers, one.verdict, escape(one.reason), style=styles[one.verdict])
        if quiet:
            measured = sum(one.verdict == "pass" for one in quiet)
            small = "" if measured == len(quiet) else "; small ones are not compared"
            reason = f"{measured} slices keep within their margin{small}"
            table.add_row("other slices", "", "", "", "pass" if measured else "not measured", reason, style="dim")
        return table

    def to_text(self, width: int = 140) -> str:
        """The table as plain text, ``width`` characters wide."""
        from io import StringIO

        from rich.console import Console

        out = StringIO()
        Console(file=out, width=width, color_system=None, legacy_windows=False).print(self.table())
        return out.getvalue()


def _beyond(one: Criterion) -> bool:
    """Whether a measure of which more is better lies under its limit, noise or not."""
    return one.challenger is not None and one.limit is not None and one.challenger < one.limit
