"""A finished job, read back for its report: its manifest, and its rows one part at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.labels import Task
from inference.writer import WRITERS, Row, read_part


class ReportError(Exception):
    """A folder or an option that no report can be made of; the message says what, where and the mend."""


@dataclass(frozen=True, slots=True)
class Job:
    """A finished job: its folder, its manifest, and the tasks of its model; ``axes`` maps a task to (plus, minus)."""

    output: Path
    manifest: dict[str, Any]
    tasks: tuple[Task, ...]
    axes: dict[str, tuple[str, str]]

    @property
    def main(self) -> Task:
        """The task that the report is drawn by: the model's first."""
        return self.tasks[0]


def open_job(output: Path) -> Job:
    """Read the manifest of the job in ``output``. Raises ReportError where there is none, or none that is finished."""
    path = output / "manifest.json"
    if not path.is_file():
        if (output / ".job").is_dir():
            raise ReportError(f"the job in {output} is not finished; run the same penchant score command again first")
        raise ReportError(f"{output} holds no manifest.json, so it is no job; give a folder that penchant score wrote")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        model, start = manifest["model"], 0
        tasks: list[Task] = []
        for name, labels in model["tasks"].items():
            tasks.append(Task(name, tuple(labels), start))
            start += len(labels)
        axes = {task: (plus, minus) for task, (plus, minus) in model["axes"].items()}
        if not tasks:
            raise ValueError("model.tasks is empty")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fault = f"{path} is not a manifest of this version ({error!r})"
        raise ReportError(f"{fault}; score again with --overwrite") from error
    return Job(output, manifest, tuple(tasks), axes)


def article_rows(output: Path) -> Iterator[Row]:
    """The article rows of a job, one part in memory at a time, in order; raises ReportError."""
    return _rows(output, "articles")


def passage_rows(output: Path) -> Iterator[Row]:
    """The passage rows of a job, one part in memory at a time, in order; raises ReportError."""
    return _rows(output, "passages")


def quarantined_rows(output: Path) -> Iterator[Row]:
    """The rejected rows of a job: ``place``, ``id``, ``reason``, ``mend``."""
    path = output / "quarantine.jsonl"
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError as error:
                fault = f"{path} holds a line that is no JSON ({error})"
                raise ReportError(f"{fault}; score again with --overwrite") from error


def _rows(output: Path, table: str) -> Iterator[Row]:
    folder = output / table
    if not folder.is_dir():
        raise ReportError(f"{output} holds no {table} folder, so it is no job; give a folder that penchant score wrote")
    parts = [path for path in folder.glob("part-*.*") if path.suffix[1:] in WRITERS]
    for path in sorted(parts, key=lambda path: (len(path.name), path.name)):  # part-100000 after part-99999
        try:
            rows = read_part(path)
        except (OSError, ValueError) as error:
            fault = str(error).partition("\n")[0]
            raise ReportError(f"{path} cannot be read ({fault}); score again with --overwrite") from error
        yield from rows
