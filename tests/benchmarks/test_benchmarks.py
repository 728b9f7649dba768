"""The benchmarks run, on tiny input, and print their ratios; what they measure is never tested."""

import re
from pathlib import Path

import pytest

from benchmarks import cold_start, memory, pipeline, sample, whole_job, workers

TINY = ["--passages", "12", "--rounds", "1"]


def ratios(printed: str) -> list[float]:
    return [float(value) for value in re.findall(r"^ratio .*?(\d+\.\d+)   \(goal", printed, re.MULTILINE)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model with the shipped tokenizer; a benchmark asks for weights, not for answers."""
    import shutil

    from transformers import BertConfig, BertForSequenceClassification

    from inference.classifier import SHIPPED

    folder = tmp_path_factory.mktemp("checkpoint")
    config = BertConfig(
        vocab_size=40_000, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(SHIPPED / name, folder / name)
    return folder


def test_sample_gives_no_passage_twice() -> None:
    texts = sample.passages(1600)
    assert len(set(texts)) == len(texts) == 1600


def test_sample_counts_the_best_run_of_each_side() -> None:
    runs: list[str] = []
    seconds = sample.best_seconds({"a": lambda: runs.append("a"), "b": lambda: runs.append("b")}, 2, "cpu")
    assert runs == ["a", "b", "a", "b"]
    assert set(seconds) == {"a", "b"}


def test_pipeline_prints_its_ratios(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.main([*TINY, "--checkpoint", str(checkpoint), "--batches", "4"])
    assert len(ratios(capsys.readouterr().out)) == 5


def test_whole_job_prints_its_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    whole_job.main(TINY)
    assert len(ratios(capsys.readouterr().out)) == 2


def test_workers_prints_its_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    workers.main([*TINY, "--part", "4"])
    assert len(ratios(capsys.readouterr().out)) == 2


def test_memory_prints_its_ratio_and_both_curves(capsys: pytest.CaptureFixture[str]) -> None:
    memory.main(["--passages", "20", "--few", "10"])
    printed = capsys.readouterr().out
    assert len(ratios(printed)) == 1
    assert "20 passages: peak" in printed
    assert "10 passages: peak" in printed


def test_cold_start_prints_its_ratios(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cold_start.main(["--rounds", "1", "--checkpoint", str(checkpoint)])
    assert len(ratios(capsys.readouterr().out)) == 2
