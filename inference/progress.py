"""What a job has done so far, kept in its output folder, so that the same command goes on where it stopped.

``.job/fingerprint.json`` says what the rows depend on; ``.job/part-*.json`` are written after a part's files, so a part
counts only when it is whole. A part that has no marker is written again, with the same bytes.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference.writer import write_json


class JobRefusedError(Exception):
    """An output folder that holds something else; the message says what differs and the mend."""


class ClusterError(Exception):
    """A cluster that cannot do the job; the message says what, where and the mend."""


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part: the records (articles and rejected rows) that it consumed, and what came of them."""

    number: int
    records: int
    articles: int
    passages: int
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


def _refuse_other(output: Path, known: dict[str, Any], now: dict[str, Any]) -> None:
    changed = [key for key in sorted({*known, *now}) if known.get(key) != now.get(key)]
    if changed:
        raise JobRefusedError(
            f"{output} holds a job with another {', '.join(changed)}; "
            "give another --output, or --overwrite to start again"
        )
