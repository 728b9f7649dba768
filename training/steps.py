"""Steps of a run that are not done twice: each keeps a fingerprint of its inputs beside what it made.

A step's folder is written under another name and takes its own when it is whole, so a run that is killed starts again
at the step it was in, and a step whose inputs have not changed is not redone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

RECORD = "step.json"


def fingerprint(inputs: Any) -> str:
    """SHA-256 of ``inputs`` as canonical JSON (paths and other objects by their text)."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()


class Steps:
    """The steps of one run under ``folder``."""

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda line: None) -> None:
        self.folder, self.say = folder, say

    def do(self, name: str, inputs: Any, make: Callable[[Path], None]) -> Path:
        """The folder of step ``name``, made by ``make(folder)`` unless it stands there with the same inputs."""
        target, wanted = self.folder / name, fingerprint(inputs)
        record = target / RECORD
        if record.exists() and json.loads(record.read_text(encoding="utf-8"))["inputs"] == wanted:
            self.say(f"{name}: unchanged, kept")
            return target
        self.say(f"{name} …")
        fresh = target.with_name(f".{target.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        make(fresh)
        (fresh / RECORD).write_text(json.dumps({"inputs": wanted}), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.rename(target)
        return target
