"""The loss between members of a contrast group, and the sampler that keeps them together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.corpus import Example
from training.group_loss import ALONE, GroupedBatches, contrast_codes, group_loss, pack


def example(number: int, group: str, phenomenon: str | None) -> Example:
    return Example(str(number), "texte", None, group, "train", {"stance": 0}, {"phenomenon": phenomenon})


def test_group_loss_codes_number_contrast_groups_alone() -> None:
    rows = [
        example(0, "a", "negation"),
        example(1, "article", None),
        example(2, "b", "irony"),
        example(3, "a", "negation"),
        example(4, "article", None),
        example(5, "c", "direction"),
        example(6, "b", "irony"),
    ]
    assert contrast_codes(rows) == [0, ALONE, 1, 0, ALONE, ALONE, 1]


def test_group_loss_is_the_odds_of_the_right_assignment() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.5], [1.0, 0.0, 1.5]])
    labels, groups = torch.tensor([0, 2]), torch.tensor([7, 7])
    right = torch.log_softmax(logits, 1)[0, 0] + torch.log_softmax(logits, 1)[1, 2]
    wrong = torch.log_softmax(logits, 1)[0, 2] + torch.log_softmax(logits, 1)[1, 0]
    expected = -torch.log(right.exp() / (right.exp() + wrong.exp()))
    assert group_loss(logits, labels, groups).item() == pytest.approx(expected.item(), abs=1e-6)


def test_group_loss_does_not_see_what_members_share() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.5], [1.0, 0.0, 1.5]])
    labels, groups = torch.tensor([0, 2]), torch.tensor([0, 0])
    shared = torch.tensor([[5.0, -3.0, 1.0]])
    assert group_loss(logits + shared, labels, groups).item() == pytest.approx(
        group_loss(logits, labels, groups).item(), abs=1e-5
    )


def test_group_loss_asks_members_of_one_label_to_agree() -> None:
    groups, labels = torch.tensor([0, 0]), torch.tensor([1, 1])
    same = torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]])
    assert group_loss(same, labels, groups).item() == pytest.approx(0.0, abs=1e-7)
    apart = torch.tensor([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0]], requires_grad=True)
    loss = group_loss(apart, labels, groups)
    (gradient,) = torch.autograd.grad(loss, apart)
    assert loss.item() > 0.1
    assert gradient[0, 0] < 0 < gradient[1, 0]


@pytest.mark.parametrize(
    ("labels", "groups"),
    [([0, 1], [0, 1]), ([0, 1], [ALONE, ALONE]), ([0, -100], [3, 3])],
    ids=["two groups", "no groups", "no gold"],
)
def test_group_loss_is_zero_without_pairs(labels: list[int], groups: list[int]) -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    assert group_loss(logits, torch.tensor(labels), torch.tensor(groups)).item() == 0.0


def test_group_loss_teaches_the_edit() -> None:
    """Rows share two features and differ in a third: descent finds the third alone."""
    torch.manual_seed(0)
    shared = torch.randn(20, 2)
    rows = torch.cat([shared, shared]), torch.tensor([[1.0]] * 20 + [[-1.0]] * 20)
    features = torch.cat(rows, dim=1)
    labels, groups = torch.tensor([0] * 20 + [1] * 20), torch.arange(20).repeat(2)
    weights = torch.zeros(3, 2, requires_grad=True)
    for _ in range(50):
        (gradient,) = torch.autograd.grad(group_loss(features @ weights, labels, groups), weights)
        weights = (weights - gradient).detach().requires_grad_()
    assert weights[:2].abs().max().item() == pytest.approx(0.0, abs=1e-5)
    assert (weights[2, 0] - weights[2, 1]).item() > 1.0


@given(
    sizes=st.lists(st.sampled_from([1, 1, 1, 2, 3, 5]), min_size=1, max_size=120),
    batch_size=st.integers(5, 16),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_group_loss_sampler_yields_every_row_once(sizes: list[int], batch_size: int, seed: int) -> None:
    groups = [ALONE if size == 1 else code for code, size in enumerate(sizes) for _ in range(size)]
    torch.manual_seed(seed)
    sampler = GroupedBatches([10 + row % 7 for row in range(len(groups))], groups, batch_size)
    assert sorted(sampler) == list(range(len(groups)))
    assert len(sampler) == len(groups)


def test_group_loss_sampler_keeps_groups_whole_and_lengths_alike() -> None:
    torch.manual_seed(3)
    groups = [ALONE] * 400 + [code for code in range(60) for _ in range(3)]
    lengths = [10 + (37 * row) % 90 for row in range(400)] + [20 + code for code in range(60) for _ in range(3)]
    order = list(GroupedBatches(lengths, groups, 16))
    batches = [order[start : start + 16] for start in range(0, len(order), 16)]
    homes: dict[int, set[int]] = {}
    for place, batch in enumerate(batches):
        for row in batch:
            homes.setdefault(groups[row], set()).add(place)
    del homes[ALONE]
    assert all(len(places) == 1 for places in homes.values())
    spread = [max(lengths[row] for row in batch) - min(lengths[row] for row in batch) for batch in batches[:-2]]
    assert sum(spread) / len(spread) < 30
    assert list(GroupedBatches(lengths, groups, 16)) != order


def test_group_loss_pack_lets_a_narrow_unit_go_first() -> None:
    full, left = pack([[0, 1], [2, 3], [4], [5, 6]], 3)
    assert full == [[0, 1, 4]]
    assert left == [[2, 3], [5, 6]]
