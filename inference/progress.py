"""What a job has done so far, kept in its output folder, so that the same command goes on where it stopped.

``.job/fingerprint.json`` says what the rows depend on; ``.job/part-*.json`` are written after a part's files, so a part
counts only when it is whole. A part that has no marker is written again, with the same bytes.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference.writer import write_json

#: Files that a refusal names; more are counted.
NAMED_FILES = 3
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


class JobRefusedError(Exception):
    """An output folder that holds something else; the message says what differs and the mend."""


class ClusterError(Exception):
    """A cluster that cannot do the job; the message says what, where and the mend."""


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part: the records (articles and rejected rows) that it consumed, and what came of them; of the
    passages, those on which the model abstained."""

    number: int
    records: int
    articles: int
    passages: int
    abstained: int
    quarantined: int
    flagged: int


def quarantine_path(output: Path, number: int) -> Path:
    """Where the rejected rows of a part wait until the job ends."""
    return output / ".job" / f"quarantine-{number:05d}.jsonl"


def index_path(output: Path, number: int) -> Path:
    """Where the index records of a part's articles wait until the job ends."""
    return output / ".job" / f"index-{number:05d}.bin"


def marker_path(output: Path, number: int) -> Path:
    """The file that says that a part is finished."""
    return output / ".job" / f"part-{number:05d}.json"


class Progress:
    """The finished parts of the job in ``output``."""

    def __init__(self, output: Path, fingerprint: dict[str, Any], *, overwrite: bool) -> None:
        self.folder = output / ".job"
        if overwrite and output.exists():
            _clear(output)
        known = self.folder / "fingerprint.json"
        if known.exists():
            _refuse_other(output, json.loads(known.read_text(encoding="utf-8")), fingerprint)
        elif output.exists() and any(entry.name != ".job" for entry in output.iterdir()):
            raise JobRefusedError(
                f"{output} holds files that are not of a job; give another --output, or --overwrite to clear a job"
            )
        else:
            write_json(known, fingerprint)
        self.parts = self._read_parts()

    def _read_parts(self) -> list[Part]:
        parts: list[Part] = []
        while (path := self.folder / f"part-{len(parts):05d}.json").exists():
            parts.append(Part(**json.loads(path.read_text(encoding="utf-8"))))
        return parts

    def finish(self, part: Part) -> None:
        """Record a part whose files are all in place."""
        write_json(self.folder / f"part-{part.number:05d}.json", asdict(part))
        self.parts.append(part)

    @property
    def records(self) -> int:
        """Records that finished parts consumed: as many are passed over when the job goes on."""
        return sum(part.records for part in self.parts)


def _clear(output: Path) -> None:
    """Remove what a job wrote, and nothing else."""
    if not (output / ".job").exists() and any(output.iterdir()):
        raise JobRefusedError(
            f"{output} was not written by penchant score, so --overwrite does not clear it; give another --output"
        )
    for name in ("passages", "articles", ".job"):
        shutil.rmtree(output / name, ignore_errors=True)
    for name in ("quarantine.jsonl", "articles.index", "manifest.json", "highlights.json", "report.html"):
        (output / name).unlink(missing_ok=True)


def difference(name: str, then: object, now: object) -> str:
    """A setting that is not what it was, with both values; digests are cut to the twelve digits that rows show."""

    def shown(value: object) -> str:
        if value is None:
            return "none"
        return _DIGEST.sub(r"\1", value) if isinstance(value, str) else str(value)

    return f"{name} ({shown(then)} then, {shown(now)} now)"


def _refuse_other(output: Path, known: dict[str, Any], now: dict[str, Any]) -> None:
    changed = [key for key in sorted({*known, *now}) if known.get(key) != now.get(key)]
    if not changed:
        return
    told, newer = [], False
    for key in changed:
        then, today = known.get(key), now.get(key)
        if key == "input" and isinstance(then, list):
            what, newer = _changed_files(dict(then), dict(today or []))
            told.append(f"input ({what})")
        elif key == "configuration" and isinstance(then, dict) and isinstance(today, dict):
            pairs = [(name, then.get(name), today.get(name)) for name in sorted({*then, *today})]
            told.append("configuration: " + ", ".join(difference(*pair) for pair in pairs if pair[1] != pair[2]))
        else:
            told.append(difference(key, then, today))
    mend = "give another --output, or --overwrite to start again"
    if newer and changed == ["input"] and (output / "manifest.json").exists():
        mend = (
            "to score only what is new or changed, give another --output and --since-manifest with this job's "
            "manifest.json; to score everything again, --overwrite"
        )
    raise JobRefusedError(f"{output} holds a job with another {'; another '.join(told)}; {mend}")


def _changed_files(then: dict[str, str], now: dict[str, str]) -> tuple[str, bool]:
    """Which files were added, changed or removed (names to digests), and whether any is new or changed."""
    groups = {
        "added": [name for name in now if name not in then],
        "changed": [name for name in now if name in then and now[name] != then[name]],
        "removed": [name for name in then if name not in now],
    }
    told = []
    for what, names in groups.items():
        if names:
            more = f" and {len(names) - NAMED_FILES:,} more" if len(names) > NAMED_FILES else ""
            told.append(f"{what}: {', '.join(names[:NAMED_FILES])}{more}")
    return "; ".join(told) or "files in another order", bool(groups["added"] or groups["changed"])
