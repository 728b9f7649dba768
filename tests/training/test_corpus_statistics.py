from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.small_corpus import clean_rows
from training.corpus import Example, to_examples
from training.corpus_checks import default_config
from training.corpus_statistics import corpus_statistics, statistics_markdown

CONFIG = default_config(Path("corpus"))


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return to_examples(clean_rows(), CONFIG.tasks, CONFIG.data.columns, CONFIG.data.facets, "corpus")


def test_corpus_statistics_add_up(examples: list[Example]) -> None:
    found = corpus_statistics(examples, CONFIG.tasks)
    assert json.loads(json.dumps(found)) == found
    assert found["rows"] == sum(split["rows"] for split in found["splits"].values()) == len(examples)
    assert found["words"] == sum(len(example.text.split()) for example in examples)
    for split, corners in found["labels"].items():
        assert sum(corners.values()) == found["splits"][split]["rows"]
    for values in found["facets"].values():
        assert sum(value["rows"] for value in values.values()) == len(examples)
        for value in values.values():
            assert sum(value["splits"].values()) == value["rows"]
            assert all(sum(labels.values()) == value["rows"] for labels in value["labels"].values())


def test_corpus_statistics_count_articles_groups_and_rows_without_a_label() -> None:
    facets = {"article": "a1", "topic": None}
    rows = [
        Example("1", "un deux", None, "g", "train", {"stance": 0, "sentiment": 1}, facets),
        Example("2", "trois", None, "g", "train", {"stance": -1, "sentiment": 1}, facets),
    ]
    found = corpus_statistics(rows, CONFIG.tasks)
    assert {key: found[key] for key in ("rows", "groups", "articles", "words", "mean_words")} == {
        "rows": 2,
        "groups": 1,
        "articles": 1,
        "words": 3,
        "mean_words": 1.5,
    }
    assert found["labels"] == {"train": {"pro-easing × neutral": 1, "unlabelled": 1}}
    assert found["facets"] == {}


def test_corpus_statistics_markdown_has_a_table_for_splits_labels_and_each_facet(examples: list[Example]) -> None:
    text = statistics_markdown(corpus_statistics(examples, CONFIG.tasks))
    tables = [table.splitlines() for table in text.split("\n\n")]
    assert [table[0].split(" | ")[0] for table in tables] == [
        "| split",
        "| stance × sentiment",
        "| topic",
        "| genre",
        "| source_kind",
    ]
    for head, rule, *body in tables:
        assert rule.startswith("| --- |")
        assert {line.count("|") for line in (head, rule, *body)} == {head.count("|")}
    assert "| contrast | 18 | 9 |" in tables[0][2]
    assert "| written | 99 |" in tables[4][2]
