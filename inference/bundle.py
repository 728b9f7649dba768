"""A model folder that describes itself: what it holds, how it is calibrated, and the digest of each file.

``penchant.json`` is the folder's manifest; ``config.json`` (Hugging Face) carries the tasks and labels. Nothing in a
folder is ever executed or unpickled: JSON, a tokenizer and an ONNX graph.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.labels import Task, tasks_from_id2label
from inference.precision import FULL, chosen

FORMAT = 1
MANIFEST = "penchant.json"


class ModelError(Exception):
    """A model folder that cannot be used; the message says what, where and the mend."""


@dataclass(frozen=True)
class Bundle:
    """A checked model folder.

    ``temperatures`` and ``thresholds`` are per task; a passage whose calibrated top probability is under its task's
    threshold is abstained. ``precision`` names the arithmetic of ``graph``: a folder may hold one in int8 beside the
    fp32 one. ``axes`` maps a task to its (plus, minus) labels, from which an article's index is made.
    ``registered`` says which version of a registry this is, for a model that came from one.
    """

    folder: Path
    name: str
    digest: str
    graph: Path
    precision: str
    tasks: tuple[Task, ...]
    max_length: int
    temperatures: dict[str, float]
    thresholds: dict[str, float]
    axes: dict[str, tuple[str, str]]
    article_rule: dict[str, float]
    facts: dict[str, Any]
    registered: dict[str, Any] | None = None

    @property
    def identity(self) -> str:
        """What the rows depend on: the folder's digest, and the precision where it is not the full one."""
        return self.digest if self.precision == FULL else f"{self.digest} {self.precision}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write ``penchant.json`` for the files that lie in ``folder``; ``content`` is all but format and digests."""
    files = {
        path.name: file_digest(path)
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in (MANIFEST, "README.md")
    }
    manifest = {"format": FORMAT, **content, "files": files}
    text = json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def open_bundle(folder: Path, precision: str | None = None) -> Bundle:
    """Read and check a model folder.

    ``precision`` asks for one of its graphs; by default the fastest that this processor computes exactly is taken, see
    :mod:`inference.precision`. Raises ModelError where the folder or a file is missing, a digest does not match, or the
    content is not understood.
    """
    manifest_path = folder / MANIFEST
    if not folder.is_dir():
        raise ModelError(f"no model folder at {folder}; give --model a folder that holds {MANIFEST}")
    if not manifest_path.is_file():
        raise ModelError(f"{folder} has no {MANIFEST}, so it is no Penchant model; export one with penchant-train run")
    try:
        raw = manifest_path.read_bytes()
        manifest = json.loads(raw)
        if manifest["format"] != FORMAT:
            raise ModelError(
                f"{manifest_path} has format {manifest['format']}, this version reads {FORMAT}; update penchant"
            )
        for name, expected in manifest["files"].items():
            path = folder / name
            if Path(name).name != name:
                raise ModelError(f"{manifest_path} names {name!r}, which is outside the model folder; export it again")
            if not path.is_file():
                raise ModelError(f"{folder} lacks {name}, which its manifest lists; copy the whole folder again")
            if file_digest(path) != expected:
                raise ModelError(
                    f"{path} does not match the digest in {MANIFEST}; it was changed or cut: copy it again"
                )
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tasks = tasks_from_id2label(config["id2label"])
        calibration = manifest["calibration"]
        graphs = {FULL: manifest["graph"], **manifest.get("graphs", {})}
        if precision is not None and precision not in graphs:
            raise ModelError(f"{folder} has no {precision} graph; it has {', '.join(graphs)}")
        taken = precision or chosen(graphs)
        for name in (graphs[taken], "config.json", "tokenizer.json", "tokenizer_config.json"):
            if name not in manifest["files"]:
                raise ModelError(f"{manifest_path} has no digest of {name}, so it cannot be checked; export it again")
        return Bundle(
            folder=folder,
            name=manifest["name"],
            digest=hashlib.sha256(raw).hexdigest(),
            graph=folder / graphs[taken],
            precision=taken,
            tasks=tasks,
            max_length=int(manifest["max_length"]),
            temperatures={task.name: float(calibration["temperatures"][task.name]) for task in tasks},
            thresholds={task.name: float(calibration["thresholds"][task.name]) for task in tasks},
            axes={task: (plus, minus) for task, (plus, minus) in manifest["axes"].items()},
            article_rule={name: float(value) for name, value in manifest["article_rule"].items()},
            facts=manifest.get("facts", {}),
        )
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ModelError(f"{folder} cannot be read as a model ({error!r}); export it again") from error
