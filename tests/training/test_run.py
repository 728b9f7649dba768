"""A whole retraining run in small: learns, calibrates, exports, registers, refuses and promotes; the same twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from inference.classifier import Classifier
from tests.training.learnable_corpus import corpus_rows, write_corpus
from training.config import RunConfig, load_run_config
from training.corpus import CorpusError
from training.export import ExportError, export_checked
from training.run import run
from training.text import save_tokenizer

TASKS = {
    "stance": {
        "labels": ["pro-easing", "neutral", "pro-restriction"],
        "plus": "pro-easing",
        "minus": "pro-restriction",
    },
    "sentiment": {"labels": ["negative", "neutral", "positive"], "plus": "positive", "minus": "negative"},
}


def settings(folder: Path, encoder: Path | None, rows: list[dict[str, Any]], **changes: Any) -> RunConfig:
    folder.mkdir(parents=True, exist_ok=True)
    path = write_corpus(folder / "corpus.jsonl", rows)
    content: dict[str, Any] = {
        "name": "essai",
        "work": str(folder / "runs"),
        "threads": 1,
        "tasks": TASKS,
        "data": {"path": str(path), "split": {"tests": ["unseen", "seen", "contrast"]}},
        "model": {"encoder": str(encoder), "max_length": 48} if encoder else {"kind": "tfidf"},
        "registry": {"tracking_uri": f"sqlite:///{folder}/mlflow.db", "register_model": False},
        "gate": {"resamples": 200},
    }
    if encoder:
        content["train"] = {"epochs": 6, "batch_size": 16, "learning_rate": 3e-3, "dropout": 0.0, "bf16": False}
    return RunConfig.model_validate({**content, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_encoder: Path) -> tuple[RunConfig, Any]:
    config = settings(tmp_path_factory.mktemp("run"), small_encoder, corpus_rows())
    return config, run(config, lambda line: None)


def test_run_learns_what_can_be_learnt(finished: tuple[RunConfig, Any]) -> None:
    tasks = finished[1].report["splits"]["unseen"]["tasks"]
    assert tasks["stance"]["macro_f1"]["value"] > 0.8
    assert tasks["sentiment"]["macro_f1"]["value"] > 0.8


def test_run_makes_a_folder_that_scores_and_describes_itself(finished: tuple[RunConfig, Any]) -> None:
    _, result = finished
    classifier = Classifier.load(result.bundle)
    assert [task.name for task in classifier.tasks] == ["stance", "sentiment"]
    prediction = classifier.predict(["Le syndicat dénonce l'embargo avec colère."])[0]
    assert (prediction["stance"], prediction["sentiment"]) == ("pro-easing", "negative")
    facts = classifier.bundle.facts
    assert facts["corpus"]["rows"]["train"] == sum(row["split"] == "train" for row in corpus_rows())
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    assert f"{facts['tests']['unseen']['stance']['macro_f1']['value']:.3f}" in card
    assert "LABEL_0" not in (result.bundle / "config.json").read_text(encoding="utf-8")


def test_run_checkpoint_opens_in_plain_transformers_and_agrees(finished: tuple[RunConfig, Any]) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    config, result = finished
    checkpoint = config.work / config.name / f"train-{config.seeds[0]}" / "checkpoint"
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32).eval()
    text = "La filière réclame les quotas mardi."
    with torch.no_grad():
        expected = model(**AutoTokenizer.from_pretrained(checkpoint)(text, return_tensors="pt")).logits.numpy()
    classifier = Classifier.load(result.bundle)
    np.testing.assert_allclose(classifier.logits(classifier.encode([text])), expected, atol=1e-3)
    assert model.config.id2label[0] == "stance=pro-easing"


def test_run_again_keeps_unchanged_steps(finished: tuple[RunConfig, Any]) -> None:
    said: list[str] = []
    again = run(finished[0], said.append)
    assert "train-11: unchanged, kept" in said
    assert json.dumps(again.report) == json.dumps(finished[1].report)


def test_run_from_the_same_configuration_gives_the_same_digits(
    finished: tuple[RunConfig, Any], small_encoder: Path, tmp_path: Path
) -> None:
    config = settings(tmp_path, small_encoder, corpus_rows())
    assert json.dumps(run(config, lambda line: None).report) == json.dumps(finished[1].report)


def test_run_of_the_baseline_goes_the_same_way(tmp_path: Path) -> None:
    result = run(settings(tmp_path, None, corpus_rows()), lambda line: None)
    assert result.bundle is None
    assert result.report["splits"]["seen"]["tasks"]["stance"]["macro_f1"]["value"] > 0.8


def test_run_stops_at_a_corpus_that_fails_its_check(tmp_path: Path, small_encoder: Path) -> None:
    rows = corpus_rows()
    rows[0]["text"] = next(row["text"] for row in rows if row["split"] == "unseen")
    config = settings(tmp_path, small_encoder, rows)
    with pytest.raises(CorpusError):
        run(config, lambda line: None)
    assert not config.work.exists()


def test_run_refuses_a_graph_that_does_not_agree(finished: tuple[RunConfig, Any], tmp_path: Path) -> None:
    config = finished[0]
    checkpoint = config.work / config.name / f"train-{config.seeds[0]}" / "checkpoint"
    with pytest.raises(ExportError, match="differs from it"):
        export_checked(checkpoint, tmp_path / "model.onnx", 1e-12, 48)
    assert not (tmp_path / "model.onnx").exists()


def test_run_registers_refuses_spoiled_labels_and_keeps_the_champion(small_encoder: Path, tmp_path: Path) -> None:
    from training import promotion

    registry = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db", "model": "essai"}
    good = run(settings(tmp_path / "good", small_encoder, corpus_rows(), registry=registry), lambda line: None)
    assert good.decision is not None
    assert good.decision.promote, good.decision.to_text()
    rows = corpus_rows()
    for row in rows:
        if row["split"] == "train":
            row["stance"] = {"pro-easing": "pro-restriction", "pro-restriction": "pro-easing"}.get(
                row["stance"], "neutral"
            )
    bad = run(settings(tmp_path / "bad", small_encoder, rows, registry=registry), lambda line: None)
    assert bad.decision is not None
    assert not bad.decision.promote
    champion = promotion.champion("essai")
    assert champion is not None
    assert champion.number == 1


def test_run_trains_a_pair_of_texts_with_two_labels(small_encoder: Path, tmp_path: Path) -> None:
    rows = [
        {
            **row,
            "text": row["text"].split(" à la ")[0],
            "target": f"Réunion {row['id']}",
            "label": "oui" if n % 2 else "non",
        }
        for n, row in enumerate(corpus_rows(150))
    ]
    for row in rows:
        row["text"] += f" Dossier {row['id']} : " + ("approuvé." if row["label"] == "oui" else "rejeté.")
    data = {"path": str(write_corpus(tmp_path / "pairs.jsonl", rows)), "columns": {"pair": "target"}}
    data["split"] = {"tests": ["seen"]}  # type: ignore[assignment]  # a plain dictionary of YAML values
    config = settings(
        tmp_path,
        small_encoder,
        rows,
        data=data,
        tasks={"accord": {"column": "label", "labels": ["non", "oui"]}},
        gate={"main_split": "seen", "main_task": "accord"},
    )
    result = run(config, lambda line: None)
    classifier = Classifier.load(result.bundle)
    prediction = classifier.predict(["L'agence étudie la licence. Dossier r1 : approuvé."], ["Réunion r1"])[0]
    assert set(prediction.probabilities["accord"]) == {"non", "oui"}
    assert classifier.bundle.axes == {}


def test_run_stripped_encoder_opens_and_starts_another_run(finished: tuple[RunConfig, Any], tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    from training.encoder_folder import write_encoder

    config = finished[0]
    checkpoint = config.work / config.name / f"train-{config.seeds[0]}" / "checkpoint"
    write_encoder(checkpoint, tmp_path / "encoder")
    encoder = AutoModel.from_pretrained(tmp_path / "encoder")
    assert "classifier" not in " ".join(name for name, _ in encoder.named_parameters())
    assert AutoTokenizer.from_pretrained(tmp_path / "encoder").mask_token == "[MASK]"
    rows = corpus_rows(200)
    train = {"epochs": 1, "batch_size": 16, "hidden_words": 0.2, "bf16": False}
    result = run(settings(tmp_path, tmp_path / "encoder", rows, train=train), lambda line: None)
    assert result.report["splits"]["seen"]["tasks"]["stance"]["n"] > 0


@pytest.fixture(scope="module")
def roberta(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa, which CamemBERT is, of two thin layers: what the hub would send, made here."""
    from transformers import RobertaConfig, RobertaModel, set_seed

    folder = tmp_path_factory.mktemp("roberta")
    set_seed(0)
    RobertaModel(
        RobertaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=80,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
        )
    ).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, 64)
    return folder


