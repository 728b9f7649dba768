"""The vocabulary loss: what a masked-language model would say itself, and a head that stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import ModernBertConfig, ModernBertForMaskedLM, ModernBertForSequenceClassification

from training.vocabulary_loss import NOT_HIDDEN, VocabularyLoss

IDS = torch.tensor([[2, 7, 4, 9, 3], [2, 4, 8, 3, 0]])
SEEN = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
PIECES = torch.tensor([[NOT_HIDDEN, NOT_HIDDEN, 11, NOT_HIDDEN, NOT_HIDDEN], [NOT_HIDDEN, 6, *[NOT_HIDDEN] * 3]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(5)
    shape: dict[str, Any] = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
    config = ModernBertConfig(**shape, num_attention_heads=2, pad_token_id=0, cls_token_id=2, sep_token_id=3)
    ModernBertForMaskedLM(config).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def classifier(folder: Path) -> Any:
    opened = ModernBertForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    return opened.eval()


def test_vocabulary_loss_is_that_of_the_masked_language_model(folder: Path, classifier: Any) -> None:
    loss = VocabularyLoss(classifier, str(folder))
    classifier(input_ids=IDS, attention_mask=SEEN)
    whole = ModernBertForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    expected = whole(input_ids=IDS, attention_mask=SEEN, labels=PIECES).loss
    assert float(loss(PIECES).detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_vocabulary_loss_teaches_the_encoder_and_leaves_the_head(folder: Path, classifier: Any) -> None:
    loss = VocabularyLoss(classifier, str(folder))
    before = {name: value.clone() for name, value in loss.head.state_dict().items()}
    optimizer = torch.optim.SGD([*classifier.parameters(), *loss.head.parameters()], lr=0.5)
    values = []
    for _ in range(5):
        classifier(input_ids=IDS, attention_mask=SEEN)
        value = loss(PIECES)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        values.append(float(value.detach()))
    assert values[-1] < values[0]
    assert all(torch.equal(value, before[name]) for name, value in loss.head.state_dict().items())
    assert loss.decoder.weight is classifier.get_input_embeddings().weight


def test_vocabulary_loss_is_nothing_where_nothing_was_hidden(folder: Path, classifier: Any) -> None:
    loss = VocabularyLoss(classifier, str(folder))
    classifier(input_ids=IDS, attention_mask=SEEN)
    assert float(loss(torch.full_like(PIECES, NOT_HIDDEN))) == 0.0


def test_vocabulary_loss_is_asked_once_a_forward_pass(folder: Path, classifier: Any) -> None:
    loss = VocabularyLoss(classifier, str(folder))
    with pytest.raises(AssertionError, match="forward pass"):
        loss(PIECES)
