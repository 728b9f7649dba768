"""The pre-training loop: masks, schedule, exact resume after a kill, a standard checkpoint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from training.masking import IGNORED, mask_words
from training.pretrain import Pretraining, Recipe, learning_rate, mask_rate
from training.text import Shard
from training.windows import Windows

SMALL = Recipe(
    hidden_size=32, layers=2, heads=2, intermediate_size=48, max_position=64, length=24, batch_size=4, steps=12,
    warmup_steps=2, decay_steps=4, log_steps=1, checkpoint_minutes=60, lr_matrices=5e-3, lr_others=5e-3,
)  # fmt: skip


def start(recipe: Recipe, tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], folder: Path) -> Pretraining:
    places = [(shard.source, shards[0] / shard.file, shard.weight) for shard in shards[1]]
    return Pretraining(recipe, tokenizer, Windows(places, recipe.length, 2, recipe.seed), folder)


def test_pretrain_masks_whole_words_and_labels_only_what_it_hid() -> None:
    ids = torch.randint(5, 90, (8, 40), generator=torch.Generator().manual_seed(1))
    starts = torch.zeros(100, dtype=torch.bool)
    starts[50:] = True
    specials = torch.zeros(100, dtype=torch.bool)
    specials[:5] = True
    hidden, labels = mask_words(ids, starts, specials, 0.4, 4, torch.Generator().manual_seed(2))
    chosen = labels != IGNORED
    assert 0.25 < chosen.float().mean() < 0.55
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(hidden[~chosen], ids[~chosen])
    assert 0.7 < (hidden[chosen] == 4).float().mean() < 0.9
    continued = ~starts[ids][:, 1:]  # a piece that goes on a word shares the fate of the piece before it
    assert torch.equal(chosen[:, 1:][continued], chosen[:, :-1][continued])


def test_pretrain_schedule_warms_up_stays_and_decays_to_nothing() -> None:
    rates = [learning_rate(SMALL, step) for step in range(SMALL.steps + 1)]
    assert rates[0] == 0.5
    assert set(rates[1:9]) == {1.0}
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == 0
    assert (mask_rate(SMALL, 0), mask_rate(SMALL, SMALL.steps)) == (SMALL.mask_rate, pytest.approx(SMALL.mask_rate_end))


def test_pretrain_resumes_to_the_very_same_weights(
    tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], tmp_path: Path
) -> None:
    whole: list[float] = []
    run = start(SMALL, tokenizer, shards, tmp_path / "whole")
    assert run.run(lambda step, metrics: whole.append(metrics["loss"]) if "loss" in metrics else None)
    parts: list[float] = []
    first = start(replace(SMALL, stop_after_minutes=0), tokenizer, shards, tmp_path / "parts")
    while not first.run(lambda step, metrics: parts.append(metrics["loss"]) if "loss" in metrics else None):
        first = start(replace(SMALL, stop_after_minutes=0), tokenizer, shards, tmp_path / "parts")
    assert parts == whole
    assert whole[-1] < whole[0]
    for (name, one), (_, other) in zip(run.model.named_parameters(), first.model.named_parameters(), strict=True):
        assert torch.equal(one, other), name


KILLED = """
import sys
from pathlib import Path
from tokenizers import Tokenizer
from training.pretrain import Pretraining, Recipe
from training.windows import Windows
import json
folder, shards = Path(sys.argv[1]), Path(sys.argv[2])
recipe = Recipe(**json.loads(sys.argv[3]))
listed = json.loads((shards / "shards.json").read_text())
windows = Windows([(s["source"], shards / s["file"], s["weight"]) for s in listed], recipe.length, 2, recipe.seed)
run = Pretraining(recipe, Tokenizer.from_file(sys.argv[4]), windows, folder)
run.run(lambda step, metrics: print(step, metrics.get("loss"), flush=True))
run.checkpoint()
"""


def test_pretrain_survives_kill_nine(tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], tmp_path: Path) -> None:
    from dataclasses import asdict

    recipe = {**asdict(SMALL), "steps": 60, "checkpoint_minutes": 0.0, "stop_after_minutes": 10}
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(shards[0]), json.dumps(recipe)]
    command.append(str(tmp_path / "tokenizer.json"))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("9 "):
            break
    time.sleep(0.05)  # somewhere inside a step or a checkpoint
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    resumed_at = int(done.stdout.split()[0])
    assert resumed_at > 5
    command[3] = str(tmp_path / "whole")
    subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[2])
    one, other = ((tmp_path / name / "state" / "weights.safetensors").read_bytes() for name in ("killed", "whole"))
    assert one == other


def test_pretrain_exports_what_plain_transformers_opens(
    tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], tmp_path: Path
) -> None:
    from transformers import AutoModel, AutoModelForMaskedLM

    from training.text import save_tokenizer

    run = start(replace(SMALL, steps=1, decay_steps=0), tokenizer, shards, tmp_path)
    run.run(lambda step, metrics: None)
    run.export(tmp_path / "encoder")
    save_tokenizer(tokenizer, tmp_path / "encoder", 64)
    assert AutoModel.from_pretrained(tmp_path / "encoder").config.hidden_size == 32
    opened = AutoModelForMaskedLM.from_pretrained(tmp_path / "encoder", dtype=torch.float32)
    for (name, one), (_, other) in zip(opened.named_parameters(), run.model.named_parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-3), name
