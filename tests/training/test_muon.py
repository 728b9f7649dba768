"""Stacked Muon takes the steps of torch's own."""

from __future__ import annotations

import torch

from training.muon import StackedMuon


def test_muon_stacked_takes_the_same_steps_and_keeps_the_same_state() -> None:
    generator = torch.Generator().manual_seed(3)
    start = [torch.randn(shape, generator=generator) for shape in ((12, 8), (12, 8), (8, 8), (8, 24))]
    one = [torch.nn.Parameter(value.clone()) for value in start]
    other = [torch.nn.Parameter(value.clone()) for value in start]
    plain = torch.optim.Muon(one, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    stacked = StackedMuon(other, lr=0.02, weight_decay=0.1)
    for _ in range(4):
        for left, right in zip(one, other, strict=True):
            left.grad = torch.randn(left.shape, generator=generator)
            right.grad = left.grad.clone()
        plain.step()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        stacked.step()
    for left, right, value in zip(one, other, start, strict=True):
        moved = (left - value).norm()
        assert (left - right).norm() < 0.02 * moved  # bfloat16 products, summed in another order
    momenta = [state["momentum_buffer"] for state in stacked.state_dict()["state"].values()]
    known = [state["momentum_buffer"] for state in plain.state_dict()["state"].values()]
    assert all(torch.allclose(a, b) for a, b in zip(momenta, known, strict=True))
