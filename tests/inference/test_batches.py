"""Batches: every row once, within budget, and a width that depends on the row alone."""

from hypothesis import given
from hypothesis import strategies as st

from inference.batches import padded_width, plan_batches

LENGTHS = st.lists(st.integers(1, 300), max_size=80)


@given(LENGTHS, st.integers(16, 4096), st.sampled_from([8, 16, 32]), st.integers(1, 64))
def test_batches_hold_every_row_once_and_fit(lengths: list[int], budget: int, step: int, most: int) -> None:
    batches = list(plan_batches(lengths, token_budget=budget, step=step, longest=256, max_rows=most))
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(lengths)))
    for batch in batches:
        assert all(lengths[row] <= batch.width for row in batch.rows)
        assert len(batch.rows) <= most
        assert len(batch.rows) == 1 or len(batch.rows) * batch.width <= budget


@given(st.integers(1, 300), LENGTHS)
def test_batches_give_a_row_the_same_width_in_any_company(length: int, others: list[int]) -> None:
    for lengths, row in (([length], 0), ([*others, length], len(others)), ([length, *others], 0)):
        batch = next(batch for batch in plan_batches(lengths, longest=256) if row in batch.rows)
        assert batch.width == padded_width(length, 8, 256)
