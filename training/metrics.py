"""Scored rows, and metrics whose intervals come from resampling whole groups.

Every statistic here is a function of sums over rows, so a resample is a weighting of the groups' sums: 2,000 resamples
are one matrix product. Groups are drawn, not rows: passages of one story or contrast group stand or fall together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from inference.classifier import softmax

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Cells of one block of resampling weights: 32 MB, however many groups there are.
BLOCK_CELLS = 4_000_000

METADATA_KEY = b"penchant"


class Estimate(TypedDict):
    """A number with its interval over ``n`` units; low and high are None from fewer than two groups."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: number of bootstrap resamples, two-sided confidence, seed."""

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Scored:
    """Annotated rows with a model's uncalibrated logits.

    ``groups`` is the unit of resampling (contrast group, story, article, else the row's own id). ``facets`` cut slices
    (topic, genre …; None where a row has no value). Per task: ``gold`` of shape (n,), −1 where a row has none;
    ``logits`` of shape (n, k); ``labels``, the k names in the order of the logits.

    Raises ValueError where lengths, label counts or indices do not fit together, an id occurs twice or a logit is not
    finite.
    """

    ids: list[str]
    groups: list[str]
    facets: dict[str, list[str | None]]
    gold: dict[str, npt.NDArray[np.integer[Any]]]
    logits: dict[str, npt.NDArray[np.floating[Any]]]
    labels: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        """Check that everything fits together."""
        n = len(self.ids)
        if len(set(self.ids)) != n:
            twice = Counter(self.ids).most_common(1)[0][0]
            raise ValueError(f"id {twice!r} occurs twice among the scored rows; give every row its own id")
        if set(self.gold) != set(self.labels) or set(self.logits) != set(self.labels):
            raise ValueError(
                f"tasks differ: labels {sorted(self.labels)}, gold {sorted(self.gold)}, logits {sorted(self.logits)}"
            )
        lengths = {"groups": len(self.groups)}
        lengths |= {f"facet {name!r}": len(values) for name, values in self.facets.items()}
        lengths |= {f"gold of {task!r}": len(values) for task, values in self.gold.items()}
        for what, length in lengths.items():
            if length != n:
                raise ValueError(f"{what} has {length} entries for {n} ids")
        for task, names in self.labels.items():
            k = len(names)
            if self.logits[task].shape != (n, k):
                raise ValueError(f"logits of {task!r} have shape {self.logits[task].shape}, not ({n}, {k})")
            if not np.isfinite(self.logits[task]).all():
                raise ValueError(f"logits of {task!r} hold values that are not finite; the model diverged")
            if n and not (self.gold[task].min() >= -1 and self.gold[task].max() < k):
                raise ValueError(f"gold of {task!r} must lie between −1 (none) and {k - 1}")

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.ids)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in the order of ``labels``."""
        return tuple(self.labels)

    def probabilities(self, task: str, temperature: float = 1.0) -> Floats:
        """Probabilities of shape (n, k): softmax of the logits over ``temperature``, by the code that scores."""
        return softmax(self.logits[task], temperature)

    def predicted(self, task: str) -> Ints:
        """Index of the most probable label of each row; no temperature changes it."""
        best: Ints = self.logits[task].argmax(axis=1).astype(np.int64)
        return best

    def with_gold(self, task: str) -> Scored:
        """The rows that have a gold label for ``task``."""
        return self.select(np.flatnonzero(self.gold[task] >= 0))

    def select(self, rows: Sequence[int] | Ints | Bools) -> Scored:
        """The given rows, by index (in that order) or by mask."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index.astype(np.int64)
        return Scored(
            [self.ids[row] for row in index],
            [self.groups[row] for row in index],
            {name: [values[row] for row in index] for name, values in self.facets.items()},
            {task: values[index] for task, values in self.gold.items()},
            {task: values[index] for task, values in self.logits.items()},
            self.labels,
        )

    def save(self, path: Path) -> None:
        """Write one parquet file; a reader never sees half of it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {"id": pa.array(self.ids, pa.string()), "group": pa.array(self.groups, pa.string())}
        for name, values in self.facets.items():
            columns[f"facet:{name}"] = pa.array(values, pa.string())
        for task, names in self.labels.items():
            columns[f"gold:{task}"] = pa.array(self.gold[task].astype(np.int32))
            columns[f"logits:{task}"] = pa.FixedSizeListArray.from_arrays(
                pa.array(np.ascontiguousarray(self.logits[task]).ravel()), len(names)
            )
        about = {"facets": list(self.facets), "labels": {task: list(names) for task, names in self.labels.items()}}
        table = pa.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(about).encode()})
        half = path.with_name(path.name + ".part")
        pq.write_table(table, half)
        half.replace(path)

    @classmethod
    def load(cls, path: Path) -> Scored:
        """Read what :meth:`save` wrote. Raises ValueError for another kind of parquet file, OSError for none."""
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        try:
            about = json.loads(table.schema.metadata[METADATA_KEY])
            labels = {task: tuple(names) for task, names in about["labels"].items()}
            logits = {
                task: table[f"logits:{task}"].combine_chunks().flatten().to_numpy().reshape(-1, len(names))
                for task, names in labels.items()
            }
            return cls(
                table["id"].to_pylist(),
                table["group"].to_pylist(),
                {name: table[f"facet:{name}"].to_pylist() for name in about["facets"]},
                {task: table[f"gold:{task}"].to_numpy().astype(np.int64) for task in labels},
                logits,
                labels,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} holds no scored rows ({error!r}); write it with Scored.save") from error


def resample_weights(groups: int, how: Resampling) -> Iterator[Floats]:
    """Blocks of shape (b, groups): how often each group is drawn in a resample, ``groups`` draws with replacement."""
    generator = np.random.default_rng(how.seed)
    block = max(1, BLOCK_CELLS // groups)
    for start in range(0, how.resamples, block):
        size = min(block, how.resamples - start)
        drawn = generator.integers(0, groups, size=(size, groups))
        drawn += np.arange(size)[:, None] * groups
        yield np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups).astype(np.float64)


def group_codes(groups: Sequence[str]) -> tuple[Ints, int]:
    """Each row's group as a number, which does not depend on the order of the rows, and how many groups there are."""
    number = {name: place for place, name in enumerate(sorted(set(groups)))}
    return np.array([number[name] for name in groups], dtype=np.int64), len(number)


