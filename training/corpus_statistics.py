"""Counts of annotated data for its card: by split, label, topic and genre."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.config import TaskConfig
from training.corpus import Example
from training.corpus_checks import corner_name, label_counts

FACETS = ("topic", "genre", "source_kind")


def corpus_statistics(
    examples: Sequence[Example], tasks: Mapping[str, TaskConfig], facets: Sequence[str] = FACETS
) -> dict[str, Any]:
    """Counts as JSON: the whole, ``splits``, ``labels`` (split × labels of all tasks) and ``facets`` by value.

    Words are runs of signs between spaces. Rows that lack a label of a task are counted under ``unlabelled``.
    """
    splits = _by((example.split for example in examples), examples)
    labels = {
        split: dict(sorted(Counter(corner_name(row, tasks) or "unlabelled" for row in rows).items()))
        for split, rows in splits.items()
    }
    return {
        **_size(examples),
        "tasks": {task: list(content.labels) for task, content in tasks.items()},
        "splits": {split: _size(rows) for split, rows in splits.items()},
        "labels": labels,
        "facets": {
            facet: {
                value: _facet_value(rows, tasks, splits)
                for value, rows in _by((example.facets.get(facet) for example in examples), examples).items()
            }
            for facet in facets
            if any(example.facets.get(facet) for example in examples)
        },
    }


def _by(keys: Iterable[str | None], examples: Sequence[Example]) -> dict[str, list[Example]]:
    found: dict[str, list[Example]] = {}
    for key, example in zip(keys, examples, strict=True):
        found.setdefault(key or "none", []).append(example)
    return dict(sorted(found.items()))


def _size(rows: Sequence[Example]) -> dict[str, Any]:
    words = sum(len(row.text.split()) for row in rows)
    return {
        "rows": len(rows),
        "groups": len({row.group for row in rows}),
        "articles": len({row.facets["article"] for row in rows if row.facets.get("article")}),
        "words": words,
        "mean_words": words / max(1, len(rows)),
    }


def _facet_value(
    rows: Sequence[Example], tasks: Mapping[str, TaskConfig], splits: Mapping[str, Sequence[Example]]
) -> dict[str, Any]:
    counts = Counter(row.split or "none" for row in rows)
    return {
        "rows": len(rows),
        "splits": {split: counts[split] for split in splits},
        "labels": label_counts(rows, tasks),
    }


def statistics_markdown(statistics: Mapping[str, Any]) -> str:
    """The counts as Markdown tables: splits, splits × labels, and each facet with its splits and label shares."""
    splits = list(statistics["splits"])
    sizes = [("split", "rows", "groups", "articles", "words", "words a row")]
    for name, size in [*statistics["splits"].items(), ("**all**", statistics)]:
        counts = (f"{size[key]:,}" for key in ("rows", "groups", "articles", "words"))
        sizes.append((name, *counts, f"{size['mean_words']:.1f}"))
    corners = sorted({corner for counts in statistics["labels"].values() for corner in counts})
    labels = [(" × ".join(statistics["tasks"]), *splits, "all", "share")]
    for corner in corners:
        found = [statistics["labels"][split].get(corner, 0) for split in splits]
        share = sum(found) / max(1, statistics["rows"])
        labels.append((corner, *(f"{count:,}" for count in found), f"{sum(found):,}", f"{share:.1%}"))
    parts = [_table(sizes), _table(labels)]
    for facet, values in statistics["facets"].items():
        tasks = (f"{task}: {' / '.join(names)}" for task, names in statistics["tasks"].items())
        rows = [(facet, "rows", *splits, *tasks)]
        for value, content in sorted(values.items(), key=lambda item: (-item[1]["rows"], item[0])):
            shares = (
                " / ".join(f"{count / max(1, sum(by_label.values())):.0%}" for count in by_label.values())
                for by_label in content["labels"].values()
            )
            rows.append(
                (value, f"{content['rows']:,}", *(f"{content['splits'][split]:,}" for split in splits), *shares)
            )
        parts.append(_table(rows))
    return "\n\n".join(parts)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    rule = "| --- |" + " ---: |" * (len(rows[0]) - 1)
    return "\n".join([head, rule, *body])
