"""What the shipped model does: its card's figures are what it scores, and what should not matter does not."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from inference.classifier import SHIPPED, Classifier
from inference.precision import has_dot_products

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "training" / "corpus"


def rows(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CORPUS / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(precision="fp32")  # what the card's figures were measured with


@pytest.fixture(scope="module")
def predicted(classifier: Classifier) -> dict[str, list[dict[str, str]]]:
    splits = ("unseen", "contrast")
    texts = {split: [row["text"] for row in rows(split)] for split in splits}
    return {split: [prediction.labels for prediction in classifier.predict(texts[split])] for split in splits}


@pytest.mark.parametrize("split", ["unseen", "contrast"])
@pytest.mark.parametrize("task", ["stance", "sentiment"])
def test_model_scores_what_its_card_says(
    classifier: Classifier, predicted: dict[str, list[dict[str, str]]], split: str, task: str
) -> None:
    gold = [row[task] for row in rows(split)]
    found = f1_score(gold, [labels[task] for labels in predicted[split]], average="macro")
    stated = classifier.bundle.facts["tests"][split][task]["macro_f1"]["value"]
    assert found == pytest.approx(stated, abs=0.003)  # another processor may move a row or two
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert f"| {split} | {task} | {len(gold)} | {stated:.3f} " in card


@pytest.mark.skipif(not has_dot_products(), reason="this processor runs the fp32 graph")
def test_model_in_int8_gives_the_same_labels(predicted: dict[str, list[dict[str, str]]]) -> None:
    small = Classifier.load()
    assert small.bundle.precision == "int8"
    same: dict[str, list[bool]] = {"stance": [], "sentiment": []}
    for split, expected in predicted.items():
        for labels, prediction in zip(expected, small.predict([row["text"] for row in rows(split)]), strict=True):
            for task, values in same.items():
                values.append(labels[task] == prediction.labels[task])
    for task, values in same.items():
        assert np.mean(values) >= 0.99, task  # the gate asked for 0.995 on all tests together


def test_model_beats_the_most_frequent_label_in_every_topic(predicted: dict[str, list[dict[str, str]]]) -> None:
    right: dict[str, list[bool]] = {}
    gold: dict[str, list[str]] = {}
    for row, labels in zip(rows("unseen"), predicted["unseen"], strict=True):
        right.setdefault(row["topic"], []).append(labels["stance"] == row["stance"])
        gold.setdefault(row["topic"], []).append(row["stance"])
    for topic, values in right.items():
        most = max(gold[topic].count(label) for label in set(gold[topic])) / len(values)
        assert np.mean(values) > most + 0.1, topic


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx"])
def test_model_tells_nothing_of_the_machine_that_exported_it(name: str) -> None:
    graph = (SHIPPED / name).read_bytes()
    assert b"site-packages" not in graph
    assert b"export.py" not in graph


EASINGS = (
    "la levée de l'embargo sur les armes",
    "l'assouplissement des contrôles à l'exportation de puces",
    "la suspension des sanctions contre l'Iran",
    "la baisse des droits de douane sur l'acier",
    "l'autorisation de vendre ces machines à la Chine",
    "la réouverture du marché aux viandes brésiliennes",
    "la fin du moratoire sur les ventes de drones",
    "l'abandon du projet de taxe sur les petits colis",
)
RESTRICTIONS = (
    "l'embargo sur les armes",
    "le durcissement des contrôles à l'exportation de puces",
    "les nouvelles sanctions contre l'Iran",
    "la hausse des droits de douane sur l'acier",
    "l'interdiction de vendre ces machines à la Chine",
    "la fermeture du marché aux viandes brésiliennes",
    "la prolongation du moratoire sur les ventes de drones",
    "l'adoption de la taxe sur les petits colis",
)
PRAISE = (
    "Le syndicat salue {}.",
    "L'association approuve {}, qu'elle juge nécessaire.",
    "Selon cet ancien ministre, {} est une bonne décision.",
    "Personne ne conteste {}, qui a porté ses fruits.",
)
BLAME = (
    "Le syndicat dénonce {}.",
    "La fédération critique vivement {}.",
    "Selon cet ancien ministre, {} est une grave erreur.",
    "Rien ne justifie {}, estime la fédération.",
)


@pytest.mark.parametrize("judgements", [PRAISE, BLAME], ids=["praise", "blame"])
@pytest.mark.parametrize("measures", [EASINGS, RESTRICTIONS], ids=["easing", "restriction"])
def test_model_multiplies_direction_and_judgement_in_plain_sentences(
    classifier: Classifier, measures: tuple[str, ...], judgements: tuple[str, ...]
) -> None:
    texts = [judgement.format(measure) for judgement in judgements for measure in measures]
    expected = "pro-easing" if (measures is EASINGS) == (judgements is PRAISE) else "pro-restriction"
    found = [prediction["stance"] for prediction in classifier.predict(texts)]
    # Each corner by itself: a model that goes by the measure alone, or by the verb alone, fails two of the four.
    assert np.mean([label == expected for label in found]) >= 0.75


CHANGES = {
    "curly apostrophes": lambda text: text.replace("'", "’"),
    "unbreakable spaces": lambda text: re.sub(r" ([;:!?»])", "\u00a0\\1", text).replace("« ", "«\u00a0"),
    "decomposed accents": lambda text: unicodedata.normalize("NFD", text),
    "line ends": lambda text: text.replace(" ", "\n", 1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_model_answers_the_same_whatever_the_typography(classifier: Classifier, name: str) -> None:
    texts = [row["text"] for row in rows("seen")[:60]]
    encoded = classifier.encode(texts), classifier.encode([CHANGES[name](text) for text in texts])
    np.testing.assert_allclose(classifier.logits(encoded[0]), classifier.logits(encoded[1]), atol=1e-4)


def test_model_knows_which_test_topics_it_has_not_seen() -> None:
    trained = {row["topic"] for split in ("train", "validation") for row in rows(split)}
    assert not trained & {row["topic"] for row in rows("unseen")}
    assert len({row["topic"] for row in rows("unseen")}) >= 4
