"""The linear companion: its features, its independence of company, what it learns and how it is weighed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.training.learnable_corpus import corpus_rows
from tests.training.test_run import settings
from training.companion import Companion, choose_share, fit_companion, fit_task, gram_matrix
from training.config import CompanionConfig, TaskConfig

VOCABULARY, BUCKETS = 50, 1024
rows_of_pieces = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=2, max_size=12), min_size=1, max_size=6)


@given(rows=rows_of_pieces)
def test_companion_features_are_those_of_the_formula(rows: list[list[int]]) -> None:
    found = gram_matrix(rows, VOCABULARY, BUCKETS).toarray()
    for row, features in zip(rows, found, strict=True):
        expected = np.zeros(BUCKETS)
        for piece in row:
            expected[piece] += len(row) ** -0.5
        for a, b in itertools.pairwise(row):
            expected[VOCABULARY + (1_000_003 * a + 7_919 * b + 1) % (BUCKETS - VOCABULARY)] += len(row) ** -0.5
        np.testing.assert_allclose(features, expected, rtol=1e-5)


@given(rows=rows_of_pieces, seed=st.integers(0, 5))
def test_companion_module_agrees_with_its_features_whatever_the_company(rows: list[list[int]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    module = Companion(torch.randn(BUCKETS, 3, generator=generator), torch.randn(3, generator=generator), VOCABULARY)
    tensors = [torch.tensor(row) for row in rows]
    ids = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=3)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in tensors], batch_first=True)
    together = module(ids, mask).numpy()
    expected = gram_matrix(rows, VOCABULARY, BUCKETS) @ module.table.numpy() + module.bias.numpy()
    np.testing.assert_allclose(together, expected, atol=1e-4)
    alone = module(tensors[0].unsqueeze(0), torch.ones(1, len(rows[0]), dtype=torch.long)).numpy()
    np.testing.assert_allclose(together[:1], alone, atol=1e-6)


def pairs_that_tell(number: int, seed: int) -> tuple[list[list[int]], np.ndarray]:
    """Rows with the same pieces on both sides; only the order of two of them gives the label away."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 2, number)
    rows = [[*generator.integers(10, 40, 6).tolist(), *((5, 6) if side else (6, 5)), 7] for side in gold]
    return rows, gold.astype(np.int64)


def test_companion_learns_from_pairs_what_single_pieces_do_not_tell() -> None:
    rows, gold = pairs_that_tell(200, 0)
    fit = fit_task(gram_matrix(rows, VOCABULARY, BUCKETS), gold, 2, CompanionConfig(buckets=BUCKETS))
    others, expected = pairs_that_tell(100, 1)
    logits = gram_matrix(others, VOCABULARY, BUCKETS) @ fit.weights + fit.bias
    assert (logits.argmax(1) == expected).mean() > 0.95


def test_companion_leaves_out_rows_without_gold_and_labels_never_seen() -> None:
    rows, gold = pairs_that_tell(60, 0)
    features = gram_matrix(rows, VOCABULARY, BUCKETS)
    unknown = np.where(np.arange(60) < 30, gold, -1)
    fit = fit_task(features, unknown, 3, CompanionConfig(buckets=BUCKETS))
    again = fit_task(features[:30], gold[:30], 3, CompanionConfig(buckets=BUCKETS))
    np.testing.assert_array_equal(fit.weights, again.weights)
    assert fit.bias[2] == -20
    assert not fit.weights[:, 2].any()


def test_companion_leaves_out_rare_features() -> None:
    rows = [[10, 11, 12], [10, 11, 13], [10, 14, 12], [10, 14, 15]]
    gold = np.array([0, 0, 1, 1])
    fit = fit_task(gram_matrix(rows, VOCABULARY, BUCKETS), gold, 2, CompanionConfig(buckets=BUCKETS, min_rows=2))
    assert fit.weights[14].any()
    assert not fit.weights[15].any()


def test_companion_gets_no_share_when_it_is_noise_and_a_large_one_when_the_encoder_is() -> None:
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 3, 400)
    noise = generator.normal(size=(400, 3)).astype(np.float32)
    good = (np.eye(3)[gold] * 2 + generator.normal(size=(400, 3))).astype(np.float32)
    assert choose_share(good, noise, gold) < 0.3
    assert choose_share(noise, good, gold) > 1


def test_companion_is_stored_as_it_answers(tmp_path: Path) -> None:
    rows, gold = pairs_that_tell(80, 0)
    task = {"side": TaskConfig(labels=["left", "right"])}
    logits = np.zeros((80, 2), np.float32)
    settings = CompanionConfig(buckets=BUCKETS)
    companion, shares = fit_companion(task, settings, (rows, {"side": gold}), (rows, {"side": gold}, logits), 50)
    assert shares["side"] > 0
    companion.save(tmp_path / "companion.safetensors")
    again = Companion.load(tmp_path / "companion.safetensors")
    ids, mask = torch.tensor(rows[:1]), torch.ones(1, len(rows[0]), dtype=torch.long)
    assert torch.equal(companion(ids, mask), again(ids, mask))


def test_companion_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="a companion stands beside an encoder"):
        settings(tmp_path, None, corpus_rows(), model={"kind": "tfidf", "companion": {}})


def test_companion_joins_the_graph_and_leaves_the_checkpoint_plain(small_encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    from inference.classifier import Classifier
    from training.run import run

    model = {"encoder": str(small_encoder), "max_length": 48, "companion": {"buckets": 4096}}
    config = settings(tmp_path, small_encoder, corpus_rows(), model=model)
    result = run(config, lambda line: None)
    folder = config.work / config.name
    companion = Companion.load(folder / "companion-11" / "companion.safetensors")
    checkpoint = AutoModelForSequenceClassification.from_pretrained(
        folder / "train-11" / "checkpoint", dtype=torch.float32
    ).eval()
    assert result.bundle is not None
    classifier = Classifier.load(result.bundle)
    text = "La filière réclame les quotas mardi."
    ids = torch.tensor([list(classifier.encode([text])[0].ids)])
    mask = torch.ones_like(ids)
    with torch.no_grad():
        plain = checkpoint(input_ids=ids, attention_mask=mask).logits
        expected = (plain + companion(ids, mask)).numpy()
    np.testing.assert_allclose(classifier.logits(classifier.encode([text])), expected, atol=1e-3)
    assert np.abs(expected - plain.numpy()).max() > 0.01
