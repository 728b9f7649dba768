from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from tests.training.scored_rows import simulate
from training import metrics
from training.metrics import (
    Resampling,
    Scored,
    accuracy,
    class_scores,
    classification,
    confusion_columns,
    confusion_matrix,
    macro_f1,
    majority_macro_f1,
    mean_estimate,
    resample_weights,
    resampled_totals,
)

pairs = st.integers(2, 5).flatmap(
    lambda k: st.tuples(
        st.just(k), st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=60)
    )
)


@given(pairs)
def test_metrics_macro_f1_and_accuracy_equal_those_of_scikit_learn(case: tuple[int, list[tuple[int, int]]]) -> None:
    k, rows = case
    gold, predicted = np.array(rows).T
    counts = confusion_matrix(gold, predicted, k)
    assert float(macro_f1(counts)) == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=0))
    assert float(accuracy(counts)) == pytest.approx(accuracy_score(gold, predicted))
    assert (confusion_columns(gold, predicted, k).sum(axis=0).reshape(k, k) == counts).all()


@given(pairs)
def test_metrics_class_scores_equal_those_of_scikit_learn(case: tuple[int, list[tuple[int, int]]]) -> None:
    k, rows = case
    gold, predicted = np.array(rows).T
    present = sorted(set(gold) | set(predicted))
    expected = precision_recall_fscore_support(gold, predicted, labels=present, zero_division=0)[:3]
    ours = class_scores(confusion_matrix(gold, predicted, k))
    for mine, theirs in zip(ours, expected, strict=True):
        assert mine[present] == pytest.approx(theirs)
        assert np.isnan(np.delete(mine, present)).all()


def test_metrics_majority_is_the_most_frequent_label_everywhere() -> None:
    gold = np.array([0, 1, 1, 1, 2])
    assert majority_macro_f1(gold, 3) == pytest.approx(f1_score(gold, [1] * 5, average="macro", zero_division=0))


def test_metrics_totals_of_a_resample_are_those_of_the_rows_it_drew() -> None:
    how = Resampling(resamples=5, seed=3)
    groups = ["b", "a", "b", "c", "a", "a"]
    values = np.arange(12, dtype=np.float64).reshape(6, 2)
    totals = resampled_totals(groups, values, how)
    assert totals.shape == (6, 2)
    assert totals[0] == pytest.approx(values.sum(axis=0))
    weights = np.concatenate(list(resample_weights(3, how)))
    assert (weights.sum(axis=1) == 3).all()
    for drawn, total in zip(weights, totals[1:], strict=True):
        rows = [row for row, group in enumerate(groups) for _ in range(int(drawn["abc".index(group)]))]
        assert total == pytest.approx(values[rows].sum(axis=0))


def test_metrics_resamples_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    how = Resampling(resamples=50, seed=1)
    whole = np.concatenate(list(resample_weights(7, how)))
    monkeypatch.setattr(metrics, "BLOCK_CELLS", 30)
    assert (np.concatenate(list(resample_weights(7, how))) == whole).all()


def test_metrics_resamples_do_not_depend_on_the_order_of_rows() -> None:
    scored, how = simulate(120, seed=4), Resampling(resamples=200)
    shuffled = scored.select(np.random.default_rng(0).permutation(len(scored)))
    assert classification(scored, "stance", how) == classification(shuffled, "stance", how)


