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
from inference.classifier import Classifier, Prediction
from inference.manifest import build_manifest
from inference.passages import Passage, split_article, whole_passage
from inference.progress import Part, Progress
from inference.rows import article_row, passage_row
from inference.settings import ScoreSettings
from inference.writer import article_schema, atomic, passage_schema, write_json, write_part

Record = tuple[Article, list[Passage]] | Rejected
OnPart = Callable[[Part], None]


@dataclass(slots=True)
class JobResult:
    """What a job did: where it wrote, and how much (counts include the parts of earlier, interrupted runs)."""

    output: Path
    articles: int
    passages: int
    quarantined: int
    flagged: int
    seconds: float
    resumed_parts: int
    quarantine_exceeded: bool
    manifest: dict[str, Any] = field(repr=False)


def score_articles(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    model: str | Path | None = None,
    settings: ScoreSettings | None = None,
    overwrite: bool = False,
    on_part: OnPart | None = None,
) -> JobResult:
    """Score files and folders of articles into ``output``: ``passages/``, ``articles/``, quarantine, manifest, report.

    The same call on the same folder goes on where an interrupted one stopped and ends with the same bytes. Raises
    InputError for inputs that do not exist, ModelError for a model that cannot be used, and JobRefusedError for an
    output folder that holds another job.
    """
    began, started = time.perf_counter(), datetime.now(UTC)
    settings = settings or ScoreSettings()
    output = Path(output)
    files = list_inputs(inputs)
    classifier = Classifier.load(model, threads=settings.threads or None)
    fingerprint = {
        "model": classifier.bundle.digest,
        "configuration": settings.shaping(),
        "input": [[file.name, file.sha256()] for file in files],
        "version": __version__,
    }
    progress = Progress(output, fingerprint, overwrite=overwrite)
    resumed = len(progress.parts)
    records = split_records(read_articles(files, read_options(settings)), classifier, settings)
    for _ in islice(records, progress.records):
        pass
    for number, chunk in enumerate(chunks(records, settings.part_passages), start=resumed):
        part = write_chunk(number, chunk, classifier, settings, output, progress)
        progress.finish(part)
        if on_part is not None:
            on_part(part)
    return _close(output, files, classifier, settings, progress, resumed, started, time.perf_counter() - began)


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


def predict_once(classifier: Classifier, texts: Sequence[str]) -> list[Prediction]:
    """Predictions for ``texts``; a text that occurs more than once is scored once."""
    unique = list(dict.fromkeys(texts))
    known = dict(zip(unique, classifier.predict(unique), strict=True))
    return [known[text] for text in texts]


def score_chunk(
    chunk: Sequence[Record], classifier: Classifier
) -> tuple[list[tuple[Article, list[Passage], list[Prediction]]], list[Rejected]]:
    """Score the passages of a part together; should that fail, article by article, rejecting the one that fails."""
    rejected = [record for record in chunk if isinstance(record, Rejected)]
    articles = [record for record in chunk if not isinstance(record, Rejected)]
    try:
        predictions = iter(predict_once(classifier, [p.text for _, passages in articles for p in passages]))
        return [
            (article, passages, list(islice(predictions, len(passages)))) for article, passages in articles
        ], rejected
    except Exception:  # noqa: BLE001  # find the one that fails; the others must come out
        scored = []
        for article, passages in articles:
            try:
                scored.append((article, passages, predict_once(classifier, [p.text for p in passages])))
            except Exception as error:  # noqa: BLE001
                reason = f"could not be scored ({type(error).__name__}: {error})"
                rejected.append(Rejected(place=article.place, reason=reason, mend="report this text", id=article.id))
        return scored, rejected


def write_chunk(
    number: int,
    chunk: Sequence[Record],
    classifier: Classifier,
    settings: ScoreSettings,
    output: Path,
    progress: Progress,
) -> Part:
    """Score and write one part; its marker is the caller's to write, last."""
    scored, rejected = score_chunk(chunk, classifier)
    passages = [
        passage_row(article, passage, prediction, classifier)
        for article, parts, predictions in scored
        for passage, prediction in zip(parts, predictions, strict=True)
    ]
    articles = [article_row(article, predictions, classifier) for article, _, predictions in scored]
    axes = list(classifier.bundle.axes)
    write_part(output / "passages", number, passages, passage_schema(classifier.tasks), settings.format)
    write_part(output / "articles", number, articles, article_schema(classifier.tasks, axes), settings.format)
    with atomic(progress.quarantine_path(number)) as file:
        for row in rejected:
            content = {"place": row.place, "id": row.id, "reason": row.reason, "mend": row.mend}
            file.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")
    flagged = sum(bool(row["flags"]) for row in articles)
    return Part(number, len(chunk), len(articles), len(passages), len(rejected), flagged)


def _close(
    output: Path,
    files: InputList,
    classifier: Classifier,
    settings: ScoreSettings,
    progress: Progress,
    resumed: int,
    started: datetime,
    seconds: float,
) -> JobResult:
    """Gather the quarantine, write the manifest and the report."""
    from inference.report import write_report

    with atomic(output / "quarantine.jsonl") as file:
        for part in progress.parts:
            with progress.quarantine_path(part.number).open("rb") as rejected:
                shutil.copyfileobj(rejected, file)
    articles = sum(part.articles for part in progress.parts)
    passages = sum(part.passages for part in progress.parts)
    quarantined = sum(part.quarantined for part in progress.parts)
    flagged = sum(part.flagged for part in progress.parts)
    exceeded = quarantined > settings.quarantine_share * max(1, articles + quarantined)
    counts = {
        "articles": articles,
        "passages": passages,
        "quarantined": quarantined,
        "flagged": flagged,
        "parts": len(progress.parts),
    }
    manifest = build_manifest(classifier.bundle, settings, files, counts, started, seconds, resumed)
    write_json(output / "manifest.json", manifest)
    write_report(output)
    return JobResult(output, articles, passages, quarantined, flagged, seconds, resumed, exceeded, manifest)
