"""The steps of a job as the nodes of a cluster run them: plain functions of one row each, which Ray Data strings
together.

A row is a part: ``number``, and in ``content`` what the last step made of it, pickled, as Ray itself sends what Arrow
has no type for. So a part is never torn, is scored by one actor in one go, and its files are written by whoever holds
all of it.
"""

from __future__ import annotations

import pickle
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from inference.bundle import MANIFEST, Bundle, open_bundle
from inference.classifier import Classifier
from inference.cluster_plan import Shard, Survey, read_parts, survey
from inference.job import read_options, split_records
from inference.parts import Target, chunk_rows, write_rows
from inference.precision import FULL
from inference.progress import ClusterError, marker_path
from inference.settings import ScoreSettings
from inference.since import FormerJob
from inference.writer import write_json

PartRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """All that the nodes must know.

    ``model`` is a reference to the model's files, ``precision`` the graph of it that the driver took, ``former`` a
    former job's folder.
    """

    settings: ScoreSettings
    target: Target
    model: Any
    precision: str
    former: Path | None


def packed(number: int, content: Any) -> PartRow:
    """A row of the stream."""
    return {"number": number, "content": pickle.dumps(content)}


def _content(row: PartRow) -> Any:
    return pickle.loads(row["content"])  # noqa: S301  # made by the step before, inside the cluster


def pack_model(bundle: Bundle) -> dict[str, bytes]:
    """The files of a model folder by name, to be sent to the nodes: they need no copy of their own."""
    names = [path.name for path in bundle.folder.iterdir() if path.is_file() and path.suffix != ".md"]
    return {name: (bundle.folder / name).read_bytes() for name in sorted(names)} | {
        MANIFEST: (bundle.folder / MANIFEST).read_bytes()
    }


def unpack_model(files: dict[str, bytes], threads: int, precision: str) -> Classifier:
    """Open a model that was sent; its digests are checked as those of any model folder.

    Raises ClusterError where this processor does not compute ``precision`` exactly: its rows would be others.
    """
    with tempfile.TemporaryDirectory(prefix="penchant-model-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        own = open_bundle(Path(folder)).precision
        if precision not in (own, FULL):
            raise ClusterError(
                f"a node computes in {own} and the driver in {precision}; start the job on a node of the weakest kind"
            )
        return Classifier.load(folder, threads=threads, precision=precision)


@lru_cache(maxsize=1)
def _classifier(model: Any, threads: int, precision: str) -> Classifier:
    """The model, opened once a process."""
    import ray

    return unpack_model(ray.get(model), threads, precision)


@lru_cache(maxsize=1)
def _former(folder: Path) -> FormerJob:
    return FormerJob(folder)


def _former_of(task: Task) -> FormerJob | None:
    return _former(task.former) if task.former is not None else None


def survey_shard(shard: Shard, task: Task) -> Survey:
    """First reading of a shard."""
    return survey(shard, read_options(task.settings), _former_of(task), task.settings.part_passages)


def read_shard(row: PartRow, task: Task) -> Iterator[PartRow]:
    """Read: the parts of a shard, one after another."""
    for number, items in read_parts(_content(row), read_options(task.settings), _former_of(task)):
        yield packed(number, items)


def split_part(row: PartRow, task: Task) -> PartRow:
    """Split: the articles of a part into passages."""
    classifier = _classifier(task.model, 1, task.precision)
    return packed(row["number"], list(split_records(iter(_content(row)), classifier, task.settings)))


class ScorePart:
    """Score: the passages of a part, by an actor that keeps the model."""

    def __init__(self, task: Task) -> None:
        self._classifier = _classifier(task.model, task.settings.threads or 1, task.precision)

    def __call__(self, row: PartRow) -> PartRow:
        """The part's rows."""
        return packed(row["number"], chunk_rows(_content(row), self._classifier))


def write_part_rows(row: PartRow, task: Task) -> PartRow:
    """Write: the part's files, then its marker; the counts go back to the driver.

    When a node is taken for dead and is not, two may write one part: each under a name of its own until it is whole.
    """
    writer = f".{uuid.uuid4().hex}"
    part = write_rows(int(row["number"]), _content(row), replace(task.target, writer=writer))
    write_json(marker_path(task.target.output, part.number), asdict(part), writer)
    return asdict(part)
