from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from training.agreement import kappa, kappa_markdown, kappa_of, kappa_report
from training.corpus import CorpusError
from training.metrics import Resampling

HOW = Resampling(resamples=60)
LABELS = ["pro-easing", "neutral", "pro-restriction"]
PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=60)


@given(PAIRS)
def test_agreement_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    first, second = map(list, zip(*pairs, strict=True))
    found = kappa(first, second, how=HOW)
    if len({*first, *second}) == 1:
        assert found["value"] is None
    else:
        assert found["value"] == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)
        if found["low"] is not None and found["high"] is not None:
            assert -1 <= found["low"] <= found["high"] <= 1


@given(st.lists(st.integers(0, 9), min_size=9, max_size=9))
def test_agreement_kappa_does_not_mind_which_annotator_is_first(cells: list[int]) -> None:
    table = np.array(cells, dtype=float).reshape(1, 3, 3)
    one, other = kappa_of(table), kappa_of(table.transpose(0, 2, 1))
    assert np.allclose(one, other, equal_nan=True)


def test_agreement_kappa_of_nothing_or_of_one_label_is_undefined() -> None:
    tables = np.zeros((2, 2, 2))
    tables[1, 0, 0] = 8
    assert [math.isnan(value) for value in kappa_of(tables)] == [True, True]
    assert kappa([], [], how=HOW)["value"] is None


def test_agreement_resamples_whole_groups() -> None:
    first = [LABELS[row % 3] for row in range(60)]
    second = [LABELS[0] if row < 20 else first[row] for row in range(60)]
    by_row = kappa(first, second, how=HOW)
    by_group = kappa(first, second, [str(row // 20) for row in range(60)], HOW)
    assert by_row["value"] == by_group["value"]
    assert by_row["low"] is not None
    assert by_group["low"] is not None
    assert by_group["low"] < by_row["low"]


def corpus_row(number: int, stances: list[str], **more: Any) -> dict[str, Any]:
    read = [
        {"annotator": f"a{place}", "stance": stance, "sentiment": "neutral"} for place, stance in enumerate(stances)
    ]
    return {"id": f"r{number}", "topic": "chips" if number % 2 else "vin", "annotators": read, **more}


def rows() -> list[dict[str, Any]]:
    """80 rows read twice, the odd ones (chips) with differences; one settled by a third reader; two read by fewer."""
    made = []
    for number in range(80):
        one = LABELS[number // 2 % 3]
        other = LABELS[(number // 2 + 1) % 3] if number % 10 == 1 else one
        made.append(corpus_row(number, [one, other], **({"phenomenon": "irony"} if number < 5 else {})))
    made.append(corpus_row(80, ["neutral", "neutral", "pro-easing"]))
    return [*made, corpus_row(81, ["neutral"]), {"id": "r82", "topic": "vin"}]


def test_agreement_report_judges_tasks_and_facets() -> None:
    report = kappa_report(rows(), how=HOW)
    stance = report["tasks"]["stance"]
    assert (report["rows"], report["single"]) == (81, 2)
    assert stance["agreement"]["value"] == pytest.approx(73 / 81)
    assert sum(map(sum, stance["confusion"])) == 81
    assert sum(stance["confusion"][place][place] for place in range(3)) == 73
    assert stance["by"]["topic"]["vin"]["kappa"]["value"] == 1
    assert stance["by"]["topic"]["chips"]["kappa"]["value"] < stance["kappa"]["value"] < 1
    assert stance["by"]["phenomenon"] == {"irony": {"n": 5}}
    assert report["tasks"]["sentiment"]["kappa"]["value"] is None
    assert report["tasks"]["sentiment"]["agreement"]["value"] == 1


def test_agreement_report_leaves_out_labels_that_one_annotator_lacks() -> None:
    made = rows()
    made[0]["annotators"][1]["stance"] = None
    report = kappa_report(made, how=HOW)
    assert report["tasks"]["stance"]["kappa"]["n"] == 80
    assert report["tasks"]["sentiment"]["kappa"]["n"] == 81


def test_agreement_report_of_rows_read_once_has_no_kappa() -> None:
    report = kappa_report([corpus_row(0, ["neutral"])], how=HOW)
    assert report["tasks"]["stance"]["kappa"] == {"value": None, "low": None, "high": None, "n": 0}
    assert "0 rows were read by two annotators, 1 by fewer." in kappa_markdown(report)


@pytest.mark.parametrize("annotators", ["a1, a2", ["a1", "a2"], {"a1": "neutral"}])
def test_agreement_refuses_annotators_of_another_shape(annotators: Any) -> None:
    with pytest.raises(CorpusError, match="annotators of r1 are no list of objects; write"):
        kappa_report([{"id": "r1", "annotators": annotators}])


def test_agreement_markdown_lists_the_lowest_kappa_first() -> None:
    text = kappa_markdown(kappa_report(rows(), how=HOW))
    by_topic = text.partition("| stance by topic ")[2].splitlines()
    assert [line.split("|")[1].strip() for line in by_topic[2:4]] == ["chips", "vin"]
    assert "| sentiment | 81 | – | 1.000 (1.000–1.000) |" in text
    assert "Under 30 rows: irony (5)." in text
