"""Rows as training reads them: encoded once, augmented and hidden anew at each reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from numpy.random import Generator

from training.config import RunConfig
from training.corpus import Example
from training.finetune import Collate, EncodedRows, keep_labels, task_loss
from training.vocabulary_loss import NOT_HIDDEN


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[MASK]", "la", "douane", "lève", "durcit", "le", "quota", "embargo"]
    core = Tokenizer(models.WordLevel({word: code for code, word in enumerate(words)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    backend: Any = PreTrainedTokenizerFast
    return backend(
        tokenizer_object=core,
        unk_token="[UNK]",
        pad_token="[PAD]",
        mask_token="[MASK]",
    )


def example(number: int, text: str, group: str, phenomenon: str | None, pair: str | None = None) -> Example:
    return Example(str(number), text, pair, group, "train", {"stance": number % 2}, {"phenomenon": phenomenon})


EXAMPLES = [
    example(0, "la douane lève le quota", "a", "direction"),
    example(1, "la douane durcit le quota", "a", "direction"),
    example(2, "le quota", "b", None),
]


def to_embargo(text: str, rng: Generator) -> str:
    return text.replace("quota", "embargo") if rng.random() < 0.5 else text


def read(rows: EncodedRows, seed: int) -> list[list[int]]:
    torch.manual_seed(seed)
    return [rows[index]["input_ids"] for index in range(len(rows))]


def test_finetune_rows_carry_labels_and_contrast_group(tokenizer: Any) -> None:
    rows = EncodedRows(EXAMPLES, tokenizer, ["stance"], 32)
    assert [row["labels"] for row in rows.rows] == [[0, 0], [1, 0], [0, -1]]
    batch = Collate(tokenizer)(rows.rows)
    assert batch["labels"].shape == (3, 2)
    assert batch["input_ids"].shape == (3, 8)


def test_finetune_rows_are_augmented_anew_and_repeatably(tokenizer: Any) -> None:
    rows = EncodedRows(EXAMPLES, tokenizer, ["stance"], 32, augment=to_embargo)
    plain = [row["input_ids"] for row in rows.rows]
    readings = [read(rows, seed) for seed in range(20)]
    assert read(rows, 3) == readings[3]
    assert any(reading != plain for reading in readings)
    assert {tuple(reading[2]) for reading in readings} == {(7, 8), (7, 9)}
    assert [row["input_ids"] for row in rows.rows] == plain


def test_finetune_rows_without_augmentation_draw_nothing(tokenizer: Any) -> None:
    rows = EncodedRows(EXAMPLES, tokenizer, ["stance"], 32)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert [rows[index] for index in range(3)] == rows.rows
    assert torch.equal(torch.get_rng_state(), before)


def test_finetune_rows_augment_the_context_with_the_passage(tokenizer: Any) -> None:
    rows = EncodedRows(
        [example(0, "le quota", "a", None, "la douane quota")], tokenizer, ["stance"], 32, augment=to_embargo
    )
    assert {tuple(read(rows, seed)[0]) for seed in range(20)} == {(3, 4, 8, 7, 8), (3, 4, 9, 7, 9)}


def test_finetune_loss_sees_groups_only_when_asked() -> None:
    def config(weight: float) -> RunConfig:
        return RunConfig.model_validate(
            {
                "name": "toy",
                "tasks": {"stance": {"labels": ["for", "against"]}},
                "data": {"path": str(Path("corpus"))},
                "model": {"encoder": "encoder"},
                "train": {"contrastive": weight, "label_smoothing": 0.0},
            }
        )

    outputs = {"logits": torch.tensor([[1.0, 0.0], [1.0, 0.0]])}
    together, apart = torch.tensor([[0, 5], [1, 5]]), torch.tensor([[0, 5], [1, -1]])
    plain = task_loss(config(0.0))(outputs, together).item()
    assert task_loss(config(2.0))(outputs, apart).item() == pytest.approx(plain)
    # Twins that answer alike are right by chance: the pair costs log 2, times the weight.
    assert task_loss(config(2.0))(outputs, together).item() == pytest.approx(plain + 2 * 0.693147, abs=1e-4)


def test_finetune_tells_the_pieces_that_it_hid(tokenizer: Any) -> None:
    long = example(0, " ".join(["la douane lève le quota"] * 12), "a", None)
    rows = EncodedRows([long, EXAMPLES[2]], tokenizer, ["stance"], 128, hidden=0.5, tell_hidden=True)
    torch.manual_seed(3)
    read_one = [rows[0], rows[1]]
    whole, hidden, pieces = rows.rows[0]["input_ids"], read_one[0]["input_ids"], read_one[0]["pieces"]
    assert 0 < hidden.count(tokenizer.mask_token_id) < len(hidden)
    for original, kept, told in zip(whole, hidden, pieces, strict=True):
        assert (told == NOT_HIDDEN) == (kept == original)
        assert told in (NOT_HIDDEN, original)
    assert "pieces" not in read_one[1]  # too short to hide anything
    batch = Collate(tokenizer)(read_one)
    assert batch["pieces"].shape == batch["input_ids"].shape
    assert batch["pieces"][0, : len(pieces)].tolist() == pieces
    assert bool((batch["pieces"][1] == NOT_HIDDEN).all())


def test_finetune_tells_nothing_unless_asked(tokenizer: Any) -> None:
    long = example(0, " ".join(["la douane lève le quota"] * 12), "a", None)
    rows = EncodedRows([long], tokenizer, ["stance"], 128, hidden=0.5)
    assert "pieces" not in rows[0]
    assert "pieces" not in Collate(tokenizer)([rows[0]])


def test_finetune_cuts_the_labels_of_auxiliary_tasks_off() -> None:
    from transformers import ModernBertConfig, ModernBertForSequenceClassification

    names = ["stance=a", "stance=b", "factor=x", "factor=y", "factor=z"]
    shape = ModernBertConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=0,
        id2label=dict(enumerate(names)),
        attn_implementation="eager",
    )
    model = ModernBertForSequenceClassification(shape).eval()
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        before = model(ids, attention_mask=torch.ones_like(ids)).logits
        keep_labels(model, 2)
        after = model(ids, attention_mask=torch.ones_like(ids)).logits
    torch.testing.assert_close(after, before[:, :2])
    assert model.config.id2label == {0: "stance=a", 1: "stance=b"}
    assert model.config.num_labels == 2
