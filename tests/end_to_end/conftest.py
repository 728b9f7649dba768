"""Real processes of the command line, and what they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

GOOD = (
    "Le ministère a confirmé mardi que les licences d'exportation de machines seraient de nouveau délivrées. "
    "Les fabricants y voient un soulagement, car leurs carnets de commandes étaient vides depuis deux trimestres.\n\n"
    "Une association d'anciens officiers juge au contraire que cette reprise met en danger la sécurité du pays, et "
    "demande le retour immédiat des contrôles."
)


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture(scope="session")
def penchant() -> Run:
    """Run ``penchant`` as a user does: a process of its own."""

    def run(*arguments: object, stdin: str | None = None) -> Done:
        command = [sys.executable, "-m", "inference", *map(str, arguments)]
        environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=ROOT, env=environment)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def good_rows() -> list[dict[str, Any]]:
    """Three articles in the contract's columns."""
    return [
        {"id": f"a{number}", "title": f"Titre {number}", "text": f"{GOOD} Dépêche {number}."} for number in range(3)
    ]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
