"""Cohen's kappa between two annotators of the same rows: by task, and by topic and phenomenon within a task.

Kappa is agreement beyond what the two annotators' own label shares would bring by chance (Cohen 1960). Intervals
resample whole groups, since passages of one story were read one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.corpus import CorpusError
from training.metrics import Estimate, Floats, Resampling, confusion_columns, estimate, ratio, resampled_totals
from training.slices import MIN_ROWS

TASKS = ("stance", "sentiment")
FACETS = ("topic", "phenomenon")
HOW = Resampling(resamples=1000)


def kappa_of(tables: Floats) -> Floats:
    """Cohen's kappa of confusion tables, shape (b, k, k) to (b,); NaN for no row or where chance agrees wholly."""
    total = tables.sum(axis=(1, 2))
    observed = ratio(np.trace(tables, axis1=1, axis2=2), total)
    by_chance = ratio((tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1), total**2)
    return ratio(observed - by_chance, 1.0 - by_chance)


def kappa(
    first: Sequence[str], second: Sequence[str], groups: Sequence[str] | None = None, how: Resampling = HOW
) -> Estimate:
    """Cohen's kappa of two annotators' labels with its interval; ``groups`` (rows if None) are resampled whole."""
    names = sorted({*first, *second})
    columns = _columns(first, second, names)
    units = [str(row) for row in range(len(first))] if groups is None else groups
    return _judge(columns, units, len(names), how)["kappa"]


def kappa_report(
    rows: Iterable[Mapping[str, Any]],
    tasks: Sequence[str] = TASKS,
    facets: Sequence[str] = FACETS,
    how: Resampling = HOW,
) -> dict[str, Any]:
    """Agreement of the first two annotators of each row, as JSON.

    ``rows`` are corpus rows whose ``annotators`` is a list of ``{"annotator": …, "stance": …, "sentiment": …}`` as they
    were before settlement; further annotators (who settle) are left out. Per task: ``kappa`` and ``agreement`` (the
    share of equal labels) with intervals, the ``confusion`` of first by second annotator, and both by facet value;
    values under :data:`~training.slices.MIN_ROWS` rows carry ``n`` alone. Kappa is None where it is undefined.

    Raises CorpusError for a row whose annotators are no list of objects.
    """
    pairs: list[tuple[str, Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]] = []
    single = 0
    for number, row in enumerate(rows, 1):
        annotators = row.get("annotators") or []
        name = str(row.get("id") or f"row {number}")
        if not isinstance(annotators, list) or not all(isinstance(one, dict) for one in annotators):
            raise CorpusError(
                f"annotators of {name} are no list of objects; write one with its labels for each annotator"
            )
        if len(annotators) < 2:
            single += 1
        else:
            pairs.append((str(row.get("group") or name), row, annotators[0], annotators[1]))
    report: dict[str, Any] = {"rows": len(pairs), "single": single, "tasks": {}}
    for task in tasks:
        both = [pair for pair in pairs if pair[2].get(task) is not None and pair[3].get(task) is not None]
        first = [str(one[task]) for _, _, one, _ in both]
        second = [str(other[task]) for _, _, _, other in both]
        names = sorted({*first, *second})
        columns, groups = _columns(first, second, names), [pair[0] for pair in both]
        found: dict[str, Any] = {
            "labels": names,
            "confusion": columns.sum(axis=0).reshape(len(names), len(names)).astype(int).tolist(),
            **_judge(columns, groups, len(names), how),
            "by": {},
        }
        for facet in facets:
            places: dict[str, list[int]] = {}
            for place, (_, row, _, _) in enumerate(both):
                if row.get(facet) is not None:
                    places.setdefault(str(row[facet]), []).append(place)
            if places:
                found["by"][facet] = {
                    value: _slice(columns, groups, index, len(names), how) for value, index in sorted(places.items())
                }
        report["tasks"][task] = found
    return report


def _columns(first: Sequence[str], second: Sequence[str], names: Sequence[str]) -> Floats:
    number = {name: place for place, name in enumerate(names)}
    one, other = (np.array([number[label] for label in labels], dtype=np.int64) for labels in (first, second))
    return confusion_columns(one, other, len(names))


def _judge(columns: npt.NDArray[Any], groups: Sequence[str], k: int, how: Resampling) -> dict[str, Estimate]:
    if not len(columns):
        nothing = Estimate(value=None, low=None, high=None, n=0)
        return {"kappa": nothing, "agreement": nothing}
    tables = resampled_totals(groups, columns, how).reshape(-1, k, k)
    agreement = ratio(np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2)))
    n = len(columns)
    return {"kappa": estimate(kappa_of(tables), n, how), "agreement": estimate(agreement, n, how)}


def _slice(
    columns: npt.NDArray[Any], groups: Sequence[str], index: Sequence[int], k: int, how: Resampling
) -> dict[str, Any]:
    entry: dict[str, Any] = {"n": len(index)}
    if len(index) >= MIN_ROWS:
        entry |= _judge(columns[list(index)], [groups[place] for place in index], k, how)
    return entry


def kappa_markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown: a table of the tasks, then one a facet, lowest kappa first."""
    lines = [f"{report['rows']:,} rows were read by two annotators, {report['single']:,} by fewer.", ""]
    lines += _head("task")
    for task, found in report["tasks"].items():
        lines.append(f"| {task} | {found['kappa']['n']:,} | {_cell(found['kappa'])} | {_cell(found['agreement'])} |")
    for task, found in report["tasks"].items():
        for facet, values in found["by"].items():
            lines += ["", *_head(f"{task} by {facet}")]
            judged = {value: entry for value, entry in values.items() if "kappa" in entry}
            few = {value: entry["n"] for value, entry in values.items() if "kappa" not in entry}
            for value, entry in sorted(judged.items(), key=lambda item: (_known(item[1]["kappa"]), item[0])):
                lines.append(f"| {value} | {entry['n']:,} | {_cell(entry['kappa'])} | {_cell(entry['agreement'])} |")
            if few:
                listed = ", ".join(f"{value} ({n})" for value, n in few.items())
                lines += ["", f"Under {MIN_ROWS} rows: {listed}."]
    return "\n".join(lines)


def _head(what: str) -> list[str]:
    return [f"| {what} | rows | kappa (95 % interval) | equal labels |", "| --- | ---: | ---: | ---: |"]


def _known(value: Estimate) -> float:
    return float("inf") if value["value"] is None else value["value"]


def _cell(value: Estimate) -> str:
    if value["value"] is None:
        return "–"
    bounds = "" if value["low"] is None else f" ({value['low']:.3f}–{value['high']:.3f})"
    return f"{value['value']:.3f}{bounds}"
