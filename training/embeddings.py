"""Starting embeddings from co-occurrence: positive pointwise mutual information, factorised (Levy et al. 2015).

A pass of counting costs minutes where a transformer needs hours to learn which pieces keep the same company.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]


def count_pairs(streams: Iterable[tuple[npt.NDArray[np.uint16], float]], vocabulary: int, window: int) -> Matrix:
    """Symmetric co-occurrence counts within ``window`` tokens, nearer pairs weighing more; (vocabulary, vocabulary).

    ``streams`` are pairs of (tokens, weight). Memory: three times 4 × vocabulary² bytes.
    """
    counts = np.zeros(vocabulary * vocabulary, dtype=np.float32)
    for tokens, weight in streams:
        for start in range(0, len(tokens), 20_000_000):
            ids = np.asarray(tokens[start : start + 20_000_000], dtype=np.int64)
            for distance in range(1, window + 1):
                pairs = np.bincount(ids[:-distance] * vocabulary + ids[distance:], minlength=counts.size)
                counts += pairs.astype(np.float32) * np.float32(weight * (1 - (distance - 1) / window))
    square = counts.reshape(vocabulary, vocabulary)
    return square + square.T


def ppmi_embeddings(counts: Matrix, width: int, deviation: float = 0.02, seed: int = 0) -> Matrix:
    """Embeddings of shape (vocabulary, width) with standard deviation ``deviation`` from co-occurrence counts.

    PPMI with context smoothing 0.75 (Levy et al. 2015, eq. 4), truncated SVD, left vectors × √ singular values.
    """
    from sklearn.utils.extmath import randomized_svd

    rows = counts.sum(1)
    columns = rows**0.75
    columns /= columns.sum()
    ppmi = np.zeros_like(counts)
    for start in range(0, len(counts), 1024):  # by blocks: no second full-size temporary
        part = slice(start, start + 1024)
        expected = rows[part, None] * columns[None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            ppmi[part] = np.log(counts[part] / expected)
    np.nan_to_num(ppmi, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    np.maximum(ppmi, 0.0, out=ppmi)
    left, values, _ = randomized_svd(ppmi, n_components=width, n_iter=2, random_state=seed)
    embeddings: Matrix = (left * np.sqrt(values)).astype(np.float32)
    embeddings -= embeddings.mean(0)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    typical = np.median(lengths[lengths > 0])
    # Rare pieces come out near zero: give every row a usable length, keep its direction.
    embeddings *= np.clip(lengths, 0.5 * typical, 2.0 * typical) / np.maximum(lengths, 1e-9)
    unseen = lengths[:, 0] < 1e-6
    embeddings[unseen] = np.random.default_rng(seed).normal(0, typical / np.sqrt(width), (int(unseen.sum()), width))
    return embeddings * np.float32(deviation / embeddings.std())
