"""The articles that a report shows: all up to a cap in its table, the first of them with their full text."""

from __future__ import annotations

from dataclasses import dataclass, field

from inference.report_data import Job, article_rows, passage_rows
from inference.report_totals import Totals
from inference.writer import Row

#: Length of the opening words that stand for a title where an article has none.
OPENING = 80


@dataclass(frozen=True, slots=True)
class Caps:
    """How much one page holds; what is beyond is counted in the totals and said in a note."""

    table_articles: int = 2_000
    articles: int = 200
    passages: int = 4_000
    characters: int = 2_000_000
    strip: int = 128


@dataclass(frozen=True, slots=True)
class Mark:
    """One passage in a strip: its label of the main task, that label's probability, and whether the model abstained."""

    label: str
    strength: float
    abstained: bool


@dataclass(slots=True)
class Entry:
    """One article of the report; ``passages`` is None for an article that stands in the table only."""

    number: int
    row: Row
    marks: list[Mark] = field(default_factory=list)
    passages: list[Row] | None = None
    opening: str = ""


def collect(job: Job, totals: Totals, caps: Caps) -> list[Entry]:
    """Read the rows of a job once, filling ``totals``; keep what the caps allow.

    The articles are shown with their text from the first on, until one does not fit. Raises ReportError where the
    passages of an article are not all there.
    """
    main, entries = job.main, list[Entry]()
    fits, room, budget = True, caps.passages, caps.characters
    for row, told in totals.read(article_rows(job.output), passage_rows(job.output)):
        if len(entries) == caps.table_articles:
            continue
        marks = [Mark(one[main.name], one[main.column(one[main.name])], bool(one["abstained"])) for one in told]
        opening = next(filter(None, map(own_text, told)), "")[:OPENING]
        room, budget = room - len(told), budget - sum(len(one["text"]) for one in told)
        fits = fits and len(entries) < caps.articles and room >= 0 and budget >= 0
        entries.append(Entry(len(entries) + 1, row, marks[: caps.strip], told if fits else None, opening))
    return entries


def own_text(row: Row) -> str:
    """A passage as it stands in its article: without the quote that makes it harmless in a spreadsheet."""
    text: str = row["text"]
    return text[1:] if text.startswith("'") and len(text) == row["end"] - row["start"] + 1 else text