def test_run_of_the_hub_configuration_with_an_encoder_of_its_architecture(roberta: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    corpus = write_corpus(tmp_path / "corpus.jsonl", corpus_rows())
    overrides = {
        "model.encoder": roberta,
        "model.max_length": 48,
        "data.path": corpus,
        "work": tmp_path / "runs",
        "threads": 1,
        "train.learning_rate": 0.001,
        "train.epochs": 1,
        "train.bf16": "false",
        "registry.tracking_uri": f"sqlite:///{tmp_path}/mlflow.db",
        "registry.register_model": "false",
    }
    path = Path(__file__).parents[2] / "configs" / "train" / "camembert.yaml"
    config = load_run_config(path, [f"{key}={value}" for key, value in overrides.items()])
    assert load_run_config(path).model.encoder == "almanach/camembertv2-base"
    result = run(config, lambda line: None)
    parity = json.loads((config.work / "camembert" / "export-11" / "parity.json").read_text(encoding="utf-8"))
    assert parity["max_difference"] < 1e-3 < parity["logit_spread"]
    checkpoint = config.work / "camembert" / "train-11" / "checkpoint"
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32).eval()
    assert model.config.model_type == "roberta"
    text = "La filière réclame les quotas mardi."
    with torch.no_grad():
        expected = model(**AutoTokenizer.from_pretrained(checkpoint)(text, return_tensors="pt")).logits.numpy()
    classifier = Classifier.load(result.bundle)
    np.testing.assert_allclose(classifier.logits(classifier.encode([text, text * 4]))[:1], expected, atol=1e-3)
