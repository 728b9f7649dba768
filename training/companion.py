"""A linear companion of the encoder: logistic regression on hashed pieces and pairs of pieces, added to its logits.

"Wide & deep" (Cheng et al. 2016, arXiv:1606.07792) with the hashed n-grams of fastText (Joulin et al. 2016,
arXiv:1607.01759). A small encoder and a linear model err on different passages, so the sum of their logits is better
than either. The two are fitted apart: trained together, the linear part would learn the training rows by heart. It
lives in the exported graph alone, computed from the same token ids; the checkpoint stays a plain one.

For a row of n pieces x₁ … xₙ the companion adds, a label,

    bias + (Σᵢ w[xᵢ] + Σᵢ w[h(xᵢ, xᵢ₊₁)]) / √n        h(a, b) = V + (1000003 a + 7919 b + 1) mod (B − V)

with V pieces in the vocabulary and B rows in the table w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from inference.classifier import softmax
from training.calibrate import fit_temperature, negative_log_likelihood
from training.config import CompanionConfig, RunConfig, TaskConfig
from training.corpus import Example

Floats = npt.NDArray[np.float32]
#: Rows that are tokenised and hashed together.
CHUNK = 256
#: How much of the companion is added to the encoder's logits; the best on validation is taken, a task at a time.
SHARES = tuple(round(0.1 * step, 1) for step in range(26))


def gram_places(ids: torch.Tensor, vocabulary: int, buckets: int) -> torch.Tensor:
    """Rows of the table for pieces (length L) and then neighbouring pairs (L − 1): (n, L) → (n, 2 L − 1)."""
    pairs = (ids[:, :-1] * 1_000_003 + ids[:, 1:] * 7_919 + 1) % (buckets - vocabulary) + vocabulary
    return torch.cat([ids, pairs], dim=1)


def gram_weights(mask: torch.Tensor) -> torch.Tensor:
    """1 / √n for the pieces and pairs that are there, 0 for padding: (n, L) → (n, 2 L − 1)."""
    there = torch.cat([mask, mask[:, :-1] * mask[:, 1:]], dim=1).float()
    return there / mask.sum(dim=1, keepdim=True).float().sqrt()


class Companion(nn.Module):
    """The fitted table as a module: token ids and mask (n, L) in, logits (n, labels of all tasks) out."""

    table: torch.Tensor
    bias: torch.Tensor

    def __init__(self, table: torch.Tensor, bias: torch.Tensor, vocabulary: int) -> None:
        super().__init__()
        self.register_buffer("table", table)
        self.register_buffer("bias", bias)
        self.vocabulary = vocabulary

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits to be added to the encoder's."""
        places = gram_places(input_ids, self.vocabulary, int(self.table.shape[0]))
        found = nn.functional.embedding(places, self.table.float())
        added: torch.Tensor = (found * gram_weights(attention_mask).unsqueeze(-1)).sum(dim=1) + self.bias.float()
        return added

    def save(self, path: Path) -> None:
        """Write as safetensors, in half precision."""
        vocabulary = torch.tensor(self.vocabulary)
        save_file({"table": self.table.half(), "bias": self.bias.half(), "vocabulary": vocabulary}, str(path))

    @classmethod
    def load(cls, path: Path) -> Companion:
        """Read what :meth:`save` wrote."""
        tensors = load_file(str(path))
        return cls(tensors["table"].float(), tensors["bias"].float(), int(tensors["vocabulary"]))


@dataclass(frozen=True)
class Fit:
    """One task's logistic regression: weights (buckets, labels), bias (labels,)."""

    weights: Floats
    bias: Floats


def gram_matrix(rows: Sequence[Sequence[int]], vocabulary: int, buckets: int) -> Any:
    """The features of token rows as a scipy CSR matrix of shape (rows, buckets), by the code that the graph runs."""
    from scipy.sparse import csr_matrix, vstack

    parts = []
    for start in range(0, len(rows), CHUNK):
        chunk = [torch.tensor(row) for row in rows[start : start + CHUNK]]
        ids = nn.utils.rnn.pad_sequence(chunk, batch_first=True)
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in chunk], batch_first=True)
        places, weights = gram_places(ids, vocabulary, buckets), gram_weights(mask)
        number = torch.arange(len(chunk)).unsqueeze(1).expand_as(places)
        there = weights > 0
        content = (weights[there].numpy(), (number[there].numpy(), places[there].numpy()))
        parts.append(csr_matrix(content, shape=(len(chunk), buckets)))
    return vstack(parts).tocsr()


