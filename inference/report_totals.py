"""The totals of a report, added up row by row: memory grows with the report's caps, never with the job."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from inference.labels import Task
from inference.report_data import Job, ReportError
from inference.writer import Row

#: Half the width of a central 95 % interval of a normal distribution, in standard deviations.
REACH = 1.959963984540054
#: Bins of the index in [−1, 1] (an odd number, so that 0 has a bin of its own) and of the confidence in [0, 1].
INDEX_BINS, CONFIDENCE_BINS = 21, 10
#: Different sources (topics, flags) that are counted apart; what comes after them goes into one group for the rest.
MOST_GROUPS = 5_000


@dataclass(slots=True)
class Group:
    """Articles that belong together: their mean index with its interval, and how often each label was given.

    The interval is of the same kind as an article's: where the index of the true labels may lie, each passage an
    independent draw with its own probabilities, widened where needed to hold the printed index. Of one article it is
    that article's, which is exact; of several the sum is taken as normal. It tells the model's doubt about its labels,
    not the chance of having read these articles and not others.
    """

    articles: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    _total: float = 0.0
    _expected: float = 0.0
    _variance: float = 0.0
    _own: tuple[float, float] = (0.0, 0.0)

    def add(self, row: Row, task: Task, belief: tuple[float, float] | None) -> None:
        """Count one article row; ``belief`` is what :func:`believed` makes of its passages, None without an axis."""
        self.articles += 1
        for label in task.labels:
            self.labels[label] += round(row[f"share_{task.column(label)}"] * row["n_passages"])
        if belief is not None:
            self._own = row[f"{task.name}_index_low"], row[f"{task.name}_index_high"]
            self._total += row[f"{task.name}_index"]
            self._expected += belief[0]
            self._variance += belief[1]

    def merge(self, other: Group) -> None:
        """Count the articles of another group here."""
        self.articles += other.articles
        self.labels += other.labels
        if other.articles:
            self._own = other._own
        self._total += other._total
        self._expected += other._expected
        self._variance += other._variance

    @property
    def index(self) -> float:
        """Mean index of the articles, each counting once."""
        return self._total / max(1, self.articles)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of :attr:`index`."""
        if self.articles == 1:
            return self._own
        expected, reach = (x / max(1, self.articles) for x in (self._expected, REACH * math.sqrt(self._variance)))
        return min(self.index, max(-1.0, expected - reach)), max(self.index, min(1.0, expected + reach))


def believed(passages: Sequence[Row], plus: str, minus: str) -> tuple[float, float]:
    """Mean and variance of an article's index, its passages' labels drawn by the columns ``plus`` and ``minus``."""
    pushes = [(row[plus], row[minus]) for row in passages]
    mean = sum(pro - con for pro, con in pushes) / len(pushes)
    return mean, sum(max(0.0, pro + con - (pro - con) ** 2) for pro, con in pushes) / len(pushes) ** 2


class Groups:
    """Groups by name; beyond :data:`MOST_GROUPS` names, the rest are one group."""

    def __init__(self) -> None:
        self.known: dict[str, Group] = {}
        self.rest = Group()

    def of(self, name: str) -> Group:
        """The group that counts ``name``."""
        if name not in self.known and len(self.known) >= MOST_GROUPS:
            return self.rest
        return self.known.setdefault(name, Group())

    def largest(self, count: int) -> tuple[list[tuple[str, Group]], Group]:
        """The ``count`` groups with the most articles, largest first, equals by name; and all others as one."""
        ordered = sorted(self.known.items(), key=lambda item: (-item[1].articles, item[0]))
        others = Group()
        for group in [self.rest, *(group for _, group in ordered[count:])]:
            others.merge(group)
        return ordered[:count], others


@dataclass(slots=True)
class TaskTotals:
    """One task over the whole job: labels of passages and of articles, and all articles as one group."""

    passages: Counter[str] = field(default_factory=Counter)
    articles: Counter[str] = field(default_factory=Counter)
    whole: Group = field(default_factory=Group)


