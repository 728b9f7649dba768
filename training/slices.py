"""Where a model is strong or weak: slices by facet, contrast and invariance groups, whole articles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.metrics import (
    Bools,
    Estimate,
    Floats,
    Ints,
    Resampling,
    Scored,
    accuracy,
    confusion_columns,
    estimate,
    macro_f1,
    mean_estimate,
    resampled_totals,
)

#: Slices under this many rows are listed with their count alone: an interval over them would say nothing.
MIN_ROWS = 30

PHENOMENON = "phenomenon"
CORNER = "corner"
LENGTH = "length"


def length_band(words: int) -> str:
    """The length band of a passage of ``words`` words, for the facet ``length``."""
    for bound, name in ((30, "under 30 words"), (60, "30-59 words"), (90, "60-89 words")):
        if words < bound:
            return name
    return "90 words or more"


def corners(scored: Scored) -> list[str | None]:
    """Each row's gold labels over all tasks (``pro-easing × negative``); None where one is missing or for one task."""
    if len(scored.tasks) < 2:
        return [None] * len(scored)
    columns = [
        [scored.labels[task][gold] if gold >= 0 else None for gold in scored.gold[task]] for task in scored.tasks
    ]
    return [None if None in names else " × ".join(map(str, names)) for names in zip(*columns, strict=True)]


def cut(scored: Scored) -> Iterator[tuple[str, str, Ints]]:
    """Every slice: (facet, value, row indices), facets in their order and the corner last, values sorted."""
    for facet, values in {**scored.facets, CORNER: corners(scored)}.items():
        rows: dict[str, list[int]] = {}
        for row, value in enumerate(values):
            if value is not None:
                rows.setdefault(value, []).append(row)
        for value in sorted(rows):
            yield facet, value, np.array(rows[value], dtype=np.int64)


def slice_report(scored: Scored, task: str, how: Resampling) -> dict[str, dict[str, dict[str, Any]]]:
    """Accuracy and macro-F1 with intervals by facet and value, over rows with gold.

    Slices under 30 rows carry ``n`` alone. Macro-F1 is None where a label has no gold row in the slice: it would punish
    the slice for labels that it cannot hold.
    """
    rows = scored.with_gold(task)
    k = len(rows.labels[task])
    gold, predicted = rows.gold[task], rows.predicted(task)
    columns = confusion_columns(gold, predicted, k)
    report: dict[str, dict[str, dict[str, Any]]] = {}
    for facet, value, index in cut(rows):
        entry: dict[str, Any] = {"n": len(index)}
        if len(index) >= MIN_ROWS:
            groups = [rows.groups[row] for row in index]
            totals = resampled_totals(groups, columns[index], how).reshape(-1, k, k)
            whole = len(np.unique(gold[index])) == k
            entry["accuracy"] = estimate(accuracy(totals), len(index), how)
            entry["macro_f1"] = estimate(macro_f1(totals), len(index), how) if whole else None
        report.setdefault(facet, {})[value] = entry
    return report


@dataclass(frozen=True)
class RowSet:
    """Rows written to be read together: members of one group under one phenomenon."""

    group: str
    phenomenon: str
    rows: Ints


def row_sets(scored: Scored) -> list[RowSet]:
    """All sets of two or more rows that share group and phenomenon, sorted; rows without a phenomenon are prose."""
    members: dict[tuple[str, str], list[int]] = {}
    for row, phenomenon in enumerate(scored.facets.get(PHENOMENON, [])):
        if phenomenon is not None:
            members.setdefault((scored.groups[row], phenomenon), []).append(row)
    return [
        RowSet(group, phenomenon, np.array(rows, dtype=np.int64))
        for (group, phenomenon), rows in sorted(members.items())
        if len(rows) > 1
    ]


def contrast_sets(scored: Scored, task: str, invariance: Sequence[str]) -> list[RowSet]:
    """Sets whose gold differs between members, all of whom have gold: a small change of wording that changes the label.

    Sets of the ``invariance`` phenomena are left to :func:`invariance_sets`.
    """
    gold = scored.gold[task]
    return [
        one
        for one in row_sets(scored)
        if one.phenomenon not in invariance and gold[one.rows].min() >= 0 and len(set(gold[one.rows])) > 1
    ]


def invariance_sets(scored: Scored, task: str, invariance: Sequence[str]) -> list[RowSet]:
    """Sets of the ``invariance`` phenomena whose members share one gold label, or have none: nothing should change."""
    gold = scored.gold[task]
    return [one for one in row_sets(scored) if one.phenomenon in invariance and len(set(gold[one.rows])) == 1]


