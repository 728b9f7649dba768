"""The batch job, end to end on one machine: read, split, score, aggregate, write; resumable, in bounded memory."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from inference import __version__
from inference.aggregate import rule_of, summarise
from inference.articles import Article, InputFile, ReadOptions, Rejected, list_inputs, read_articles
from inference.classifier import Classifier, Prediction
from inference.language import looks_french
from inference.passages import Passage, split_article, whole_passage
from inference.progress import Part, Progress
from inference.settings import ScoreSettings
from inference.writer import Row, article_schema, atomic, passage_schema, write_json, write_part

#: Probabilities and indices are written to four decimals: more would be false precision.
DIGITS = 4

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
    on_part: OnPart = lambda part: None,
) -> JobResult:
    """Score files and folders of articles into ``output``: ``passages/``, ``articles/``, quarantine, manifest, report.

    The same call on the same folder goes on where an interrupted one stopped and ends with the same bytes. Raises
    InputError for inputs that do not exist, ModelError for a model that cannot be used, and JobRefusedError for an output
    folder that holds another job.
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


def model_name(classifier: Classifier) -> str:
    """How rows name their model: its name and the first twelve digits of its digest."""
    return f"{classifier.bundle.name}@{classifier.bundle.digest[:12]}"


def passage_row(article: Article, passage: Passage, prediction: Prediction, classifier: Classifier) -> Row:
    """One output row of ``passages/``."""
    row: Row = {
        "article_id": article.id,
        "passage_index": passage.index,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        **prediction.labels,
    }
    for task in classifier.tasks:
        for label in task.labels:
            row[task.column(label)] = round(prediction.probabilities[task.name][label], DIGITS)
    first = classifier.tasks[0].name
    row["confidence"] = round(prediction.confidence[first], DIGITS)
    row["abstained"] = prediction.abstained[first]
    row["n_tokens"] = prediction.n_tokens
    row["truncated_tokens"] = prediction.truncated_tokens
    row["model"] = model_name(classifier)
    return row


def article_row(article: Article, predictions: Sequence[Prediction], classifier: Classifier) -> Row:
    """One output row of ``articles/``."""
    bundle = classifier.bundle
    labels = {task.name: task.labels for task in classifier.tasks}
    summaries = summarise(predictions, labels, bundle.axes, rule_of(bundle))
    row: Row = {
        "article_id": article.id,
        "title": article.title,
        "date": article.date,
        "source": article.source,
        "topic": article.topic,
        "n_passages": len(predictions),
    }
    for task in classifier.tasks:
        summary = summaries[task.name]
        row |= {f"share_{task.column(label)}": round(summary.shares[label], DIGITS) for label in task.labels}
        row[task.name] = summary.label
        if summary.index is not None and summary.low is not None and summary.high is not None:
            row[f"{task.name}_index"] = round(summary.index, DIGITS)
            row[f"{task.name}_index_low"] = round(summary.low, DIGITS)
            row[f"{task.name}_index_high"] = round(summary.high, DIGITS)
    first = classifier.tasks[0].name
    abstained = sum(prediction.abstained[first] for prediction in predictions)
    row["share_abstained"] = round(abstained / len(predictions), DIGITS)
    row["flags"] = "; ".join(article_flags(article, predictions))
    row["model"] = model_name(classifier)
    return row


def article_flags(article: Article, predictions: Sequence[Prediction]) -> list[str]:
    """What a reader of the row should know: another encoding or language, text that was cut, a date not understood."""
    flags = [] if looks_french(article.text) else ["not French?"]
    if article.encoding:
        flags.append(f"read as {article.encoding}")
    if any(prediction.truncated_tokens for prediction in predictions):
        flags.append("cut to the model's length")
    return [*flags, *article.notes]


def write_chunk(
    number: int,
    chunk: Sequence[Record],
    classifier: Classifier,
    settings: ScoreSettings,
    output: Path,
    progress: Progress,
) -> Part:
    """Score and write one part; its marker is the caller's to write, last."""
    import json

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
    files: Sequence[InputFile],
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
    bundle = classifier.bundle
    manifest = {
        "penchant": __version__,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "passages_per_second": round(passages / max(seconds, 1e-9), 1),
        "resumed_parts": resumed,
        "model": {"name": bundle.name, "sha256": bundle.digest, "max_length": bundle.max_length, "facts": bundle.facts},
        "settings": settings.model_dump(),
        "inputs": [{"name": file.name, "bytes": file.size, "sha256": file.sha256()} for file in files],
        "counts": {
            "articles": articles,
            "passages": passages,
            "quarantined": quarantined,
            "flagged": flagged,
            "parts": len(progress.parts),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "onnxruntime", "pyarrow", "tokenizers")},
        },
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
    }
    write_json(output / "manifest.json", manifest)
    write_report(output)
    return JobResult(output, articles, passages, quarantined, flagged, seconds, resumed, exceeded, manifest)
