"""An encoder as a standard checkpoint folder, taken out of a fine-tuned classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

DROPOUTS = ("classifier_dropout", "mlp_dropout", "embedding_dropout")


def write_encoder(checkpoint: Path, target: Path, pretrained: Path | None = None) -> None:
    """Write the encoder of the classifier ``checkpoint`` into ``target``, with its tokenizer, in half precision.

    The classifier's heads stay behind. With ``pretrained``, the masked-language model that the classifier was made
    from, its vocabulary head is put on again, so that the encoder can still fill masks and be pre-trained further.
    Raises ValueError where the two are not of one shape.
    """
    from transformers import AutoModel, AutoModelForMaskedLM

    from training.export import open_to_version_4
    from training.finetune import open_tokenizer

    encoder: Any = AutoModel.from_pretrained(checkpoint, dtype=torch.float32)
    model = encoder
    if pretrained is not None:
        model = AutoModelForMaskedLM.from_pretrained(pretrained, dtype=torch.float32)
        try:
            getattr(model, model.base_model_prefix).load_state_dict(encoder.state_dict())
        except RuntimeError as error:
            raise ValueError(f"{pretrained} is not the encoder that {checkpoint} was made from: {error}") from error
    for name in DROPOUTS:
        if hasattr(model.config, name):
            setattr(model.config, name, 0.0)
    for name in ("id2label", "label2id", "problem_type"):
        setattr(model.config, name, None)
    model.half().save_pretrained(target)
    open_tokenizer(str(checkpoint)).save_pretrained(target)
    open_to_version_4(target / "tokenizer_config.json")
