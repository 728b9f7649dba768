"""An encoder taken out of a classifier: heads off, vocabulary head on again, standard files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

from training.encoder_folder import write_encoder


@pytest.fixture
def classifier(small_encoder: Path, tmp_path: Path) -> Path:
    """A classifier made from the small encoder, every weight moved a little as training would."""
    auto: Any = AutoModelForSequenceClassification
    model = auto.from_pretrained(small_encoder, num_labels=3, dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
    model.half().save_pretrained(tmp_path / "classifier")
    AutoTokenizer.from_pretrained(small_encoder).save_pretrained(tmp_path / "classifier")
    return tmp_path / "classifier"


def test_encoder_folder_keeps_the_trained_layers_and_no_head(classifier: Path, tmp_path: Path) -> None:
    write_encoder(classifier, tmp_path / "encoder")
    trained = AutoModelForSequenceClassification.from_pretrained(classifier).base_model.state_dict()
    found = AutoModel.from_pretrained(tmp_path / "encoder").state_dict()
    assert found.keys() == trained.keys()
    assert all(torch.equal(found[name], trained[name]) for name in found)


def test_encoder_folder_with_its_vocabulary_head_fills_masks_and_opens_as_an_encoder(
    classifier: Path, small_encoder: Path, tmp_path: Path
) -> None:
    write_encoder(classifier, tmp_path / "encoder", small_encoder)
    before: Any = AutoModelForMaskedLM.from_pretrained(small_encoder, dtype=torch.float32)
    model: Any = AutoModelForMaskedLM.from_pretrained(tmp_path / "encoder", dtype=torch.float32)
    trained: Any = AutoModel.from_pretrained(classifier, dtype=torch.float32)
    for name, tensor in trained.state_dict().items():
        assert torch.equal(model.base_model.state_dict()[name], tensor)
    assert torch.equal(model.head.dense.weight, before.head.dense.weight.half().float())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    answer = model(**tokenizer(f"La {tokenizer.mask_token} est levée.", return_tensors="pt")).logits
    assert answer.shape[-1] == model.config.vocab_size
    assert AutoModel.from_pretrained(tmp_path / "encoder").config.hidden_size == trained.config.hidden_size


def test_encoder_folder_refuses_a_stranger(classifier: Path, small_encoder: Path, tmp_path: Path) -> None:
    config = AutoModelForMaskedLM.from_pretrained(small_encoder).config
    config.num_hidden_layers += 1
    config.layer_types = ["full_attention"] * config.num_hidden_layers
    auto: Any = AutoModelForMaskedLM
    auto.from_config(config).save_pretrained(tmp_path / "stranger")
    with pytest.raises(ValueError, match="is not the encoder"):
        write_encoder(classifier, tmp_path / "encoder", tmp_path / "stranger")
