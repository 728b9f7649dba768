"""Muon (Jordan et al. 2024) with matrices of one shape orthogonalised together: few launches, no idle accelerator.

The update is that of ``torch.optim.Muon`` with ``adjust_lr_fn="match_rms_adamw"``, and so is the state, so that a
checkpoint of one resumes under the other.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # quintic Newton–Schulz, steep at zero
ITERATIONS = 5
MOMENTUM = 0.95


def orthogonalise(matrices: torch.Tensor) -> torch.Tensor:
    """The nearly orthogonal factor of each matrix of a stack (count, rows, columns), in bfloat16."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.bfloat16()
    if tall:
        x = x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)  # the spectral norm is at most one
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class StackedMuon(torch.optim.Optimizer):
    """Muon for two-dimensional parameters; the update is scaled to the root mean square of AdamW's."""

    def __init__(self, params: Iterable[torch.Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step; ``closure`` is not used."""
        assert closure is None
        for group in self.param_groups:
            shapes: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for shape, parameters in shapes.items():
                gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    if "momentum_buffer" not in self.state[parameter]:
                        self.state[parameter]["momentum_buffer"] = torch.zeros_like(gradient)
                momenta = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
                torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
                wanted = torch._foreach_lerp(gradients, momenta, MOMENTUM)  # Nesterov
                updates = orthogonalise(torch.stack(wanted)).to(parameters[0].dtype).unbind()
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, updates, alpha=-group["lr"] * 0.2 * math.sqrt(max(shape)))
