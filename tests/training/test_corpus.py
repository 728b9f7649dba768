"""Annotated data in any format, labels to indices, splits that keep groups whole."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from training.config import DataConfig, RunConfig
from training.corpus import CorpusError, Example, corpus_digest, load_examples, read_rows, split_by_group

TASKS = {"avis": {"labels": ["contre", "pour"], "column": "label", "rename": {"AGAINST": "contre", "FAVOR": "pour"}}}


def rows(count: int = 24) -> list[dict[str, Any]]:
    return [
        {"id": f"r{n}", "corps": f"Phrase numéro {n}.", "label": "FAVOR" if n % 3 else "AGAINST", "lot": f"g{n // 2}"}
        for n in range(count)
    ]


def config(data: dict[str, Any]) -> RunConfig:
    columns = {"text": "corps", "group": "lot", "split": None}
    content = {"columns": columns, **data}
    return RunConfig.model_validate({"name": "t", "tasks": TASKS, "data": content, "model": {"encoder": "x"}})


def write(path: Path, content: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(content[0]))
            writer.writeheader()
            writer.writerows(content)
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(content), path)
    else:
        from datasets import Dataset

        Dataset.from_list(content).save_to_disk(str(path))
    return path


@pytest.mark.parametrize("name", ["data.jsonl", "data.csv", "data.parquet", "saved"])
def test_corpus_is_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    splits = load_examples(config({"path": str(write(tmp_path / name, rows()))}))
    expected = load_examples(config({"path": str(write(tmp_path / "other.jsonl", rows()))}))
    assert corpus_digest(splits) == corpus_digest(expected)
    assert sum(map(len, splits.values())) == 24


def test_corpus_splits_never_part_a_group(tmp_path: Path) -> None:
    splits = load_examples(config({"path": str(write(tmp_path / "d.jsonl", rows(60)))}))
    groups = [{example.group for example in part} for part in splits.values()]
    assert all(not one & other for place, one in enumerate(groups) for other in groups[:place])
    assert all(groups)


@given(st.lists(st.integers(0, 12), min_size=20, max_size=60), st.integers(0, 5))
def test_corpus_split_is_a_function_of_groups_and_seed(members: list[int], seed: int) -> None:
    examples = [Example(str(n), "t", None, f"g{group}", "", {}, {}) for n, group in enumerate(members)]
    data = DataConfig.model_validate({"path": "x", "split": {"seed": seed}})
    once = split_by_group(examples, data)
    again = split_by_group(list(reversed(examples)), data)
    assert {row.id: row.split for row in once} == {row.id: row.split for row in again}
    assert len({(row.group, row.split) for row in once}) == len({row.group for row in once})


def test_corpus_files_by_split_carve_validation_from_training(tmp_path: Path) -> None:
    train, test = write(tmp_path / "a.jsonl", rows(30)), write(tmp_path / "b.jsonl", rows(6))
    splits = load_examples(config({"files": {"train": str(train), "test": str(test)}}))
    assert {name: len(part) > 0 for name, part in splits.items()} == {"train": True, "validation": True, "test": True}
    assert len(splits["train"]) + len(splits["validation"]) == 30


def test_corpus_augmented_rows_only_train(tmp_path: Path) -> None:
    more = [{**row, "id": f"x{row['id']}"} for row in rows(6)]
    plain, extra = write(tmp_path / "a.jsonl", rows()), write(tmp_path / "b.jsonl", more)
    splits = load_examples(config({"path": str(plain), "augmented": [str(extra)]}))
    assert {name: sum(row.id.startswith("x") for row in part) for name, part in splits.items()} == {
        "train": 6,
        "validation": 0,
        "test": 0,
    }


@pytest.mark.parametrize(
    ("spoiled", "fault"),
    [
        ({"label": "MAYBE"}, r"row 25: avis is 'MAYBE', none of \['contre', 'pour'\]"),
        ({"corps": "  "}, "row 25 has an empty text"),
        ({"corps": None}, "row 25 has an empty text"),
    ],
)
def test_corpus_names_the_bad_row(tmp_path: Path, spoiled: dict[str, Any], fault: str) -> None:
    path = write(tmp_path / "d.jsonl", [*rows(), {**rows(1)[0], "id": "z", **spoiled}])
    with pytest.raises(CorpusError, match=fault):
        load_examples(config({"path": str(path)}))


def test_corpus_names_a_missing_column_split_and_label(tmp_path: Path) -> None:
    renamed = [{"texte": row["corps"], **{k: v for k, v in row.items() if k != "corps"}} for row in rows()]
    with pytest.raises(CorpusError, match=r"no column 'corps', it has .*texte"):
        load_examples(config({"path": str(write(tmp_path / "a.jsonl", renamed))}))
    with pytest.raises(CorpusError, match="split 'validation' is empty"):
        content = [{**row, "part": "train"} for row in rows()]
        columns = {"text": "corps", "group": "lot", "split": "part"}
        load_examples(config({"path": str(write(tmp_path / "b.jsonl", content)), "columns": columns}))
    with pytest.raises(CorpusError, match=r"no training row of task 'avis' is labelled \['contre'\]"):
        content = [{**row, "label": "FAVOR"} for row in rows()]
        load_examples(config({"path": str(write(tmp_path / "c.jsonl", content))}))


def test_corpus_names_the_line_that_is_no_json(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", rows(2))
    path.write_text(path.read_text() + "{oops\n")
    with pytest.raises(CorpusError, match=r"d\.jsonl:3 is not JSON"):
        list(read_rows(path))
    with pytest.raises(CorpusError, match="no data at"):
        list(read_rows(tmp_path / "none.jsonl"))


def test_corpus_digest_sees_labels_texts_and_splits_but_not_order(tmp_path: Path) -> None:
    splits = load_examples(config({"path": str(write(tmp_path / "d.jsonl", rows()))}))
    digest = corpus_digest(splits)
    assert corpus_digest({name: list(reversed(part)) for name, part in splits.items()}) == digest
    changed = rows()
    changed[0]["corps"] += " !"
    assert corpus_digest(load_examples(config({"path": str(write(tmp_path / "e.jsonl", changed))}))) != digest


def test_corpus_takes_the_label_of_an_auxiliary_task_from_the_product_of_two(tmp_path: Path) -> None:
    tasks = {
        "stance": {"labels": ["easing", "neutral", "restriction"], "plus": "easing", "minus": "restriction"},
        "tone": {"labels": ["bad", "good"], "plus": "good", "minus": "bad"},
    }
    direction = {"labels": ["opens", "closes"], "plus": "opens", "minus": "closes", "product_of": ["stance", "tone"]}
    given = [
        {"stance": "easing", "tone": "bad"},
        {"stance": "restriction", "tone": "bad"},
        {"stance": "neutral", "tone": "good"},
        {"stance": "easing"},
        {"stance": "easing", "tone": "bad", "direction": "opens"},
    ]
    content = [{"text": f"Phrase {n}.", "id": f"{n}", "split": "train", **row} for n, row in enumerate(given)]
    content += [
        {**row, "id": f"{split}{row['id']}", "split": split} for split in ("validation", "test") for row in content
    ]
    settings = {
        "name": "t",
        "tasks": tasks,
        "data": {"path": str(write(tmp_path / "a.jsonl", content))},
        "model": {"encoder": "x"},
        "train": {"auxiliary": {"direction": direction}},
    }
    config = RunConfig.model_validate(settings)
    train = load_examples(config)["train"]
    assert [row.gold["direction"] for row in train] == [1, 0, -1, -1, 0]  # the last row says its own
    assert list(config.learnt_tasks) == ["stance", "tone", "direction"]
    for wrong in (
        {**direction, "product_of": ["stance", "topic"]},
        {"labels": ["a", "b"], "product_of": ["stance"] * 2},
    ):
        with pytest.raises(ValidationError, match="plus"):
            RunConfig.model_validate({**settings, "train": {"auxiliary": {"direction": wrong}}})
    with pytest.raises(ValidationError, match="keep one"):
        RunConfig.model_validate({**settings, "train": {"auxiliary": {"tone": direction}}})
