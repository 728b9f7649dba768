"""The batch job, end to end on one machine: read, split, score, aggregate, write; resumable, in bounded memory."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from inference import __version__
from inference.articles import Article, InputList, ReadOptions, Rejected, list_inputs, read_articles
from inference.classifier import Classifier
from inference.manifest import build_manifest
from inference.parts import Record, Target
from inference.passages import split_article, whole_passage
from inference.progress import Part, Progress, index_path, quarantine_path
from inference.settings import ScoreSettings
from inference.since import FormerJob, write_index
from inference.workers import finished_parts
from inference.writer import atomic, write_json

OnPart = Callable[[Part], None]


@dataclass(slots=True)
class JobResult:
    """What a job did: where it wrote, and how much (counts include the parts of earlier, interrupted runs)."""

    output: Path
    articles: int
    passages: int
    abstained: int
    quarantined: int
    flagged: int
    seconds: float
    resumed_parts: int
    quarantine_exceeded: bool
    manifest: dict[str, Any] = field(repr=False)

    @property
    def already_finished(self) -> bool:
        """Whether the job was found finished: parts there are, and none was left to do."""
        return bool(0 < self.resumed_parts == self.manifest["counts"]["parts"])


def score_articles(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    model: str | Path | None = None,
    settings: ScoreSettings | None = None,
    overwrite: bool = False,
    since: str | Path | None = None,
    on_part: OnPart | None = None,
) -> JobResult:
    """Score files and folders of articles into ``output``: ``passages/``, ``articles/``, quarantine, manifest, report.

    With ``since``, the manifest of a former job, only articles that are new or changed since then are scored. The
    same call on the same folder goes on where an interrupted one stopped and ends with the same bytes. Raises
    InputError for inputs that do not exist or a former job that cannot be started from, ModelError for a model that
    cannot be used, and JobRefusedError for an output folder that holds another job.
    """
    began, started = time.perf_counter(), datetime.now(UTC)
    settings = settings or ScoreSettings()
    output = Path(output)
    files = list_inputs(inputs)
    former = FormerJob(since) if since is not None else None
    classifier = Classifier.load(model, threads=settings.threads or None)
    if former is not None:
        former.check(classifier.bundle, settings.model_dump())
    digests = [file.sha256() for file in files]
    progress = Progress(
        output, fingerprint_of(classifier.bundle.identity, settings, files, digests, former), overwrite=overwrite
    )
    resumed, passages = len(progress.parts), sum(part.passages for part in progress.parts)
    items = read_articles(files, read_options(settings))
    records = split_records(former.sift(items) if former is not None else items, classifier, settings)
    for _ in islice(records, progress.records):
        pass
    target = Target(output, classifier.tasks, tuple(classifier.bundle.axes), settings.format)
    parts = enumerate(chunks(records, settings.part_passages), start=resumed)
    for part in finished_parts(parts, classifier, target, workers=settings.workers, threads=settings.threads):
        progress.finish(part)
        if on_part is not None:
            on_part(part)
    run = Run(started, time.perf_counter() - began, resumed, passages)
    return close_job(output, files, digests, classifier, settings, progress, run, former)


def _former_run(output: Path) -> dict[str, Any]:
    """What the manifest of a finished job says of the run that scored it; nothing where there is none to read."""
    try:
        former = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
        return {name: former[name] for name in ("started", "seconds", "passages_per_second", "resumed_parts")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def fingerprint_of(
    model: str, settings: ScoreSettings, files: InputList, digests: Sequence[str], former: FormerJob | None
) -> dict[str, Any]:
    """All that a job's rows depend on; a job only goes on in a folder that was begun with the same."""
    return {
        "model": model,
        "configuration": settings.shaping(),
        "input": [[file.name, digest] for file, digest in zip(files, digests, strict=True)],
        "former job": former.digest if former is not None else None,
        "version": __version__,
    }


def read_options(settings: ScoreSettings) -> ReadOptions:
    """The reader's part of the settings."""
    return ReadOptions(
        text_column=settings.text_column,
        id_column=settings.id_column,
        title_column=settings.title_column,
        date_column=settings.date_column,
        source_column=settings.source_column,
        topic_column=settings.topic_column,
        max_article_bytes=settings.max_article_bytes,
    )


def split_records(
    items: Iterator[Article | Rejected], classifier: Classifier, settings: ScoreSettings
) -> Iterator[Record]:
    """Split each article into passages; what cannot be split is rejected, alone."""
    longest = classifier.bundle.max_length
    for item in items:
        if isinstance(item, Rejected):
            yield item
            continue
        try:
            if settings.unit == "passage":
                passages = [whole_passage(item.text, classifier.count_tokens, longest)]
            else:
                passages = split_article(
                    item.text,
                    classifier.count_tokens,
                    longest,
                    max_words=settings.max_passage_words,
                    min_words=settings.min_passage_words,
                )
        except Exception as error:  # noqa: BLE001  # one poison row must never stop the others
            reason = f"could not be split ({type(error).__name__}: {error})"
            yield Rejected(place=item.place, reason=reason, mend="report this text", id=item.id)
            continue
        yield item, passages


def chunks(records: Iterator[Record], passages: int) -> Iterator[list[Record]]:
    """Cut the stream into parts of at least ``passages`` passages (or as many records): whole articles, in order."""
    chunk: list[Record] = []
    size = 0
    for record in records:
        chunk.append(record)
        size += 1 if isinstance(record, Rejected) else len(record[1])
        if size >= passages:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job: when it began, how long it took, and the parts (and their passages) that were there already."""

    started: datetime
    seconds: float
    resumed: int
    resumed_passages: int


def close_job(
    output: Path,
    files: InputList,
    digests: Sequence[str],
    classifier: Classifier,
    settings: ScoreSettings,
    progress: Progress,
    run: Run,
    former: FormerJob | None,
) -> JobResult:
    """Gather the quarantine and the index of articles, write the manifest and the report."""
    from inference.report import write_report

    for table in ("passages", "articles"):
        (output / table).mkdir(parents=True, exist_ok=True)  # where nothing was new, there are no parts
    with atomic(output / "quarantine.jsonl") as file:
        for part in progress.parts:
            with quarantine_path(output, part.number).open("rb") as rejected:
                shutil.copyfileobj(rejected, file)
    articles = sum(part.articles for part in progress.parts)
    passages = sum(part.passages for part in progress.parts)
    abstained = sum(part.abstained for part in progress.parts)
    quarantined = sum(part.quarantined for part in progress.parts)
    flagged = sum(part.flagged for part in progress.parts)
    exceeded = quarantined > settings.quarantine_share * max(1, articles + quarantined)
    counts = {
        "articles": articles,
        "passages": passages,
        "abstained": abstained,
        "quarantined": quarantined,
        "flagged": flagged,
        "parts": len(progress.parts),
    }
    manifest = build_manifest(
        classifier.bundle,
        settings,
        files,
        digests,
        counts,
        run.started,
        run.seconds,
        run.resumed,
        passages - run.resumed_passages,
    )
    if run.resumed == len(progress.parts):  # nothing was left to do: it was read and scored when it says so
        manifest |= _former_run(output)
    manifest["index"] = write_index(output, [index_path(output, part.number) for part in progress.parts], former)
    manifest["since"] = former.described() if former is not None else None
    write_json(output / "manifest.json", manifest)
    write_report(output, classifier=classifier, underlined=settings.underlined_passages)
    return JobResult(
        output, articles, passages, abstained, quarantined, flagged, run.seconds, run.resumed, exceeded, manifest
    )
