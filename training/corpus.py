"""Annotated data: loading any format that ``datasets`` reads, labels to indices, splits by group."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.config import Columns, ConfigError, DataConfig, RunConfig, TaskConfig

READERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}


class CorpusError(Exception):
    """Data that cannot be trained on; the message says what, where and the mend."""


#: The ``source_kind`` of rows that a program made: they train, and neither validate nor test.
AUGMENTED = "augmented"


@dataclass(frozen=True, slots=True)
class Example:
    """One annotated passage.

    ``gold`` maps a task to the index of its label, −1 where the row has none. ``group`` is the unit that splits and
    bootstrap resamples keep whole: a contrast group, a story, an article, else the row itself.
    """

    id: str
    text: str
    pair: str | None
    group: str
    split: str
    gold: dict[str, int]
    facets: dict[str, str | None]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix in READERS and not file.name.startswith("."))


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, of every data file of a folder, or of a folder that ``datasets`` saved to disk.

    Raises CorpusError for what is missing or cannot be read.
    """
    from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

    if not path.exists():
        raise CorpusError(f"no data at {path}; give a file, a folder of files or a datasets folder")
    if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
        saved = load_from_disk(str(path))
        parts = saved.items() if isinstance(saved, DatasetDict) else [(None, saved)]
        for split, part in parts:
            for row in _named_labels(part):
                yield row if split is None else {"split": split, **row}
        return
    files = _files(path)
    if not files:
        raise CorpusError(f"{path} holds no {', '.join(READERS)} file")
    for file in files:
        if file.suffix not in READERS:
            raise CorpusError(f"{file} is none of {', '.join(READERS)}")
        if READERS[file.suffix] == "json":
            # Read line by line: `datasets` infers one schema a file and refuses rows with optional keys.
            yield from _json_rows(file)
            continue
        options = {"delimiter": "\t"} if file.suffix == ".tsv" else {}
        try:
            part = load_dataset(READERS[file.suffix], data_files=str(file), split="train", streaming=True, **options)
            assert not isinstance(part, (Dataset, DatasetDict))
            yield from part
        except (OSError, ValueError) as error:
            raise CorpusError(f"{file} cannot be read: {error}") from error


def _named_labels(part: Any) -> Iterator[dict[str, Any]]:
    """The rows of a saved dataset; a column of class numbers gives the names it carries, −1 stands for no label."""
    from datasets import ClassLabel

    named = {column: feature.names for column, feature in part.features.items() if isinstance(feature, ClassLabel)}
    for row in part:
        for column, names in named.items():
            number = row[column]
            row[column] = None if number is None or number < 0 else names[number]
        yield row


def _json_rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise CorpusError(f"{file}:{number} is not JSON ({error}); mend or remove the line") from error
                if not isinstance(row, dict):
                    raise CorpusError(f"{file}:{number} is no JSON object; write one object a line")
                yield row


def _gold(row: dict[str, Any], name: str, task: TaskConfig, place: str) -> int:
    value = row.get(task.column or name)
    if value is None or value == "":
        return -1
    label = task.rename.get(str(value), str(value))
    if label not in task.labels:
        raise CorpusError(
            f"{place}: {name} is {label!r}, none of {task.labels}; mend the row or add it to labels or rename"
        )
    return task.labels.index(label)


def to_examples(
    rows: Iterable[dict[str, Any]], tasks: dict[str, TaskConfig], columns: Columns, facets: Sequence[str], place: str
) -> list[Example]:
    """Turn raw rows into examples. Raises CorpusError for a missing column, an empty text or an unknown label."""
    examples: list[Example] = []
    for number, row in enumerate(rows, 1):
        here = f"{place} row {number}"
        text = row.get(columns.text)
        if columns.text not in row:
            raise CorpusError(f"{here} has no column {columns.text!r}, it has {sorted(row)}; set data.columns.text")
        if not isinstance(text, str) or not text.strip():
            raise CorpusError(f"{here} has an empty text; remove it")
        gold = {name: _gold(row, name, task, here) for name, task in tasks.items()}
        identity = str(row.get(columns.id) or f"{place}:{number}")
        group = str((columns.group and row.get(columns.group)) or identity)
        split = str((columns.split and row.get(columns.split)) or "")
        pair = row.get(columns.pair) if columns.pair else None
        wanted = (*facets, "phenomenon", "article", "position", *(f"article_{name}" for name in tasks))
        kept = {facet: (None if row.get(facet) is None else str(row[facet])) for facet in wanted}
        examples.append(Example(identity, text, None if pair is None else str(pair), group, split, gold, kept))
    if not examples:
        raise CorpusError(f"{place} holds no rows")
    return examples