def fit_task(features: Any, gold: npt.NDArray[np.int64], labels: int, settings: CompanionConfig) -> Fit:
    """Multinomial logistic regression on features weighted by inverse document frequency; rare ones are left out."""
    from scipy.sparse import diags
    from sklearn.linear_model import LogisticRegression

    known = features[gold >= 0]
    seen = np.asarray((known > 0).sum(axis=0)).ravel()
    idf = np.where(seen >= settings.min_rows, np.log((1 + known.shape[0]) / (1 + seen)) + 1, 0.0)
    scaled = known @ diags(idf)
    # Rows of length 1 on average, so that c means the same whatever the length of the passages.
    scale = 1 / np.sqrt(scaled.multiply(scaled).sum(axis=1).mean())
    model = LogisticRegression(C=settings.c, max_iter=1000).fit(scaled * scale, gold[gold >= 0])
    weights, bias = np.zeros((features.shape[1], labels), np.float32), np.full(labels, -20.0, np.float32)
    if len(model.classes_) == 2:  # scikit-learn gives one column for two classes
        columns, offsets = np.concatenate([-model.coef_, model.coef_]) / 2, np.array([-1, 1]) * model.intercept_ / 2
    else:
        columns, offsets = model.coef_, model.intercept_
    weights[:, model.classes_] = (columns * (idf * scale)).T
    bias[model.classes_] = offsets
    return Fit(weights, bias)


def choose_share(deep: Floats, wide: Floats, gold: npt.NDArray[np.int64]) -> float:
    """The share of the companion with the smallest negative log-likelihood on held-out rows, each at its temperature.

    ``deep`` and ``wide`` are logits of shape (rows, labels) of one task; rows with gold −1 have no say.
    """
    known = gold >= 0

    def loss(share: float) -> float:
        logits = (deep + share * wide)[known].astype(np.float64)
        answers = softmax(logits, fit_temperature(logits, gold[known]))
        return float(negative_log_likelihood(answers, gold[known]).mean())

    return min(SHARES, key=loss)


def fit_companion(
    tasks: dict[str, TaskConfig],
    settings: CompanionConfig,
    train: tuple[Sequence[Sequence[int]], dict[str, npt.NDArray[np.int64]]],
    held_out: tuple[Sequence[Sequence[int]], dict[str, npt.NDArray[np.int64]], Floats],
    vocabulary: int,
) -> tuple[Companion, dict[str, float]]:
    """Fit every task on ``train`` (token rows, gold by task) and weigh it against the encoder on ``held_out``.

    ``held_out`` is token rows, gold by task and the encoder's logits (rows, labels of all tasks). Returns the
    companion and the share that each task got.
    """
    features = gram_matrix(train[0], vocabulary, settings.buckets)
    rows, gold, logits = held_out
    held = gram_matrix(rows, vocabulary, settings.buckets)
    tables, biases, shares, start = [], [], {}, 0
    for name, task in tasks.items():
        fit = fit_task(features, train[1][name], len(task.labels), settings)
        deep = logits[:, start : start + len(task.labels)]
        start += len(task.labels)
        shares[name] = choose_share(deep, held @ fit.weights + fit.bias, gold[name])
        tables.append(shares[name] * fit.weights)
        biases.append(shares[name] * fit.bias)
    table, bias = torch.from_numpy(np.concatenate(tables, axis=1)), torch.from_numpy(np.concatenate(biases))
    # Rounded here as it is stored, so that the graph and the file hold the same numbers.
    return Companion(table.half().float(), bias.half().float(), vocabulary), shares


def fit_beside(
    config: RunConfig, checkpoint: Path, train: Sequence[Example], validation: Sequence[Example], folder: Path
) -> dict[str, float]:
    """Fit the companion of a fine-tuned ``checkpoint`` and write ``companion.safetensors`` into ``folder``.

    Returns the share that each task got, which is written beside it as well.
    """
    import json

    from training.export import open_checkpoint
    from training.finetune import Collate, EncodedRows, open_tokenizer

    settings = config.model.companion
    assert settings is not None
    model, tokenizer, tasks = open_checkpoint(checkpoint), open_tokenizer(str(checkpoint)), list(config.tasks)
    encoded = [EncodedRows(rows, tokenizer, tasks, config.model.max_length).rows for rows in (train, validation)]
    pieces = [[row["input_ids"] for row in rows] for rows in encoded]
    gold = [{task: np.array([row.gold[task] for row in rows]) for task in tasks} for rows in (train, validation)]
    collate, logits = Collate(tokenizer), []
    with torch.no_grad():
        for start in range(0, len(encoded[1]), CHUNK):
            batch = collate(encoded[1][start : start + CHUNK])
            answer = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            logits.append(answer.numpy())
    vocabulary = int(model.config.vocab_size)
    held_out = (pieces[1], gold[1], np.concatenate(logits))
    companion, shares = fit_companion(config.tasks, settings, (pieces[0], gold[0]), held_out, vocabulary)
    companion.save(folder / "companion.safetensors")
    (folder / "shares.json").write_text(json.dumps(shares), encoding="utf-8")
    return shares
