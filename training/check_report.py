"""What a check of annotated data found: findings with their places and mends, and the numbers behind them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from training.corpus import CorpusError

Severity = Literal["fail", "warn", "info"]

#: Places named in a line; the JSON holds all of them.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    ``fail``: the data cannot be trusted to train and test on; ``warn``: look at it; ``info``: worth knowing. ``where``
    names every place (row ids, pairs of them, phrases, label values), ``mend`` says what to do.
    """

    severity: Severity
    code: str
    what: str
    where: tuple[str, ...] = ()
    mend: str = ""

    def to_line(self) -> str:
        """One line: code, what, the first places, the mend."""
        more = f", and {len(self.where) - SHOWN:,} more" if len(self.where) > SHOWN else ""
        places = f" [{', '.join(self.where[:SHOWN])}{more}]" if self.where else ""
        line = f"{self.code}: {self.what}{places}" + (f"; {self.mend}" if self.mend else "")
        return " ".join(line.split())

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {
            "severity": self.severity,
            "code": self.code,
            "what": self.what,
            "where": list(self.where),
            "mend": self.mend,
        }


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The findings, worst first, and ``numbers``: counts and distributions by split, JSON throughout."""

    findings: tuple[Finding, ...]
    numbers: Mapping[str, Any]

    @classmethod
    def of(cls, findings: Iterable[Finding], numbers: Mapping[str, Any]) -> CheckReport:
        """A report with its findings sorted: failures, warnings, the rest; within each, as they were found."""
        order: list[Severity] = ["fail", "warn", "info"]
        return cls(tuple(sorted(findings, key=lambda finding: order.index(finding.severity))), numbers)

    @property
    def failed(self) -> bool:
        """Whether anything found is a failure."""
        return any(finding.severity == "fail" for finding in self.findings)

    def codes(self, severity: Severity | None = None) -> set[str]:
        """The codes of the findings, or of those of one severity."""
        return {finding.code for finding in self.findings if severity in (None, finding.severity)}

    def raise_if_failed(self) -> None:
        """Raise CorpusError with one line a failure; do nothing where there is none."""
        lines = [finding.to_line() for finding in self.findings if finding.severity == "fail"]
        if lines:
            raise CorpusError("\n".join(lines))

    def to_dict(self) -> dict[str, Any]:
        """The whole report as JSON, every place included."""
        return {
            "failed": self.failed,
            "findings": [finding.to_dict() for finding in self.findings],
            "numbers": dict(self.numbers),
        }

    def to_table(self) -> str:
        """The report as plain text: splits, labels, what gives a label away, findings, verdict."""
        parts = [_splits_table(self.numbers.get("splits", {}))]
        if giveaways := self.numbers.get("giveaways"):
            parts.append(_giveaways_table(giveaways))
        lines = [f"{finding.severity:<4}  {finding.to_line()}" for finding in self.findings]
        parts.append("\n".join(lines) if lines else "nothing found")
        counts = {name: sum(finding.severity == name for finding in self.findings) for name in ("fail", "warn")}
        verdict = "FAILED" if self.failed else "passed"
        parts.append(f"{verdict}: {counts['fail']} failing, {counts['warn']} to look at")
        return "\n\n".join(part for part in parts if part)


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """A table as plain text, as wide as its content; the columns in ``left`` are set left, the others right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        pairs = enumerate(zip(cells, widths, strict=True))
        return "  ".join(cell.ljust(width) if place in left else cell.rjust(width) for place, (cell, width) in pairs)

    rule = "  ".join("─" * width for width in widths)
    return "\n".join(text.rstrip() for text in (line(header), rule, *map(line, rows)))


def _splits_table(splits: Mapping[str, Mapping[str, Any]]) -> str:
    if not splits:
        return ""
    tasks = next(iter(splits.values()))["labels"]
    header = ["split", "rows", "groups", "words: 5 %", "median", "95 %", "not French"]
    header += [f"{task}: {' / '.join(labels)}" for task, labels in tasks.items()]
    rows = []
    for name, split in splits.items():
        words = split["words"]
        row = [name, f"{split['rows']:,}", f"{split['groups']:,}"]
        row += [f"{words[mark]:.0f}" for mark in ("p05", "p50", "p95")]
        row.append(f"{split['not_french']:.1%}")
        row += [" / ".join(f"{count:,}" for count in labels.values()) for labels in split["labels"].values()]
        rows.append(row)
    return plain_table(header, rows)


def _giveaways_table(giveaways: Mapping[str, Mapping[str, Any]]) -> str:
    header = ["what gives a label away", "task", "macro-F1", "majority", "alarm at", "leans"]
    rows = []
    for task, found in giveaways.items():
        for evidence, cue in found["evidence"].items():
            leans = ", ".join(f"{lean['cue']} → {lean['label']} {lean['share']:.0%}" for lean in cue["leans"][:2])
            alarm = f"{cue['alarm']:.2f}" + (" !" if cue["macro_f1"] > cue["alarm"] else "  ")
            rows.append([evidence, task, f"{cue['macro_f1']:.2f}", f"{found['majority']:.2f}", alarm, leans])
    return plain_table(header, rows, left=(0, 1, 5))
