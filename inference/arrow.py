"""Scoring for users of Arrow: record batches in, record batches out, one passage a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from inference.rows import score_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from inference.classifier import Classifier


def score_batches(
    batches: Iterable[pa.RecordBatch], *, classifier: Classifier | None = None, text_column: str = "text"
) -> Iterator[pa.RecordBatch]:
    """Score each row's ``text_column`` as one passage, unsplit; yield each batch with its scores as further columns.

    The columns are those of a passage row: a label and the probabilities for each task, ``confidence``, ``abstained``,
    ``n_tokens``, ``truncated_tokens``, ``model``. Rows keep their order and number: a row whose text is null or blank
    has null scores. One batch is held at a time. It suits ``pyarrow.dataset.write_dataset``, Spark's ``mapInArrow`` and
    anything else that streams record batches. Raises ValueError where a batch lacks the column, holds no text in it, or
    has a column that a score would take the name of.
    """
    from inference.classifier import Classifier

    classifier = classifier or Classifier.load()
    for batch in batches:
        yield _scored(batch, classifier, text_column)


def _scored(batch: pa.RecordBatch, classifier: Classifier, text_column: str) -> pa.RecordBatch:
    import pyarrow as pa

    texts = _texts(batch, text_column)
    rows = [row for row, text in enumerate(texts) if text is not None and text.strip()]
    unique = list(dict.fromkeys(texts[row].strip() for row in rows))  # a text that comes twice is scored once
    known = dict(zip(unique, classifier.predict(unique), strict=True))
    scores = {text: score_columns(prediction, classifier) for text, prediction in known.items()}
    columns = [batch.column(name) for name in batch.schema.names]
    fields = _score_fields(classifier)
    for field in fields:
        if field.name in batch.schema.names:
            raise ValueError(f"the batch has a column {field.name!r} already; rename it")
        values: list[Any] = [None] * len(texts)
        for row in rows:
            values[row] = scores[texts[row].strip()][field.name]
        columns.append(pa.array(values, type=field.type))
    schema = pa.schema([*batch.schema, *fields], metadata=batch.schema.metadata)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _texts(batch: pa.RecordBatch, text_column: str) -> list[Any]:
    import pyarrow as pa

    if batch.schema.names.count(text_column) != 1:
        shown = ", ".join(map(repr, batch.schema.names[:20])) or "none"
        raise ValueError(f"the batch has not one column {text_column!r}; there are: {shown}; give text_column")
    column = batch.column(text_column)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise ValueError(f"column {text_column!r} holds {column.type}, not text; give text_column")
    texts: list[Any] = column.to_pylist()
    return texts


def _score_fields(classifier: Classifier) -> list[Any]:
    """The columns of the scores: those of a passage row that follow its text."""
    from inference.writer import passage_schema

    schema = passage_schema(classifier.tasks)
    return [field for field in schema if field.name not in ("article_id", "passage_index", "start", "end", "text")]
