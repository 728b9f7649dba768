"""Annotated data, checked: before every run, and on its own with ``penchant-train check-corpus``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from training.check_report import CheckReport, Finding, Severity
from training.config import DataConfig, ModelConfig, RunConfig, SplitConfig, TaskConfig
from training.corpus import AUGMENTED, Example, read_rows, split_by_group
from training.duplicates import copy_findings, words_of
from training.giveaways import giveaway_findings
from training.phrases import phrase_findings
from training.row_checks import (
    damage_findings,
    id_findings,
    label_findings,
    language_findings,
    length_findings,
    sort_rows,
)

TOPIC = "topic"
#: What must lie whole within a split, beside the group.
UNITS = ("article", "story")
#: The least share of a corner (one label of each task) of its even share: 3 % where there are nine corners.
CORNER_SHARE = 0.27

Splits = Mapping[str, Sequence[Example]]


def check_examples(config: RunConfig, splits: Splits, thorough: bool = False) -> CheckReport:
    """Check the examples of a run, by split; ``thorough`` adds what gives a label away (some seconds of fitting).

    The splits that ``config`` names as tests are held out; what is in training and validation has been seen. Findings
    that ``data.accept`` names are lowered to warnings.
    """
    rows = [replace(example, split=split) for split, examples in splits.items() for example in examples]
    natural = [row for row in rows if row.facets.get("source_kind") != AUGMENTED]
    tests = set(config.data.split.tests)
    found = id_findings(rows) + length_findings(rows, config) + damage_findings(rows)
    found += label_findings(splits, config.tasks)
    found += unit_findings(rows) + augmented_findings(rows, config.data.split.train)
    found += topic_findings(splits, config.data.split)
    found += corner_findings(natural, config)
    copied, copy_numbers = copy_findings(rows, tests)
    phrases, phrase_numbers = phrase_findings(natural)
    foreign, foreign_ids = language_findings(rows)
    found += copied + phrases + foreign
    numbers: dict[str, Any] = {
        "rows": len(rows),
        "splits": {split: split_numbers(examples, config.tasks, foreign_ids) for split, examples in splits.items()},
        "copies": copy_numbers,
        "phrases": phrase_numbers,
    }
    if thorough:
        giveaways, numbers["giveaways"] = giveaway_findings(natural, config.tasks, config.data.facets)
        found += giveaways
    accepted = set(config.data.accept)
    found = [replace(one, severity="warn") if one.code in accepted else one for one in found]
    return CheckReport.of(found, numbers)


def check_path(path: Path, config: RunConfig | None = None) -> CheckReport:
    """Check a user's own data thoroughly: a file, a folder of files, a ``datasets`` folder.

    Without ``config``: the tasks stance and sentiment, and every split but train and validation is a test. Rows without
    a split are split by group as a run would split them. Raises CorpusError for what cannot be read at all.
    """
    settings = config or default_config(path)
    data = settings.data
    examples, faults = sort_rows(read_rows(path), settings.tasks, data.columns, (*data.facets, *UNITS), str(path))
    if not any(example.split for example in examples):
        examples = split_by_group(examples, data)
        faults.append(Finding("info", "no-split", "no row names a split; checked as a run would split them, by group"))
    found = Counter(example.split for example in examples)
    seen = [data.split.train, data.split.validation]
    if config is None:
        split = data.split.model_copy(update={"tests": sorted(name for name in found if name and name not in seen)})
        settings = settings.model_copy(update={"data": data.model_copy(update={"split": split})})
    used = [*seen, *settings.data.split.tests]
    if missing := tuple(name for name in used if not found[name]):
        mend = "set data.split or the split column"
        faults.append(Finding("fail" if config else "warn", "empty-split", "splits without a row", missing, mend))
    if idle := tuple(f"{name or 'none named'}: {count:,} rows" for name, count in found.items() if name not in used):
        what = "rows stand in splits that no run uses; they are left out here"
        faults.append(Finding("warn", "idle-split", what, idle, "set data.split or the split column"))
    splits = {name: [example for example in examples if example.split == name] for name in used if found[name]}
    report = check_examples(settings, splits, thorough=True)
    return CheckReport.of((*faults, *report.findings), report.numbers)


def default_config(path: Path) -> RunConfig:
    """The configuration of data that comes without one: the tasks, columns and encoder of the shipped model."""
    return RunConfig(
        name="check-corpus",
        tasks={
            "stance": TaskConfig(labels=["pro-easing", "neutral", "pro-restriction"]),
            "sentiment": TaskConfig(labels=["negative", "neutral", "positive"]),
        },
        data=DataConfig(path=path),
        model=ModelConfig(encoder="training/encoder"),
    )


def unit_findings(rows: Sequence[Example]) -> list[Finding]:
    """Groups, articles and stories that stand in more than one split."""
    found = []
    for unit in ("group", *UNITS):
        splits: dict[str, set[str]] = {}
        for row in rows:
            value = row.group if unit == "group" else row.facets.get(unit)
            if value is not None:
                splits.setdefault(value, set()).add(row.split)
        where = tuple(f"{value} ({', '.join(sorted(names))})" for value, names in splits.items() if len(names) > 1)
        if where:
            what = f"{unit} values that stand in more than one split: {len(where):,} of {len(splits):,}"
            found.append(Finding("fail", f"broken-{unit}", what, where, "keep each whole within one split"))
    return found


def augmented_findings(rows: Sequence[Example], train: str) -> list[Finding]:
    """Augmented rows outside training."""
    where = tuple(
        f"{row.id} ({row.split})" for row in rows if row.facets.get("source_kind") == AUGMENTED and row.split != train
    )
    if not where:
        return []
    what = f"augmented rows that are held out: {len(where):,}"
    return [Finding("fail", "augmented-outside", what, where, f"move them to {train}, or remove them")]


def topic_findings(splits: Splits, names: SplitConfig) -> list[Finding]:
    """Topics that a test split called unseen shares with what the model has seen."""
    found = []
    for test in (name for name in names.tests if "unseen" in name and name in splits):
        topics = {row.facets.get(TOPIC) for row in splits[test]}
        if None in topics:
            where = tuple(row.id for row in splits[test] if row.facets.get(TOPIC) is None)
            what = f"rows of {test} without a topic, which may have been seen: {len(where):,}"
            found.append(Finding("fail", "no-topic", what, where, "name their topic"))
        for seen in (names.train, names.validation):
            shared = {topic for row in splits.get(seen, ()) if (topic := row.facets.get(TOPIC)) and topic in topics}
            if shared:
                what = f"topics that {seen} shares with {test}: {len(shared)}"
                mend = f"move the rows of these topics out of {seen}"
                severity: Severity = "fail" if seen == names.train else "warn"
                found.append(Finding(severity, "seen-topic", what, tuple(sorted(shared)), mend))
    return found


def corner_name(example: Example, tasks: Mapping[str, TaskConfig]) -> str | None:
    """The labels of a row over all tasks ("pro-easing × negative"); None where one is missing."""
    if any(example.gold[task] < 0 for task in tasks):
        return None
    return " × ".join(content.labels[example.gold[task]] for task, content in tasks.items())


def corner_findings(rows: Sequence[Example], config: RunConfig) -> list[Finding]:
    """Combinations of labels that training hardly shows: the tasks would be learnt as one."""
    if len(config.tasks) < 2:
        return []
    names = [corner_name(row, config.tasks) for row in rows if row.split == config.data.split.train]
    counts = Counter(name for name in names if name)
    corners = [" × ".join(labels) for labels in product(*(content.labels for content in config.tasks.values()))]
    total, least = counts.total(), CORNER_SHARE / len(corners)
    rare = [corner for corner in corners if counts[corner] < least * total]
    if not rare:
        return []
    where = tuple(f"{corner}: {counts[corner] / total:.1%}" for corner in rare)
    what = f"combinations of labels in less than {least:.1%} of the training rows: {len(rare)} of {len(corners)}"
    return [Finding("warn", "rare-corner", what, where, "add such rows")]


def label_counts(examples: Sequence[Example], tasks: Mapping[str, TaskConfig]) -> dict[str, dict[str, int]]:
    """How often each label of each task is given."""
    counts = {task: Counter(example.gold[task] for example in examples) for task in tasks}
    return {
        task: {label: counts[task][index] for index, label in enumerate(content.labels)}
        for task, content in tasks.items()
    }


def split_numbers(examples: Sequence[Example], tasks: Mapping[str, TaskConfig], foreign: set[str]) -> dict[str, Any]:
    """Counts of a split: rows, groups, lengths in words, labels, combinations of labels, facets, language."""
    words = np.array([len(words_of(example.text)) for example in examples] or [0])
    marks = {"p05": 5, "p50": 50, "p95": 95}
    corners = Counter(corner_name(example, tasks) for example in examples) if len(tasks) > 1 else Counter()
    return {
        "rows": len(examples),
        "groups": len({example.group for example in examples}),
        "words": {
            "mean": float(words.mean()),
            **{name: float(np.percentile(words, mark)) for name, mark in marks.items()},
            "max": int(words.max()),
        },
        "labels": label_counts(examples, tasks),
        "corners": {name: count for name, count in sorted(corners.items(), key=str) if name},
        "augmented": sum(row.facets.get("source_kind") == AUGMENTED for row in examples),
        "topics": len({row.facets[TOPIC] for row in examples if row.facets.get(TOPIC)}),
        "not_french": sum(row.id in foreign for row in examples) / max(1, len(examples)),
    }
