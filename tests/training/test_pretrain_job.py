"""The pre-training command end to end: text in, an encoder out, tracked; stopped and resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.config import ConfigError
from training.pretrain_job import PretrainConfig, pretrain


def config(text: Path, folder: Path, **recipe: object) -> PretrainConfig:
    small = {
        "hidden_size": 32, "layers": 2, "heads": 2, "intermediate_size": 48, "max_position": 64, "length": 24,
        "batch_size": 4, "steps": 8, "warmup_steps": 2, "decay_steps": 2, "log_steps": 1,
    }  # fmt: skip
    return PretrainConfig.model_validate(
        {
            "name": "essai",
            "text": str(text),
            "sources": {"débats": {"files": ["débats.txt"]}, "lois": {"files": ["l*.txt"], "weight": 0.5}},
            "work": str(folder / "work"),
            "output": str(folder / "encoder"),
            "vocabulary": 512,
            "threads": 1,
            "recipe": {**small, **recipe},
            "tracking_uri": f"sqlite:///{folder}/mlflow.db",
        }
    )


def test_pretrain_job_goes_from_text_to_an_encoder_and_resumes(text_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    steps: list[int] = []
    assert not pretrain(config(text_folder, tmp_path, stop_after_minutes=0), lambda step, _: steps.append(step))
    assert max(steps) == 1
    assert pretrain(config(text_folder, tmp_path), lambda step, _: steps.append(step))
    assert sorted(set(steps)) == list(range(1, 9))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "encoder")
    logits = model(**tokenizer("Le port [MASK] la licence.", return_tensors="pt")).logits
    assert logits.shape[-1] == 512
    weights = tmp_path / "encoder" / "model.safetensors"
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert weights.stat().st_size < 2 * parameters + 20_000  # half precision, tied weights once


def test_pretrain_job_names_a_pattern_that_finds_nothing(text_folder: Path, tmp_path: Path) -> None:
    wrong = config(text_folder, tmp_path).model_copy(update={"text": tmp_path})
    with pytest.raises(ConfigError, match="source 'débats': no file"):
        pretrain(wrong)


def test_pretrain_job_goes_on_from_an_encoder_with_its_tokenizer(text_folder: Path, tmp_path: Path) -> None:
    first = config(text_folder, tmp_path / "first")
    assert pretrain(first)
    again = config(text_folder, tmp_path / "again").model_copy(update={"start": first.output})
    nothing = config(text_folder, tmp_path / "nothing").model_copy(update={"init": "random"})
    losses = {}
    for run in (again, nothing):
        logged: list[float] = []
        assert pretrain(run, lambda step, metrics, to=logged: to.append(metrics.get("loss", 0.0)))  # type: ignore[misc]
        losses[run.work] = logged[0]
    assert losses[again.work] < losses[nothing.work]  # same windows and masks: what the first run learnt is there
    assert (again.output / "tokenizer.json").read_bytes() == (first.output / "tokenizer.json").read_bytes()


def test_pretrain_job_refuses_an_encoder_of_another_shape(text_folder: Path, tmp_path: Path) -> None:
    first = config(text_folder, tmp_path / "first")
    pretrain(first)
    wider = config(text_folder, tmp_path / "again", hidden_size=48).model_copy(update={"start": first.output})
    with pytest.raises(ConfigError, match="does not fit the recipe"):
        pretrain(wider)
