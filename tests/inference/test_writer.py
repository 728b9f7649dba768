"""Output files: whole or not at all, the same bytes each time, harmless in a spreadsheet."""

import csv
from pathlib import Path

import pytest

from inference.labels import Task
from inference.writer import article_schema, atomic, passage_schema, read_part, write_part

TASKS = (Task("stance", ("pro-easing", "neutral"), 0),)


def row(text: str) -> dict[str, object]:
    return {
        "article_id": "a",
        "passage_index": 0,
        "start": 0,
        "end": len(text),
        "text": text,
        "stance": "neutral",
        "stance_pro_easing": 0.25,
        "stance_neutral": 0.75,
        "confidence": 0.75,
        "abstained": False,
        "n_tokens": 5,
        "truncated_tokens": 0,
        "model": "m",
    }


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_writer_gives_back_what_it_wrote_in_the_same_bytes(form: str, tmp_path: Path) -> None:
    rows = [row("Un quota, « des guillemets »\net une ligne."), row("Deux.\u2028Trois.\u0085Fin.")]
    first = write_part(tmp_path / "one", 3, rows, passage_schema(TASKS), form)
    second = write_part(tmp_path / "two", 3, rows, passage_schema(TASKS), form)
    assert first.name == f"part-00003.{form}"
    assert read_part(first) == rows
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("start", ["=1+1", "+33", "-2", "@SUM", "\tx", "\r=1", "\n=1", "＝1+1"])
def test_writer_makes_csv_formulas_text(start: str, tmp_path: Path) -> None:
    path = write_part(tmp_path, 0, [row(start)], passage_schema(TASKS), "csv")
    with path.open(newline="") as file:
        assert next(csv.DictReader(file))["text"] == "'" + start


def test_writer_leaves_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows"]


def test_writer_gives_only_axes_an_index() -> None:
    with_axis = article_schema(TASKS, ["stance"]).names
    without = article_schema(TASKS, []).names
    assert {"stance_index", "stance_index_low", "stance_index_high"} == set(with_axis) - set(without)
