"""The baseline behind the same face: TF-IDF and logistic regression (scikit-learn), logits out.

It is trained anew in seconds wherever it is needed and never stored: scikit-learn models are pickles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.config import RunConfig
from training.corpus import Example


def _text(example: Example) -> str:
    return example.text if example.pair is None else f"{example.pair} ¶ {example.text}"


class Baseline:
    """One vectoriser, one logistic regression a task; logits are log-probabilities, all tasks side by side."""

    def __init__(self, config: RunConfig, seed: int) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import FeatureUnion

        settings = config.baseline
        self.tasks = config.tasks
        self.features = FeatureUnion(
            [
                ("words", TfidfVectorizer(ngram_range=settings.word_ngrams, sublinear_tf=True, min_df=2)),
                (
                    "chars",
                    TfidfVectorizer(analyzer="char_wb", ngram_range=settings.char_ngrams, sublinear_tf=True, min_df=3),
                ),
            ]
        )
        self.models = {
            task: LogisticRegression(C=settings.c, max_iter=2000, class_weight="balanced", random_state=seed)
            for task in config.tasks
        }

    def fit(self, examples: Sequence[Example]) -> Baseline:
        """Train on the examples that have gold, task by task."""
        features = self.features.fit_transform([_text(example) for example in examples]).tocsr()
        for task, model in self.models.items():
            gold = np.array([example.gold[task] for example in examples])
            model.fit(features[gold >= 0], gold[gold >= 0])
        return self

    def logits(self, examples: Sequence[Example]) -> npt.NDArray[np.float32]:
        """Log-probabilities, shape (n, labels of all tasks); a label that training never showed has −20."""
        features = self.features.transform([_text(example) for example in examples])
        columns = []
        for task, model in self.models.items():
            block = np.full((len(examples), len(self.tasks[task].labels)), -20.0, dtype=np.float32)
            block[:, model.classes_] = np.log(np.maximum(model.predict_proba(features), 1e-9))
            columns.append(block)
        return np.concatenate(columns, axis=1)
