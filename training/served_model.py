"""The registered model as MLflow serves it. MLflow copies this file into the model and runs it; nobody imports it.

Needs what scoring needs and nothing else: the package ``inference`` travels beside it, as it was when the model was
evaluated, so that a server needs neither this project installed nor a package index.
"""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel

from inference.classifier import Classifier, Prediction


class ServedClassifier(PythonModel):
    """Texts in (column ``text``, optionally ``pair``, the text that goes before it); one row of answers a text out."""

    def load_context(self, context: Any) -> None:
        """Open the model folder, which checks its digests."""
        self.classifier = Classifier.load(context.artifacts["bundle"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Label and probabilities of each task, then what ``penchant score`` writes of a passage, under the same names.

        Raises MlflowException (a server answers 400) where a text is missing or empty.
        """
        texts = [text if isinstance(text, str) else "" for text in model_input["text"]]
        empty = [row for row, text in enumerate(texts) if not text.strip()]
        if empty:
            raise MlflowException.invalid_parameter_value(f"the text of row {empty[0]} is empty; remove the row")
        first = self.classifier.tasks[0].name
        rows = []
        for answer in self._answers(texts, list(model_input.get("pair", [None] * len(texts)))):
            row: dict[str, Any] = dict(answer.labels)
            for task in self.classifier.tasks:
                row |= {task.column(label): answer.probabilities[task.name][label] for label in task.labels}
            row |= {"confidence": answer.confidence[first], "abstained": answer.abstained[first]}
            rows.append({**row, "n_tokens": answer.n_tokens, "truncated_tokens": answer.truncated_tokens})
        return pd.DataFrame(rows)

    def _answers(self, texts: list[str], pairs: list[Any]) -> list[Prediction]:
        """Texts without a pair are scored alone; MLflow fills the column with nulls where Spark gives none."""
        answers: dict[int, Prediction] = {}
        alone = [row for row, pair in enumerate(pairs) if not isinstance(pair, str)]
        paired = [row for row, pair in enumerate(pairs) if isinstance(pair, str)]
        if alone:
            answers |= zip(alone, self.classifier.predict([texts[row] for row in alone]), strict=True)
        if paired:
            together = self.classifier.predict([texts[row] for row in paired], [pairs[row] for row in paired])
            answers |= zip(paired, together, strict=True)
        return [answers[row] for row in range(len(texts))]


mlflow.models.set_model(ServedClassifier())
