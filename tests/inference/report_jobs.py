"""Finished jobs made by hand, for the tests of the report: rows through the real writer, no model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.aggregate import ArticleRule, summarise
from inference.classifier import Prediction
from inference.labels import Task
from inference.writer import Row, article_schema, passage_schema, write_json, write_part

STANCE = Task("stance", ("pro-easing", "neutral", "pro-restriction"), 0)
TONE = Task("sentiment", ("negative", "neutral", "positive"), 3)
TASKS = (STANCE, TONE)
AXES = {"stance": ("pro-easing", "pro-restriction"), "sentiment": ("positive", "negative")}

Odds = Sequence[float]
FOR, EVEN, AGAINST = (0.8, 0.15, 0.05), (0.1, 0.8, 0.1), (0.05, 0.15, 0.8)


@dataclass
class Told:
    """One passage: its text, its probabilities a task, and whether the model abstained."""

    text: str
    odds: Sequence[Odds] = (FOR, EVEN)
    abstained: bool = False


@dataclass
class Story:
    """One article."""

    id: str
    passages: Sequence[Told] = field(default_factory=lambda: [Told("Les quotas pèsent sur les ateliers.")])
    title: str | None = "Un titre"
    date: str | None = None
    source: str | None = None
    topic: str | None = None
    flags: str = ""


STORIES = [
    Story(
        "a1",
        [
            Told("Les fondeurs réclament la levée des licences.", (FOR, AGAINST)),
            Told("Le texte compte douze articles.", (EVEN, EVEN)),
            Told("La mesure protège un savoir-faire.\n\nElle doit durer.", (AGAINST, FOR)),
            Told("Les ateliers respireraient enfin.", ((0.5, 0.4, 0.1), FOR), abstained=True),
        ],
        "Licences : l’atelier attend",
        "2026-01-14",
        "Le Journal du Zinc",
        "licences",
    ),
    Story(
        "a2",
        [Told("Sans verrou, la fuite continue.", (AGAINST, FOR))] * 3,
        "Zones grises",
        "2026-02-03",
        "Agence Bleue",
    ),
    Story(
        "a3", [Told("Le préfet a signé l’arrêté.", (EVEN, EVEN))], "Été : l’arrêté", "2026-02-21", "Agence Bleue", "eau"
    ),
    Story("a4", [Told("Personne ne gagne à ce blocus.", (FOR, FOR))] * 2, None, None, None, None, "not French?"),
]


def prediction(told: Told, tasks: Sequence[Task]) -> Prediction:
    """What the classifier would have said of a passage."""
    odds = {
        task.name: dict(zip(task.labels, values, strict=True)) for task, values in zip(tasks, told.odds, strict=True)
    }
    labels = {task: max(values, key=lambda label: values[label]) for task, values in odds.items()}
    confidence = {task: max(values.values()) for task, values in odds.items()}
    return Prediction(odds, labels, confidence, dict.fromkeys(odds, told.abstained), 12, 0)


def rows_of(story: Story, tasks: Sequence[Task], axes: Mapping[str, tuple[str, str]]) -> tuple[Row, list[Row]]:
    """The article row and the passage rows of a story."""
    told = [prediction(passage, tasks) for passage in story.passages]
    passages: list[Row] = []
    start = 0
    for number, (passage, said) in enumerate(zip(story.passages, told, strict=True)):
        row: Row = {"article_id": story.id, "passage_index": number, "start": start, "end": start + len(passage.text)}
        row |= {"text": passage.text, **said.labels}
        row |= {task.column(label): said.probabilities[task.name][label] for task in tasks for label in task.labels}
        row |= {"confidence": said.confidence[tasks[0].name], "abstained": passage.abstained}
        passages.append(row | {"n_tokens": 12, "truncated_tokens": 0, "model": "m"})
        start += len(passage.text) + 2
    article: Row = {key: getattr(story, key) for key in ("title", "date", "source", "topic", "flags")}
    article |= {"article_id": story.id, "n_passages": len(told), "model": "m"}
    article["share_abstained"] = sum(passage.abstained for passage in story.passages) / len(told)
    for task, summary in summarise(told, {task.name: task.labels for task in tasks}, axes, ArticleRule()).items():
        column = next(known for known in tasks if known.name == task).column
        article |= {task: summary.label, **{f"share_{column(label)}": share for label, share in summary.shares.items()}}
        article |= {
            f"{task}_index": summary.index,
            f"{task}_index_low": summary.low,
            f"{task}_index_high": summary.high,
        }
    return article, passages


def make_job(
    output: Path,
    stories: Sequence[Story] = STORIES,
    *,
    tasks: Sequence[Task] = TASKS,
    axes: Mapping[str, tuple[str, str]] = AXES,
    form: str = "parquet",
    part_stories: int = 2,
    rejected: Sequence[Mapping[str, str | None]] = (),
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write the folder of a finished job and return it."""
    rows = [rows_of(story, tasks, axes) for story in stories]
    for number, first in enumerate(range(0, max(1, len(rows)), part_stories)):
        chunk = rows[first : first + part_stories]
        write_part(
            output / "articles", number, [article for article, _ in chunk], article_schema(tasks, list(axes)), form
        )
        write_part(output / "passages", number, [row for _, told in chunk for row in told], passage_schema(tasks), form)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rejected]
    (output / "quarantine.jsonl").write_text("".join(lines), encoding="utf-8")
    model = {"name": "petit", "sha256": "ab" * 32, "max_length": 128, "facts": dict(facts or {})}
    model |= {
        "tasks": {task.name: list(task.labels) for task in tasks},
        "axes": {name: list(ends) for name, ends in axes.items()},
    }
    counts = {
        "articles": len(rows),
        "passages": sum(len(told) for _, told in rows),
        "quarantined": len(rejected),
        "flagged": sum(bool(story.flags) for story in stories),
    }
    manifest = {"penchant": "0.1.0", "started": "2026-03-01T08:00:00+00:00", "model": model, "counts": counts}
    write_json(output / "manifest.json", manifest)
    return output