def test_metrics_interval_over_groups_covers_the_truth_where_one_over_rows_does_not() -> None:
    how, generator = Resampling(resamples=200), np.random.default_rng(5)
    covered = {"groups": 0, "rows": 0}
    for _ in range(150):
        share = np.repeat(generator.beta(2.0, 1.0, 60), 6)  # groups of six rows that stand or fall together
        right = generator.random(360) < np.where(share > 0.5, 0.95, 0.3)
        truth = 0.95 * 0.75 + 0.3 * 0.25
        groups = [str(row // 6) for row in range(360)]
        for name, units in (("groups", groups), ("rows", [str(row) for row in range(360)])):
            found = mean_estimate(units, right, how)
            covered[name] += found["low"] <= truth <= found["high"]
    assert covered["groups"] / 150 > 0.88
    assert covered["rows"] < covered["groups"]


def test_metrics_one_group_has_a_value_and_no_interval() -> None:
    found = mean_estimate(["a", "a", "a"], np.array([1, 1, 0]), Resampling())
    assert found == {"value": pytest.approx(2 / 3), "low": None, "high": None, "n": 3}


def test_metrics_classification_counts_rows_with_gold_alone() -> None:
    scored = simulate(60)
    gold = scored.gold["stance"].copy()
    gold[:10] = -1
    scored = replace(scored, gold={**scored.gold, "stance": gold})
    found = classification(scored, "stance", Resampling(resamples=50))
    assert found["n"] == 50
    assert sum(map(sum, found["confusion"]["counts"])) == 50
    assert sum(one["f1"]["n"] for one in found["classes"].values()) == 50
    macro = found["macro_f1"]
    assert macro["low"] <= macro["value"] <= macro["high"]


def test_metrics_probabilities_sum_to_one_and_flatten_with_temperature() -> None:
    scored = simulate(30)
    sharp, flat = scored.probabilities("stance", 0.5), scored.probabilities("stance", 4.0)
    assert sharp.sum(axis=1) == pytest.approx(np.ones(30))
    assert (sharp.max(axis=1) > flat.max(axis=1)).all()
    assert (sharp.argmax(axis=1) == scored.predicted("stance")).all()


def test_metrics_scored_rows_come_back_from_parquet_as_they_were(tmp_path: Path) -> None:
    scored = simulate(25)
    scored = replace(
        scored,
        logits={**scored.logits, "stance": scored.logits["stance"].astype(np.float32)},
        facets={**scored.facets, "genre": [None, "dépêche", *["lettre | à l'éditeur"] * 23]},
    )
    scored.save(tmp_path / "rows.parquet")
    back = Scored.load(tmp_path / "rows.parquet")
    assert (back.ids, back.groups, back.facets, back.labels) == (
        scored.ids,
        scored.groups,
        scored.facets,
        scored.labels,
    )
    for task in scored.tasks:
        assert (back.gold[task] == scored.gold[task]).all()
        assert (back.logits[task] == scored.logits[task]).all()
        assert back.logits[task].dtype == scored.logits[task].dtype
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_metrics_load_refuses_a_parquet_file_of_another_kind(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"other\.parquet holds no scored rows"):
        Scored.load(tmp_path / "other.parquet")


def test_metrics_select_takes_masks_and_indices_alike() -> None:
    scored = simulate(9)
    mask = np.arange(9) % 2 == 0
    assert scored.select(mask).ids == scored.select([0, 2, 4, 6, 8]).ids
    assert scored.select([3, 1]).ids == [scored.ids[3], scored.ids[1]]
    assert len(scored.select([])) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ["a", "b", "a"]}, "id 'a' occurs twice"),
        ({"groups": ["a"]}, "groups has 1 entries for 3 ids"),
        ({"facets": {"topic": ["x"]}}, "facet 'topic' has 1 entries"),
        ({"gold": {"stance": np.array([0, 1])}}, "gold of 'stance' has 2 entries"),
        ({"gold": {"stance": np.array([0, 1, 2])}}, "gold of 'stance' must lie between"),
        ({"logits": {"stance": np.zeros((3, 3))}}, "logits of 'stance' have shape"),
        ({"logits": {"stance": np.array([[0, np.nan]] * 3)}}, "not finite"),
        ({"labels": {"tone": ("for", "against")}}, "tasks differ"),
    ],
)
def test_metrics_scored_rows_that_do_not_fit_together_are_refused(change: dict, message: str) -> None:
    whole = {
        "ids": ["a", "b", "c"],
        "groups": ["a", "b", "c"],
        "facets": {},
        "gold": {"stance": np.array([0, 1, -1])},
        "logits": {"stance": np.zeros((3, 2))},
        "labels": {"stance": ("for", "against")},
    }
    Scored(**whole)
    with pytest.raises(ValueError, match=message):
        Scored(**{**whole, **change})