def split_by_group(examples: Sequence[Example], data: DataConfig) -> list[Example]:
    """Give every example a split, whole groups at a time: test first, then validation, the rest trains."""
    groups = sorted({example.group for example in examples})
    np.random.default_rng(data.split.seed).shuffle(groups)
    tests = round(len(groups) * data.split.test_share)
    validations = round(len(groups) * data.split.validation_share)
    where = dict.fromkeys(groups[:tests], data.split.tests[0])
    where |= dict.fromkeys(groups[tests : tests + validations], data.split.validation)
    return [replace(example, split=where.get(example.group, data.split.train)) for example in examples]


def load_examples(config: RunConfig) -> dict[str, list[Example]]:
    """The examples of a run by split: training (augmented rows included), validation, and each test in turn.

    Raises CorpusError where a split that the configuration names is empty or a label is missing from training.
    """
    data = config.data

    def read(path: Path) -> list[Example]:
        return to_examples(read_rows(path), config.learnt_tasks, data.columns, data.facets, str(path))

    if data.files:
        examples = [replace(row, split=split) for split, path in data.files.items() for row in read(path)]
        if data.split.train in data.files and data.split.validation not in data.files:
            examples = _carve_validation(examples, data)
    else:
        assert data.path is not None
        examples = read(data.path)
        if not any(example.split for example in examples):
            examples = split_by_group(examples, data)
    for path in data.augmented:
        examples += [replace(row, split=data.split.train) for row in read(path)]
    examples = [with_products(example, config) for example in examples]
    splits: dict[str, list[Example]] = {}
    for name in (data.split.train, data.split.validation, *data.split.tests):
        splits[name] = [example for example in examples if example.split == name]
        if not splits[name]:
            found = dict(Counter(example.split for example in examples))
            raise CorpusError(f"split {name!r} is empty; the data has {found}: set data.split or the split column")
    for task, content in config.learnt_tasks.items():
        present = {example.gold[task] for example in splits[data.split.train]}
        absent = [label for index, label in enumerate(content.labels) if index not in present]
        if absent:
            raise CorpusError(f"no training row of task {task!r} is labelled {absent}; add rows or remove the label")
    return splits


def with_products(example: Example, config: RunConfig) -> Example:
    """The example with the labels that auxiliary tasks take from the product of two others (``product_of``)."""
    gold = dict(example.gold)
    for name, task in config.train.auxiliary.items():
        if task.product_of is None or gold[name] >= 0:
            continue
        signs = [_sign(config.tasks[factor], gold[factor]) for factor in task.product_of]
        label = {1: task.plus, -1: task.minus, 0: None}[signs[0] * signs[1]]
        if label is not None:
            gold[name] = task.labels.index(label)
    return replace(example, gold=gold)


def _sign(task: TaskConfig, label: int) -> int:
    if label < 0:
        return 0
    return {task.plus: 1, task.minus: -1}.get(task.labels[label], 0)


def _carve_validation(examples: list[Example], data: DataConfig) -> list[Example]:
    groups = sorted({example.group for example in examples if example.split == data.split.train})
    np.random.default_rng(data.split.seed).shuffle(groups)
    chosen = set(groups[: max(1, round(len(groups) * data.split.validation_share))])
    return [
        replace(example, split=data.split.validation)
        if example.split == data.split.train and example.group in chosen
        else example
        for example in examples
    ]


def corpus_digest(splits: dict[str, list[Example]]) -> str:
    """SHA-256 over ids, texts, labels and splits, whatever the file format they came in."""
    digest = hashlib.sha256()
    for split in sorted(splits):
        for example in sorted(splits[split], key=lambda row: row.id):
            row = [split, example.id, example.text, example.pair, example.group, sorted(example.gold.items())]
            digest.update(json.dumps(row, ensure_ascii=False).encode())
    return digest.hexdigest()


__all__ = ["ConfigError", "CorpusError", "Example", "corpus_digest", "load_examples", "read_rows", "split_by_group"]