def all_right(sets: Sequence[RowSet], scored: Scored, task: str) -> Bools:
    """For each set, whether every member is predicted right."""
    right = scored.predicted(task) == scored.gold[task]
    return np.array([bool(right[one.rows].all()) for one in sets], dtype=np.bool_)


def unchanged(sets: Sequence[RowSet], scored: Scored, task: str) -> Bools:
    """For each set, whether all members get the same label, right or wrong."""
    predicted = scored.predicted(task)
    return np.array([len(set(predicted[one.rows])) == 1 for one in sets], dtype=np.bool_)


def set_report(sets: Sequence[RowSet], held: Bools, how: Resampling) -> dict[str, Any]:
    """Share of sets that hold, over all and by phenomenon, with intervals over groups; ``n`` counts sets."""

    def share(index: list[int]) -> Estimate:
        return mean_estimate([sets[place].group for place in index], held[index], how)

    if not sets:
        return {"all": Estimate(value=None, low=None, high=None, n=0), "by_phenomenon": {}}
    places: dict[str, list[int]] = {}
    for place, one in enumerate(sets):
        places.setdefault(one.phenomenon, []).append(place)
    by_phenomenon = {name: share(index) for name, index in sorted(places.items())}
    return {"all": share(list(range(len(sets)))), "by_phenomenon": by_phenomenon}


#: From an article's calibrated passage probabilities, shape (passages, k) in reading order, to its label and its index
#: (None for a task without one).
Aggregate = Callable[[Floats], tuple[str, float | None]]


@dataclass(frozen=True)
class Articles:
    """Which scored rows are the passages of which article, and what the article should come out as.

    ``article`` and ``position`` follow the rows (None: no article's passage); ``label`` and ``index`` are gold by
    article, ``index`` only for articles that have one.
    """

    article: list[str | None]
    position: list[int]
    label: dict[str, str]
    index: dict[str, float]

    def passages(self) -> dict[str, Ints]:
        """Row indices of each article that has a gold label, in reading order, articles sorted."""
        rows: dict[str, list[int]] = {}
        for row, article in enumerate(self.article):
            if article is not None and article in self.label:
                rows.setdefault(article, []).append(row)
        return {
            article: np.array(sorted(rows[article], key=lambda row: self.position[row]), dtype=np.int64)
            for article in sorted(rows)
        }


def article_report(
    scored: Scored, task: str, temperature: float, articles: Articles, aggregate: Aggregate, how: Resampling
) -> dict[str, Any]:
    """Share of articles whose label comes out right, and the mean absolute error of their index, over all passages.

    Raises ValueError where ``articles`` does not follow the rows of ``scored``.
    """
    if not len(articles.article) == len(articles.position) == len(scored):
        raise ValueError(f"articles name {len(articles.article)} rows, {len(scored)} were scored; give one entry a row")
    probabilities = scored.probabilities(task, temperature)
    outcome = {article: aggregate(probabilities[rows]) for article, rows in articles.passages().items()}
    right = [label == articles.label[article] for article, (label, _) in outcome.items()]
    errors = {
        article: abs(index - articles.index[article])
        for article, (_, index) in outcome.items()
        if index is not None and article in articles.index
    }
    confusion: dict[str, dict[str, int]] = {}
    for article, (label, _) in outcome.items():
        row = confusion.setdefault(articles.label[article], {})
        row[label] = row.get(label, 0) + 1
    return {
        "accuracy": mean_of_articles(list(outcome), np.array(right), how),
        "index_error": mean_of_articles(list(errors), np.array(list(errors.values())), how),
        "confusion": confusion,
    }


def mean_of_articles(articles: list[str], values: npt.NDArray[Any], how: Resampling) -> Estimate:
    """The mean of a number an article with its interval over articles; no value for no articles."""
    if not articles:
        return Estimate(value=None, low=None, high=None, n=0)
    return mean_estimate(articles, values, how)


def gold_index(scored: Scored, task: str, articles: Mapping[str, Ints], plus: str, minus: str) -> dict[str, float]:
    """Each article's index from the gold labels of its passages: (plus − minus) / passages with gold."""
    names = scored.labels[task]
    sign = np.zeros(len(names))
    sign[names.index(plus)], sign[names.index(minus)] = 1.0, -1.0
    index: dict[str, float] = {}
    for article, rows in articles.items():
        gold = scored.gold[task][rows]
        if (gold >= 0).any():
            index[article] = float(sign[gold[gold >= 0]].mean())
    return index