class Totals:
    """What the report says of the whole job; fill it with every article row and its passage rows."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.tasks = {task.name: TaskTotals() for task in job.tasks}
        self.articles = self.passages = self.abstained = self.flagged = self.truncated = 0
        self.months, self.sources, self.topics = Groups(), Groups(), Groups()
        self.flags: Counter[str] = Counter()
        self.index_bins = [0] * INDEX_BINS
        self.confidence_bins = [[0, 0] for _ in range(CONFIDENCE_BINS)]
        self.abstained_labels: Counter[str] = Counter()
        self._columns = self._expected_columns()

    def _expected_columns(self) -> tuple[set[str], set[str]]:
        tasks = self.job.tasks
        shared = {"article_id", *(task.name for task in tasks)}
        articles = {"title", "date", "source", "topic", "n_passages", "flags", "share_abstained"}
        articles |= {f"share_{task.column(label)}" for task in tasks for label in task.labels}
        articles |= {f"{task}_index{end}" for task in self.job.axes for end in ("", "_low", "_high")}
        passages = {"passage_index", "start", "end", "text", "confidence", "abstained", "truncated_tokens"}
        passages |= {task.column(label) for task in tasks for label in task.labels}
        return shared | articles, shared | passages

    def _check(self, row: Row, expected: set[str], table: str) -> None:
        if missing := sorted(expected - row.keys()):
            place = self.job.output / table
            raise ReportError(f"the rows in {place} lack {', '.join(missing)}; score again with --overwrite")

    def read(self, articles: Iterable[Row], passages: Iterator[Row]) -> Iterator[tuple[Row, list[Row]]]:
        """Count rows as they pass: each article with its passages, which stand in both tables in the same order.

        Raises ReportError where the passages of an article are not all there.
        """
        for row in articles:
            if not self.articles:
                self._check(row, self._columns[0], "articles")
            self._check_labels(row, "articles")
            told = list(islice(passages, row["n_passages"]))
            if told and not self.passages:
                self._check(told[0], self._columns[1], "passages")
            if (found := sum(one["article_id"] == row["article_id"] for one in told)) != row["n_passages"]:
                fault = f"{found} of the {row['n_passages']} passages of {row['article_id']!r}"
                raise ReportError(f"{self.job.output / 'passages'} holds {fault}; score again with --overwrite")
            for passage in told:
                self._check_labels(passage, "passages")
                self._add_passage(passage)
            self._add_article(row, told)
            yield row, told

    def _check_labels(self, row: Row, table: str) -> None:
        for task in self.job.tasks:
            known = (*task.labels, "mixed") if table == "articles" else task.labels
            if row[task.name] not in known:
                fault = f"{row[task.name]!r} as {task.name}, which the manifest does not name"
                raise ReportError(f"the rows in {self.job.output / table} hold {fault}; score again with --overwrite")

    def _add_article(self, row: Row, passages: Sequence[Row]) -> None:
        main, axes = self.job.main, self.job.axes
        self.articles += 1
        beliefs: dict[str, tuple[float, float]] = {}
        for task in self.job.tasks:
            if task.name in axes:
                beliefs[task.name] = believed(passages, *map(task.column, axes[task.name]))
            totals = self.tasks[task.name]
            totals.articles[row[task.name]] += 1
            totals.whole.add(row, task, beliefs.get(task.name))
        month = (row["date"] or "")[:7]
        for groups, name in ((self.months, month), (self.sources, row["source"]), (self.topics, row["topic"])):
            if name:
                groups.of(name).add(row, main, beliefs.get(main.name))
        if main.name in axes:
            self.index_bins[round((row[f"{main.name}_index"] + 1) / 2 * (INDEX_BINS - 1))] += 1
        if row["flags"]:
            self.flagged += 1
            for flag in row["flags"].split("; "):
                kind = flag.partition(":")[0]
                self.flags[kind if kind in self.flags or len(self.flags) < MOST_GROUPS else "…"] += 1

    def _add_passage(self, row: Row) -> None:
        main = self.job.main.name
        self.passages += 1
        for task in self.job.tasks:
            self.tasks[task.name].passages[row[task.name]] += 1
        abstained = bool(row["abstained"])
        self.abstained += abstained
        self.abstained_labels[row[main]] += abstained
        self.truncated += row["truncated_tokens"] > 0
        place = min(CONFIDENCE_BINS - 1, int(row["confidence"] * CONFIDENCE_BINS))
        self.confidence_bins[place][abstained] += 1
