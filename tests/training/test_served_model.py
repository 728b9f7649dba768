"""The served model's answers for rows with and without a pair."""

from __future__ import annotations

import pandas as pd
import pytest

from inference.classifier import Classifier
from training.served_model import ServedClassifier

TEXTS = ["Le quota est levé.", "Le contrôle est maintenu.", "Un wagon est arrivé."]


@pytest.fixture(scope="module")
def served() -> ServedClassifier:
    model = ServedClassifier()
    model.classifier = Classifier.load(threads=1)
    return model


def test_served_model_scores_texts_without_a_pair_alone(served: ServedClassifier) -> None:
    plain = served.predict(None, pd.DataFrame({"text": TEXTS}))
    nulls = served.predict(None, pd.DataFrame({"text": TEXTS, "pair": [None, float("nan"), None]}))
    pd.testing.assert_frame_equal(plain, nulls)


def test_served_model_answers_do_not_depend_on_the_other_rows(served: ServedClassifier) -> None:
    frame = pd.DataFrame({"text": TEXTS, "pair": ["Que dit le syndicat ?", None, ""]})
    together = served.predict(None, frame)
    alone = pd.concat([served.predict(None, frame.iloc[[row]]) for row in range(3)], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone)
    assert together["n_tokens"][0] > served.predict(None, frame[["text"]])["n_tokens"][0]
