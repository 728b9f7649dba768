"""The articles that a report shows: all up to a cap in its table, the first of them with their full text."""

from __future__ import annotations

from dataclasses import dataclass, field

from inference.report_data import Job, ReportError, article_rows, passage_rows
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

    Raises ReportError where the passages of a kept article are not all there.
    """
    entries: dict[str, Entry] = {}
    for row in totals.read_articles(article_rows(job.output)):
        if len(entries) < caps.table_articles:
            entries[row["article_id"]] = Entry(len(entries) + 1, row)
    chosen = _choose_texts(list(entries.values()), caps)
    budget, seen = caps.characters, dict.fromkeys(entries, 0)
    for row in totals.read_passages(passage_rows(job.output)):
        entry = entries.get(row["article_id"])
        if entry is None:
            continue
        seen[row["article_id"]] += 1
        if len(entry.marks) < caps.strip:
            main = job.main
            entry.marks.append(Mark(row[main.name], row[main.column(row[main.name])], bool(row["abstained"])))
        entry.opening = entry.opening or own_text(row)[:OPENING]
        if entry.number in chosen:
            budget -= len(row["text"])
            if budget < 0:  # this article's text is the first that does not fit: it and the later ones go without
                chosen = {number for number in chosen if number < entry.number}
                entry.passages = None
            else:
                entry.passages = [*(entry.passages or []), row]
    for name, entry in entries.items():
        if seen[name] != entry.row["n_passages"]:
            fault = f"{seen[name]} of the {entry.row['n_passages']} passages of {name!r}"
            raise ReportError(f"{job.output / 'passages'} holds {fault}; score again with --overwrite")
    return list(entries.values())


def _choose_texts(entries: list[Entry], caps: Caps) -> set[int]:
    """Numbers of the articles, from the first on, whose text is within the caps."""
    chosen: set[int] = set()
    room = caps.passages
    for entry in entries[: caps.articles]:
        room -= entry.row["n_passages"]
        if room < 0:
            break
        chosen.add(entry.number)
    return chosen


def own_text(row: Row) -> str:
    """A passage as it stands in its article: without the quote that makes it harmless in a spreadsheet."""
    text: str = row["text"]
    return text[1:] if text.startswith("'") and len(text) == row["end"] - row["start"] + 1 else text
