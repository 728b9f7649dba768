"""The classifier: calibrated probabilities, no influence of batch mates, honest truncation."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batches import Batch
from inference.classifier import Classifier, softmax

TEXTS = [
    "Le syndicat des importateurs salue la levée des quotas, qui rendra de l'air à la filière.",
    "Le décret a été publié mardi.",
    "Sans contrôle à la sortie, prévient le rapporteur, ces machines finiront dans des usines d'armement.",
    "Rien ne prouve que l'assouplissement menace la sécurité ; l'agence elle-même n'a relevé aucun détournement depuis "
    "la réouverture du guichet, et deux de ses trois experts recommandent d'élargir la mesure à d'autres composants.",
]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(threads=1)


def test_classifier_gives_probabilities_that_sum_to_one(classifier: Classifier) -> None:
    for prediction in classifier.predict(TEXTS):
        for task in classifier.tasks:
            shares = prediction.probabilities[task.name]
            assert tuple(shares) == task.labels
            assert sum(shares.values()) == pytest.approx(1)
            assert prediction[task.name] == max(shares, key=lambda label: shares[label])
            assert prediction.confidence[task.name] == max(shares.values())
            threshold = classifier.bundle.thresholds[task.name]
            assert prediction.abstained[task.name] == (prediction.confidence[task.name] < threshold)


def test_classifier_scores_a_text_the_same_in_any_company(classifier: Classifier) -> None:
    texts = TEXTS * 9 + ["Un mot.", "« Non »"] + [" ".join(TEXTS)]
    encoded = classifier.encode(texts)
    expected = {text: row.tobytes() for text, row in zip(texts, classifier.logits(encoded), strict=True)}
    for seed in range(3):
        shuffled = random.Random(seed).sample(texts, len(texts))
        for text, row in zip(shuffled, classifier.logits(classifier.encode(shuffled)), strict=True):
            assert row.tobytes() == expected[text], text
    for text in set(texts):
        assert classifier.logits(classifier.encode([text]))[0].tobytes() == expected[text], text


def test_classifier_padding_changes_no_answer(classifier: Classifier) -> None:
    encoded = classifier.encode([TEXTS[0]])
    rows = [classifier.run(encoded, Batch((0,), width))[0] for width in (32, 64, 256)]
    for row in rows[1:]:
        np.testing.assert_allclose(row, rows[0], atol=1e-4)


def test_classifier_says_how_much_it_cut(classifier: Classifier) -> None:
    long = " ".join(TEXTS * 10)
    whole = classifier.count_tokens([long])[0]
    prediction = classifier.predict([long])[0]
    assert prediction.n_tokens == classifier.bundle.max_length
    assert prediction.truncated_tokens == whole - classifier.bundle.max_length > 0


def test_classifier_cuts_the_context_of_a_pair_before_its_text(classifier: Classifier) -> None:
    text, context = TEXTS[3], " ".join(TEXTS * 10)
    (both,) = classifier.encode([text], [context])
    (alone,) = classifier.encode([text])
    assert len(both.ids) == classifier.bundle.max_length
    assert both.ids[-len(alone.ids) + 1 :] == alone.ids[1:]


def test_classifier_remembers_no_more_than_it_says_and_answers_the_same(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = " ".join(TEXTS * 40)
    texts = [*(f"Avis numéro {n}." for n in range(30)), long, *TEXTS, TEXTS[0]]
    counts = classifier.count_tokens(texts)
    expected = [(row.ids, row.truncated) for row in classifier.encode(texts)]
    assert counts == [len(ids) + truncated for ids, truncated in expected]
    monkeypatch.setattr("inference.classifier.REMEMBERED", 5)
    for start in range(0, len(texts), 3):
        found = classifier.encode(texts[start : start + 3])
        assert [(row.ids, row.truncated) for row in found] == expected[start : start + 3]
        assert long not in classifier._recent
        assert len(classifier._recent) <= 5 + 3


def test_classifier_takes_over_tokens_that_another_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = Classifier.load(threads=1), Classifier.load(threads=1)
    texts = ["Le quota est levé.", "Le syndicat dénonce la levée du quota."]
    here.count_tokens(texts)
    there.remember(here.recall([*texts, "jamais lu"]))
    assert there.recall([*texts, "jamais lu"]).keys() == set(texts)

    tokenizer, asked = there._tokenizer, []

    class Watched:
        def encode_batch_fast(self, rows: list[str]) -> list[object]:
            asked.extend(rows)
            return list(tokenizer.encode_batch_fast(rows))

    monkeypatch.setattr(there, "_tokenizer", Watched())
    assert there.predict([*texts, "jamais lu"])[:2] == here.predict(texts)
    assert asked == ["jamais lu"]


def test_classifier_takes_a_list_not_a_string(classifier: Classifier) -> None:
    with pytest.raises(TypeError, match="list of texts"):
        classifier.predict("Une phrase.")


def test_classifier_answers_nothing_for_nothing(classifier: Classifier) -> None:
    assert classifier.predict([]) == []


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=60))
def test_classifier_answers_any_string(classifier: Classifier, text: str) -> None:
    (prediction,) = classifier.predict([text])
    assert all(np.isfinite(list(shares.values())).all() for shares in prediction.probabilities.values())


def test_classifier_softmax_is_cooler_when_hotter() -> None:
    logits = np.array([[2.0, 0.0, -1.0]])
    assert softmax(logits, 1.0)[0].max() > softmax(logits, 2.0)[0].max() > 1 / 3
    assert softmax(logits + 1000, 1.0) == pytest.approx(softmax(logits, 1.0))
