"""A masked-language loss beside the task's own, so that fine-tuning leaves the encoder able to fill masks.

Where a training row's pieces are hidden (``train.hidden_words``), the pre-trained vocabulary head is asked what stood
there. The head itself stays as it was pre-trained: only the encoder beneath it, and the embeddings that it shares,
learn, so that the very head can be put on again afterwards (:mod:`training.encoder_folder`). Multi-task learning with a
language model as the second task (Rei 2017, "Semi-supervised multitask learning for sequence labeling").
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

#: Where no piece was hidden.
NOT_HIDDEN = -100


class VocabularyLoss:
    """The loss of the pieces that were hidden from ``model``, a sequence classifier, under the head of ``encoder``.

    ``encoder`` is the folder or name of the masked-language model that the classifier was made from; OSError with
    transformers' own message where it cannot be opened. One forward pass serves both losses.
    """

    def __init__(self, model: nn.Module, encoder: str) -> None:
        from transformers import AutoModelForMaskedLM

        whole: Any = AutoModelForMaskedLM.from_pretrained(encoder, dtype=torch.float32, attn_implementation="eager")
        prefix = whole.base_model_prefix
        setattr(whole, prefix, nn.Identity())
        self.head: Any = whole.head.requires_grad_(False).eval()
        self.decoder: Any = whole.decoder.requires_grad_(False)
        base: Any = getattr(model, prefix)
        self.decoder.weight = base.get_input_embeddings().weight  # tied, as in pre-training: it goes on learning
        self._states: torch.Tensor | None = None
        base.register_forward_hook(self._keep)

    def _keep(self, _: nn.Module, __: Any, output: Any) -> None:
        self._states = output[0]

    def __call__(self, pieces: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy in nats over the hidden pieces of the forward pass just made.

        ``pieces`` of shape (rows, width) holds the id of each hidden piece and ``NOT_HIDDEN`` elsewhere; the loss is
        0 where nothing was hidden.
        """
        assert self._states is not None, "the loss follows a forward pass"
        states, self._states = self._states, None
        hidden = pieces != NOT_HIDDEN
        if not bool(hidden.any()):
            return states.new_zeros(())
        logits = self.decoder(self.head(states[hidden]))
        return functional.cross_entropy(logits.float(), pieces[hidden])
