"""What the report's templates ask for: small shapes made of the totals, the manifest and the rows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inference.labels import Task
from inference.report_articles import own_text
from inference.report_charts import Look, Point, looks_of, side_of
from inference.report_data import Job
from inference.report_totals import INDEX_BINS, Group, Groups
from inference.report_wording import TEMPLATES, Wording
from inference.report_words import clean, paragraphs
from inference.writer import Row

if TYPE_CHECKING:
    from jinja2 import Environment

#: Beyond so many different months, time is drawn in years.
MOST_MONTHS = 36
#: The scales that an index over time may be drawn on.
SCALES = (0.25, 0.5, 1.0)


def script_digest(script: str) -> str:
    """A script's name in a content security policy: nothing but this very script may run in the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def time_points(months: Groups) -> list[Point]:
    """Months in order with their index and interval; years, where there are more than :data:`MOST_MONTHS` months."""
    periods: dict[str, Group] = {}
    length = 7 if len(months.known) <= MOST_MONTHS else 4
    for month in sorted(months.known):
        periods.setdefault(month[:length], Group()).merge(months.known[month])
    return [Point(when, group.index, *group.interval, group.articles) for when, group in periods.items()]


def reach_of(points: Sequence[Point]) -> float:
    """The smallest scale that holds every interval."""
    widest = max(max(abs(point.low), abs(point.high)) for point in points)
    return next((scale for scale in SCALES if widest <= scale), 1.0)


def spread_rows(bins: Sequence[int]) -> list[tuple[float, int]]:
    """The bins of the index that are not empty, as (middle, articles)."""
    return [(2 * place / (INDEX_BINS - 1) - 1, number) for place, number in enumerate(bins) if number]


def spread_stacks(bins: Sequence[int]) -> list[list[tuple[str, int]]]:
    """The bins of the index as columns in the colour of their side."""
    return [[(f"a{'npm'[side_of(2 * place / (INDEX_BINS - 1) - 1)]}", number)] for place, number in enumerate(bins)]


def doubt_stacks(bins: Sequence[Sequence[int]]) -> list[list[tuple[str, int]]]:
    """The bins of the confidence as columns: kept below, abstained on top."""
    return [[("ink", kept), ("empty", abstained)] for kept, abstained in bins]


def strength(probability: float, task: Task) -> int:
    """How strongly a passage is tinted, 0 to 3: its label's probability between chance and certainty."""
    chance = 1 / len(task.labels)
    return max(0, min(3, int(4 * (probability - chance) / (1 - chance))))


def all_odds(row: Row, tasks: Sequence[Task]) -> str:
    """The probabilities of a passage row in percent, task by task in the order of their labels."""
    return " ".join(f"{100 * row[task.column(label)]:.4g}" for task in tasks for label in task.labels)


def label_numbers(row: Row, tasks: Sequence[Task]) -> str:
    """The number of a passage row's label in each task."""
    return " ".join(str(task.labels.index(row[task.name])) for task in tasks)


def counts_of(row: Row, task: Task) -> list[int]:
    """How many passages of an article row have each label."""
    return [round(row[f"share_{task.column(label)}"] * row["n_passages"]) for label in task.labels]


def coloured(looks: Mapping[str, Look], counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """How often each label was given, under its colour."""
    return [(look.colour, counts.get(label, 0)) for label, look in looks.items()]


def measured(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The test figures of a model, one row a split and task; the first figure of a row is its headline."""
    found = []
    for split, tasks in (facts.get("tests") or {}).items():
        for task, metrics in tasks.items():
            whole = {name: {"low": None, "high": None, "n": None} | leaf for name, leaf in metrics.items()}
            if whole := {name: leaf for name, leaf in whole.items() if leaf.get("value") is not None}:
                found.append({"split": split, "task": task, "metrics": whole, "headline": next(iter(whole))})
    return found


def limits_of(facts: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """The limits that a model names for itself, by language; a plain list stands for every language, under ``""``."""
    limits = facts.get("limits") or []
    return dict(limits) if isinstance(limits, Mapping) else {"": limits}


def flat_facts(facts: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The facts of a model that have no place of their own in the report, as (path of keys, value)."""
    for key, value in facts.items():
        if not path and key in ("tests", "limits"):
            continue
        if isinstance(value, Mapping):
            yield from flat_facts(value, (*path, key))
        elif value is not None:
            yield (*path, key), ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def task_words(job: Job, looks: Mapping[str, Mapping[str, Look]], words: Wording) -> list[dict[str, Any]]:
    """Tasks and labels for the page's script, which draws a passage's probabilities when they are asked for."""
    return [
        {
            "name": words.named("task", task.name),
            "labels": [
                [words.named("label", f"{task.name}/{label}"), looks[task.name][label].colour] for label in task.labels
            ],
        }
        for task in job.tasks
    ]


def environment_for(job: Job, words: Wording) -> Environment:
    """The templates' environment: everything that is filled in is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from inference import report_charts, report_wording

    looks = looks_of(job.tasks, job.axes)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clean": clean, "digest": script_digest}
    shapes = (
        counts_of,
        own_text,
        all_odds,
        label_numbers,
        coloured,
        reach_of,
        spread_rows,
        spread_stacks,
        doubt_stacks,
        strength,
        paragraphs,
    )
    environment.globals |= {shape.__name__: shape for shape in shapes}
    environment.globals |= {
        "w": words,
        "t": words.text,
        "v": words.value,
        "chart": report_charts,
        "code": report_wording,
        "job": job,
        "looks": looks,
        "task_words": task_words(job, looks, words),
        "style": (TEMPLATES / "report.css").read_text(encoding="utf-8"),
        "script": (TEMPLATES / "report.js").read_text(encoding="utf-8"),
    }
    return environment
