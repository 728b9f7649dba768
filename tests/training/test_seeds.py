"""Seeds come first: what a model begins with depends on its seed and on nothing that ran before."""

from __future__ import annotations

from pathlib import Path

import torch

from training.config import RunConfig
from training.finetune import build_model


def heads(encoder: Path, seed: int) -> dict[str, torch.Tensor]:
    """The weights that the encoder's checkpoint does not bring."""
    config = RunConfig.model_validate(
        {
            "name": "essai",
            "tasks": {"avis": {"labels": ["contre", "pour"]}},
            "data": {"path": "corpus.jsonl"},
            "model": {"encoder": str(encoder)},
        }
    )
    weights = build_model(config, seed).state_dict()
    return {name: value for name, value in weights.items() if name.startswith(("classifier", "head"))}


def test_seeds_decide_the_heads_whatever_was_drawn_before(small_encoder: Path) -> None:
    first = heads(small_encoder, 1)
    assert any(value.ndim == 2 for value in first.values())
    torch.manual_seed(99)
    torch.rand(7)
    again, other = heads(small_encoder, 1), heads(small_encoder, 2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
