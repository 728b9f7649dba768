"""The manifest: what was read, by which model, under which settings, how much came out; all that varies by run."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from inference import __version__
from inference.articles import InputList
from inference.bundle import Bundle
from inference.settings import ScoreSettings

LIBRARIES = ("numpy", "onnxruntime", "pyarrow", "tokenizers")


def build_manifest(
    bundle: Bundle,
    settings: ScoreSettings,
    files: InputList,
    digests: Sequence[str],
    counts: Mapping[str, int],
    started: datetime,
    seconds: float,
    resumed_parts: int,
    scored: int,
) -> dict[str, Any]:
    """The content of ``manifest.json``; ``seconds`` and passages ``scored`` are this run's, ``counts`` the whole job's.

    ``digests`` are the SHA-256 of the files, in their order.
    """
    return {
        "penchant": __version__,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "passages_per_second": round(scored / max(seconds, 1e-9), 1),
        "resumed_parts": resumed_parts,
        "model": {
            "name": bundle.name,
            "sha256": bundle.digest,
            "precision": bundle.precision,
            "registry": bundle.registered,
            "max_length": bundle.max_length,
            "tasks": {task.name: list(task.labels) for task in bundle.tasks},
            "axes": {task: list(ends) for task, ends in bundle.axes.items()},
            "facts": bundle.facts,
        },
        "settings": settings.model_dump(),
        "inputs": [
            {"name": file.name, "bytes": file.size, "sha256": digest}
            for file, digest in zip(files, digests, strict=True)
        ],
        "skipped": [{"name": str(entry.path), "reason": entry.reason} for entry in files.skipped],
        "counts": dict(counts),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
    }
