"""Choosing the passages worth labelling from a scored job, and their way out to Label Studio.

Labels are dear, so most go where the model is least sure (Lewis & Gale 1994): by the margin between its two best labels
or by entropy. Uncertainty alone picks twins from one corner, so near copies are left out, an article gives few passages
and the sources take turns. A share is drawn at random instead: those rows alone say how good the model is, since hard
ones flatter nobody. Each task says by which way it was chosen.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from inference.labels import Task
from inference.report_data import Job, ReportError, article_rows, open_job, passage_rows
from inference.writer import write_json
from training.corpus import CorpusError, read_rows
from training.duplicates import NEAR, fold, shingles_of, words_of
from training.label_studio import labeling_config, text_digest, to_task

Measure = Literal["margin", "entropy"]

#: How many candidates are kept for each passage that is asked for: what is too alike falls out of them.
POOL = 8
#: The files of an export.
TASKS, CONFIG, RECORD = "tasks.json", "labeling-config.xml", "export.json"


@dataclass(frozen=True)
class Wishes:
    """How passages are chosen.

    ``task`` is the one whose uncertainty counts (None: the model's first). ``explore`` is the share that is drawn at
    random, ``per_article`` the most passages of one article, ``min_words`` the shortest passage worth a reading.
    ``blind`` leaves the model's answers out of the tasks, so that they do not lead the annotators.
    """

    count: int = 200
    task: str | None = None
    measure: Measure = "margin"
    explore: float = 0.2
    per_article: int = 2
    min_words: int = 8
    seed: int = 0
    blind: bool = False


@dataclass(frozen=True)
class Passage:
    """A passage of a job that may be labelled; ``probabilities`` by task and label, ``uncertainty`` in [0, 1]."""

    id: str
    text: str
    article: str
    index: int
    facts: dict[str, str | None]
    probabilities: dict[str, dict[str, float]]
    uncertainty: float
    draw: int

    @property
    def source(self) -> str:
        """What takes turns: the article's source, all articles without one together."""
        return self.facts.get("source") or ""


@dataclass(frozen=True)
class Exported:
    """What was exported: how many tasks, how they were chosen, and of which sources."""

    folder: Path
    chosen: Counter[str]
    sources: Counter[str]
    looked_at: int


def uncertainty(probabilities: Sequence[float], measure: Measure) -> float:
    """0 where one label has it all, 1 where the best two (margin) or all labels (entropy) are level."""
    if measure == "margin":
        first, second = sorted(probabilities, reverse=True)[:2]
        return 1.0 - (first - second)
    entropy = -sum(share * math.log(share) for share in probabilities if share > 0)
    return entropy / math.log(len(probabilities))


def read_passages(job: Job, wishes: Wishes) -> Iterator[Passage]:
    """The passages of a job in order, one part in memory at a time. Raises ReportError for rows of another shape."""
    task = _task(job.tasks, wishes.task)
    articles = article_rows(job.output)
    for article_id, rows in groupby(passage_rows(job.output), key=lambda row: row["article_id"]):
        about = next((row for row in articles if row["article_id"] == article_id), None)
        if about is None:
            raise ReportError(f"{job.output} has passages of {article_id!r} but no such article; score it again")
        facts = {name: about[name] or None for name in ("title", "date", "source", "topic")}
        for row in rows:
            shares = {one.name: {label: float(row[one.column(label)]) for label in one.labels} for one in job.tasks}
            place = f"{article_id}#{row['passage_index']}"
            sure = uncertainty(list(shares[task.name].values()), wishes.measure)
            draw = int.from_bytes(hashlib.blake2b(f"{wishes.seed} {place}".encode(), digest_size=8).digest())
            yield Passage(place, row["text"], article_id, row["passage_index"], facts, shares, sure, draw)


def _task(tasks: Sequence[Task], name: str | None) -> Task:
    found = next((task for task in tasks if name in (None, task.name)), None)
    if found is None:
        raise ReportError(f"the job has no task {name!r}; it has {', '.join(task.name for task in tasks)}")
    return found


@dataclass
class _Chosen:
    """The passages taken so far; refuses what is too like one of them, or of an article that gave enough."""

    per_article: int
    taken: list[tuple[Passage, str]] = field(default_factory=list)
    articles: Counter[str] = field(default_factory=Counter)
    shingles: list[frozenset[int]] = field(default_factory=list)
    holders: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def take(self, passage: Passage, way: str) -> bool:
        """Take a passage unless it is too like one of those taken."""
        mine = shingles_of(words_of(passage.text))
        if self.articles[passage.article] >= self.per_article:
            return False
        shared = Counter(place for shingle in mine for place in self.holders.get(shingle, ()))
        for place, together in shared.items():
            if together / (len(mine) + len(self.shingles[place]) - together) >= NEAR:
                return False
        for shingle in mine:
            self.holders[shingle].append(len(self.taken))
        self.shingles.append(mine)
        self.articles[passage.article] += 1
        self.taken.append((passage, way))
        return True


def choose(passages: Iterable[Passage], wishes: Wishes, known: Iterable[str] = ()) -> list[tuple[Passage, str]]:
    """The passages worth labelling, each with ``random`` or the measure, in an order that tells nothing.

    ``known`` texts are left out. The same passages, wishes and seed give the same choice, whatever the passages' order.
    Memory: :data:`POOL` passages a source for each one asked for, and 16 bytes for every text.
    """
    seen = {_key(text) for text in known}
    pool = POOL * wishes.count
    by_draw: list[tuple[int, str, Passage]] = []
    by_source: dict[str, list[tuple[float, int, str, Passage]]] = defaultdict(list)
    for passage in passages:
        key = _key(passage.text)
        if key in seen or len(words_of(passage.text)) < wishes.min_words:
            continue
        seen.add(key)
        _keep(by_draw, (-passage.draw, passage.id, passage), pool)
        _keep(by_source[passage.source], (passage.uncertainty, -passage.draw, passage.id, passage), pool)
    chosen = _Chosen(wishes.per_article)
    wanted = round(wishes.explore * wishes.count)
    for *_, passage in sorted(by_draw, reverse=True):
        if len(chosen.taken) >= wanted:
            break
        chosen.take(passage, "random")
    queues = {source: iter(sorted(heap, reverse=True)) for source, heap in by_source.items()}
    while queues and len(chosen.taken) < wishes.count:
        turn: list[tuple[float, int, str, Passage]] = []
        for source in list(queues):
            if (offered := _offer(queues[source], chosen)) is None:
                del queues[source]
            else:
                turn.append(offered)
        for *_, passage in sorted(turn, reverse=True):
            if len(chosen.taken) < wishes.count:
                chosen.take(passage, wishes.measure)
    random.Random(wishes.seed).shuffle(chosen.taken)  # noqa: S311  # a draw that can be repeated
    return chosen.taken


def _offer(queue: Iterator[tuple[float, int, str, Passage]], chosen: _Chosen) -> tuple[float, int, str, Passage] | None:
    """A source's next passage of an article that has not given enough."""
    return next((one for one in queue if chosen.articles[one[-1].article] < chosen.per_article), None)


def _key(text: str) -> bytes:
    return hashlib.blake2b(fold(text).encode(), digest_size=16).digest()


def _keep(heap: list[Any], entry: tuple[Any, ...], limit: int) -> None:
    """Push ``entry`` and let the smallest go beyond ``limit``; ids differ, so passages are never compared."""
    if len(heap) < limit:
        heapq.heappush(heap, entry)
    else:
        heapq.heappushpop(heap, entry)


def known_texts(paths: Iterable[Path]) -> Iterator[str]:
    """The texts of annotated files, and of folders that were exported before."""
    for path in paths:
        if (path / TASKS).is_file():
            for task in json.loads((path / TASKS).read_text(encoding="utf-8")):
                yield task["data"]["text"]
            continue
        for row in read_rows(path):
            if isinstance(row.get("text"), str):
                yield row["text"]


def export_tasks(job: Path, folder: Path, wishes: Wishes, exclude: Iterable[Path] = ()) -> Exported:
    """Choose passages of a finished job and write them for Label Studio into ``folder``.

    ``tasks.json`` is what Label Studio imports, ``labeling-config.xml`` the form that annotators see, ``export.json``
    the record that :func:`training.label_studio.import_rows` checks the answers against. Raises ReportError for a
    folder that holds no job, CorpusError where nothing can be chosen or the folder holds an export already.
    """
    if (folder / RECORD).exists():
        raise CorpusError(f"{folder} holds an export, which its answers are checked against; give another folder")
    opened = open_job(job)
    looked_at = 0

    def counted() -> Iterator[Passage]:
        nonlocal looked_at
        for looked_at, passage in enumerate(read_passages(opened, wishes), 1):  # noqa: B007  # read when it is over
            yield passage

    chosen = choose(counted(), wishes, known_texts(exclude))
    if not chosen:
        raise CorpusError(f"none of the {looked_at:,} passages of {job} is new and long enough; lower --min-words")
    model = opened.manifest["model"]
    version = f"{model['name']}@{model['sha256'][:12]}"
    labels = {task.name: list(task.labels) for task in opened.tasks}
    tasks = [to_task(passage_data(passage, way), passage.probabilities, version) for passage, way in chosen]
    if wishes.blind:
        for task in tasks:
            del task["predictions"]
    record = {
        "model": {"name": model["name"], "sha256": model["sha256"]},
        "tasks": labels,
        "wishes": wishes.__dict__,
        "texts": {passage.id: text_digest(passage.text) for passage, _ in chosen},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(labeling_config(labels), encoding="utf-8")
    write_json(folder / TASKS, tasks)
    write_json(folder / RECORD, record)  # last: an export is whole when its record is there
    ways, sources = Counter(way for _, way in chosen), Counter(passage.source for passage, _ in chosen)
    return Exported(folder, ways, sources, looked_at)


def passage_data(passage: Passage, way: str) -> Mapping[str, Any]:
    """What a task carries besides the model's answers."""
    facts = {name: value for name, value in passage.facts.items() if value is not None}
    own = {"id": passage.id, "text": passage.text, "sha256": text_digest(passage.text), "chosen_by": way}
    return {**own, "article": passage.article, "position": passage.index, **facts}
