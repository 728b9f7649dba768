"""A part of a job: some whole articles that are scored together, and whose rows are written together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from inference.articles import Article, Rejected
from inference.classifier import Classifier, Prediction
from inference.labels import Task
from inference.passages import Passage
from inference.progress import Part, index_path, quarantine_path
from inference.rows import article_row, passage_row
from inference.since import run_of
from inference.writer import Row, article_schema, atomic, passage_schema, write_part

Record = tuple[Article, list[Passage]] | Rejected


def texts_of(chunk: Sequence[Record]) -> list[str]:
    """The texts of a part's passages, in order."""
    return [passage.text for record in chunk if not isinstance(record, Rejected) for passage in record[1]]


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
        predictions = iter(predict_once(classifier, texts_of(chunk)))
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


@dataclass(frozen=True, slots=True)
class PartRows:
    """What came of the records of a part: its rows, and the index records of its articles."""

    records: int
    passages: list[Row]
    articles: list[Row]
    rejected: list[Rejected]
    index: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go and in which shape; ``writer`` keeps those apart who may write the same part at one time."""

    output: Path
    tasks: tuple[Task, ...]
    axes: tuple[str, ...]
    form: str
    writer: str = ""


def chunk_rows(chunk: Sequence[Record], classifier: Classifier) -> PartRows:
    """Score the records of a part and make its rows."""
    scored, rejected = score_chunk(chunk, classifier)
    passages = [
        passage_row(article, passage, prediction, classifier)
        for article, parts, predictions in scored
        for passage, prediction in zip(parts, predictions, strict=True)
    ]
    articles = [article_row(article, predictions, classifier) for article, _, predictions in scored]
    return PartRows(len(chunk), passages, articles, rejected, run_of(article for article, _, _ in scored))


def write_rows(number: int, rows: PartRows, target: Target) -> Part:
    """Write the files of one part; its marker is the caller's to write, last."""
    output, tasks, form, writer = target.output, target.tasks, target.form, target.writer
    write_part(output / "passages", number, rows.passages, passage_schema(tasks), form, writer)
    write_part(output / "articles", number, rows.articles, article_schema(tasks, target.axes), form, writer)
    with atomic(quarantine_path(output, number), writer) as file:
        for row in rows.rejected:
            content = {"place": row.place, "id": row.id, "reason": row.reason, "mend": row.mend}
            file.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")
    with atomic(index_path(output, number), writer) as file:
        file.write(rows.index)
    flagged = sum(bool(row["flags"]) for row in rows.articles)
    abstained = sum(bool(row["abstained"]) for row in rows.passages)
    return Part(number, rows.records, len(rows.articles), len(rows.passages), abstained, len(rows.rejected), flagged)
