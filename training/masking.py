"""Whole-word masking of token windows (Devlin et al. 2019; mask rates after Wettig et al. 2023)."""

from __future__ import annotations

import torch

IGNORED = -100


def mask_words(
    ids: torch.Tensor,
    starts: torch.Tensor,
    specials: torch.Tensor,
    rate: float,
    mask_id: int,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hide whole words of ``ids`` and return the hidden input and its labels, both of shape (batch, length).

    ``starts`` and ``specials`` are boolean tables over the vocabulary: pieces that begin a word, pieces that are
    never hidden; they and ``generator`` are on the device of ``ids``. Of the chosen pieces 80 % become ``mask_id``,
    10 % a random piece, 10 % stay; labels are :data:`IGNORED` elsewhere.
    """
    word = starts[ids].cumsum(1)
    draw = torch.rand(ids.shape, generator=generator, device=ids.device).gather(1, word.clamp(max=ids.shape[1] - 1))
    chosen = (draw < rate) & ~specials[ids]
    labels = torch.where(chosen, ids, IGNORED)
    fate = torch.rand(ids.shape, generator=generator, device=ids.device)
    other = torch.randint(int(specials.numel()), ids.shape, generator=generator, device=ids.device)
    hidden = torch.where(chosen & (fate < 0.8), mask_id, ids)
    hidden = torch.where(chosen & (fate >= 0.9) & ~specials[other], other, hidden)
    return hidden, labels