def resampled_totals(groups: Sequence[str], columns: npt.NDArray[Any], how: Resampling) -> Floats:
    """Column sums of the sample (first row) and of each resample of its groups, shape (1 + resamples, m).

    With fewer than two groups there is nothing to resample, and only the first row comes back.
    """
    codes, count = group_codes(groups)
    sums = [np.bincount(codes, weights=column, minlength=count) for column in columns.T]
    by_group = np.stack(sums, axis=1) if sums else np.zeros((count, 0))
    total: Floats = by_group.sum(axis=0, keepdims=True)
    if count < 2:
        return total
    return np.concatenate([total, *(weights @ by_group for weights in resample_weights(count, how))])


def estimate(values: Floats, n: int, how: Resampling) -> Estimate:
    """Turn a statistic of :func:`resampled_totals` (sample first) into a value with its percentile interval."""
    value = float(values[0])
    if not np.isfinite(value):
        return Estimate(value=None, low=None, high=None, n=n)
    drawn = values[1:][np.isfinite(values[1:])]
    if drawn.size == 0:
        return Estimate(value=value, low=None, high=None, n=n)
    tail = (1.0 - how.confidence) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Estimate(value=value, low=float(low), high=float(high), n=n)


def mean_estimate(groups: Sequence[str], values: npt.NDArray[Any], how: Resampling) -> Estimate:
    """The mean of a number a row (accuracy, a share) with its interval."""
    columns = np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)
    totals = resampled_totals(groups, columns, how)
    return estimate(ratio(totals[:, 0], totals[:, 1]), len(values), how)


def ratio(above: Floats, below: Floats) -> Floats:
    """``above / below``, NaN where ``below`` is 0."""
    result: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)
    return result


def confusion_columns(gold: npt.NDArray[Any], predicted: npt.NDArray[Any], k: int) -> Floats:
    """One column a cell of the confusion matrix (gold × k + predicted), shape (n, k²): a 1 where the row falls."""
    columns = np.zeros((len(gold), k * k))
    columns[np.arange(len(gold)), gold * k + predicted] = 1.0
    return columns


def confusion_matrix(gold: npt.NDArray[Any], predicted: npt.NDArray[Any], k: int) -> Ints:
    """Counts of shape (k, k), gold down, predicted across."""
    return np.bincount(gold * k + predicted, minlength=k * k).reshape(k, k).astype(np.int64)


def class_scores(confusions: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each label, each of shape (…, k), from confusion matrices of shape (…, k, k).

    A label that occurs neither in gold nor among predictions has NaN; where only one of its sums is 0, so is its score.
    """
    counts = np.asarray(confusions, dtype=np.float64)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    gold, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    f1 = ratio(2 * right, gold + predicted)
    precision = np.where((predicted == 0) & (gold > 0), 0.0, ratio(right, predicted))
    recall = np.where((gold == 0) & (predicted > 0), 0.0, ratio(right, gold))
    return precision, recall, f1


def macro_f1(confusions: npt.NDArray[Any]) -> Floats:
    """Unweighted mean F1 over the labels that occur in gold or predictions, shape (…): scikit-learn's default macro."""
    f1 = class_scores(confusions)[2]
    present = np.isfinite(f1)
    return ratio(np.where(present, f1, 0.0).sum(axis=-1), present.sum(axis=-1).astype(np.float64))


def accuracy(confusions: npt.NDArray[Any]) -> Floats:
    """Share of rows on the diagonal, shape (…)."""
    counts = np.asarray(confusions, dtype=np.float64)
    return ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def classification(scored: Scored, task: str, how: Resampling) -> dict[str, Any]:
    """Macro-F1, accuracy, per-label precision, recall and F1 with intervals, and the confusion, over rows with gold.

    ``majority_macro_f1`` is what the most frequent label would earn: the floor that any model must clear.
    """
    rows = scored.with_gold(task)
    names = rows.labels[task]
    k, n = len(names), len(rows)
    gold, predicted = rows.gold[task], rows.predicted(task)
    totals = resampled_totals(rows.groups, confusion_columns(gold, predicted, k), how).reshape(-1, k, k)
    scores = dict(zip(("precision", "recall", "f1"), class_scores(totals), strict=True))
    support = np.bincount(gold, minlength=k)
    return {
        "n": n,
        "groups": len(set(rows.groups)),
        "macro_f1": estimate(macro_f1(totals), n, how),
        "accuracy": estimate(accuracy(totals), n, how),
        "majority_macro_f1": majority_macro_f1(gold, k),
        "classes": {
            name: {what: estimate(values[:, index], int(support[index]), how) for what, values in scores.items()}
            for index, name in enumerate(names)
        },
        "confusion": {"labels": list(names), "counts": confusion_matrix(gold, predicted, k).tolist()},
    }


def majority_macro_f1(gold: npt.NDArray[Any], k: int) -> float:
    """Macro-F1 of answering the most frequent gold label everywhere; 0 for no rows."""
    if len(gold) == 0:
        return 0.0
    common = np.full(len(gold), np.bincount(gold, minlength=k).argmax())
    return float(macro_f1(confusion_matrix(gold, common, k)))
