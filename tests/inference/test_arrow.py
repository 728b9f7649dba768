"""Record batches in, record batches out: the same scores as a job's, rows kept as they stand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from inference import Classifier, score_articles, score_batches
from inference.settings import ScoreSettings
from inference.writer import read_part

TEXTS = [
    "Le syndicat salue la levée des quotas d'acier.",
    "La commission réclame le maintien des contrôles.",
    "Un wagon est arrivé mardi à la gare.",
]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(threads=1)


def batch(texts: Sequence[str | None], kind: pa.DataType | None = None) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "uid": pa.array(range(len(texts)), type=pa.int64()),
            "text": pa.array(texts, type=pa.string()).cast(kind or pa.string()),
        }
    )


def test_arrow_scores_are_those_of_a_job(classifier: Classifier, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"id": text, "text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    score_articles([source], tmp_path / "out", settings=ScoreSettings(unit="passage", threads=1))
    expected = read_part(tmp_path / "out" / "passages" / "part-00000.parquet")
    (scored,) = score_batches([batch(TEXTS)], classifier=classifier)
    for row, other in zip(scored.to_pylist(), expected, strict=True):
        assert {name: row[name] for name in row if name != "uid"} == {
            name: other[name] for name in row if name != "uid"
        }


def test_arrow_rows_keep_their_order_number_and_columns(classifier: Classifier) -> None:
    texts = [TEXTS[0], None, "  \n", TEXTS[1], f" {TEXTS[0]}\n"]
    (scored,) = score_batches([batch(texts)], classifier=classifier)
    rows = scored.to_pylist()
    assert [row["uid"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["text"] for row in rows] == texts
    assert [row["stance"] is None for row in rows] == [False, True, True, False, False]
    assert rows[1]["confidence"] is rows[2]["model"] is None
    assert rows[4]["stance_neutral"] == rows[0]["stance_neutral"]


def test_arrow_batches_stream_one_by_one(classifier: Classifier) -> None:
    taken = []

    def source() -> object:
        for number, text in enumerate(TEXTS):
            taken.append(number)
            yield batch([text])

    scores = score_batches(source(), classifier=classifier)  # type: ignore[arg-type]  # a generator is iterable
    next(scores)
    assert taken == [0]
    assert [each.num_rows for each in scores] == [1, 1]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()])
def test_arrow_takes_any_kind_of_text(classifier: Classifier, kind: pa.DataType) -> None:
    (scored,) = score_batches([batch(TEXTS, kind)], classifier=classifier)
    (plain,) = score_batches([batch(TEXTS)], classifier=classifier)
    assert scored.column("stance").equals(plain.column("stance"))


def test_arrow_empty_batch_keeps_the_schema(classifier: Classifier) -> None:
    empty, full = score_batches([batch([]), batch(TEXTS)], classifier=classifier)
    assert empty.num_rows == 0
    assert empty.schema == full.schema


def test_arrow_refuses_what_it_cannot_score(classifier: Classifier) -> None:
    with pytest.raises(ValueError, match="not one column 'corps'; there are: 'uid', 'text'"):
        list(score_batches([batch(TEXTS)], classifier=classifier, text_column="corps"))
    with pytest.raises(ValueError, match="'uid' holds int64, not text"):
        list(score_batches([batch(TEXTS)], classifier=classifier, text_column="uid"))
    taken = batch(TEXTS).append_column("stance", pa.array(["x"] * 3))
    with pytest.raises(ValueError, match="a column 'stance' already"):
        list(score_batches([taken], classifier=classifier))
