"""The accelerator's script on a CPU with a tiny shape: carried, measured, run, stopped, resumed, joined."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from training.accelerator import LONG, SHAPES, fastest, flop_per_token, main, of_batch, overridden
from training.masking import IGNORED
from training.pretrain import Pretraining, Recipe, build_model
from training.text import Shard
from training.timed import ResidentWindows, TimedPretraining, Timing, hidden_places, masked_loss
from training.travel import pack
from training.windows import Windows

ROOT = Path(__file__).parents[2]
SMALL = Recipe(
    hidden_size=32, layers=2, heads=2, intermediate_size=48, max_position=64, length=24, batch_size=4, steps=10**9,
    warmup_steps=2, log_steps=1, checkpoint_minutes=60, lr_matrices=5e-3, lr_others=5e-3,
)  # fmt: skip
TINY = (
    "hidden_size=32", "layers=2", "heads=2", "intermediate_size=48", "max_position=64", "length=24", "batch_size=4",
    "warmup_steps=2", "log_steps=1",
)  # fmt: skip


def settings(*more: str) -> list[str]:
    return [word for setting in (*TINY, *more) for word in ("--set", setting)]


def places(shards: tuple[Path, list[Shard]]) -> list[tuple[str, Path, float]]:
    return [(shard.source, shards[0] / shard.file, shard.weight) for shard in shards[1]]


def timed(
    timing: Timing, tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], folder: Path, **more: Path
) -> TimedPretraining:
    windows = Windows(places(shards), SMALL.length, 2, SMALL.seed)
    return TimedPretraining(SMALL, timing, tokenizer, windows, folder / "work", folder / "home", **more)


def journal(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def carried(tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], tmp_path: Path) -> Path:
    """The bundle as it travels."""
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    pack(shards[0], tmp_path / "tokenizer.json", tmp_path / "pieces", 4_000)
    return tmp_path / "pieces"


def test_accelerator_goes_from_pieces_to_an_encoder_that_transformers_opens(
    carried: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    text, home, bundle = (
        tmp_path / "text",
        tmp_path / "home",
        ["--tokenizer", str(tmp_path / "text" / "tokenizer.json")],
    )
    assert main(["unpack", str(carried), str(text)]) == 0
    measured = str(home / "measured.json")
    assert main(["measure", *bundle, "--output", measured, "--minutes", "5", "--largest-batch", "2", *settings()]) == 0
    assert fastest(Path(measured), "12x384")["tokens_per_second"] > 0
    command = ["run", *bundle, "--shards", str(text), "--work", str(tmp_path / "work"), "--home", str(home),
               "--decay-minutes", "0.02", "--reserve", "0", *settings()]  # fmt: skip
    assert main([*command, "--minutes", "0", "--total-minutes", "20"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "out of time; the same command goes on"
    assert journal(home)[-1]["step"] == 1
    total = json.loads((home / "encoder" / "home.json").read_text(encoding="utf-8"))["progress"]["minutes"] + 0.03
    assert main([*command, "--minutes", "5", "--total-minutes", str(total)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "done"
    rows = journal(home)
    assert rows[-1]["step"] > 1
    assert rows[-1]["share_of_rate"] == 0  # the decay came to its end when the minutes did
    assert {"held_out", "held_out.débats", "held_out.lois"} <= set(rows[-1])
    assert rows[-1]["held_out"] < rows[1]["held_out"]  # the first is that of the first call's end
    assert main(["join", str(home / "encoder"), str(tmp_path / "encoder"), *bundle]) == 0
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "encoder")
    assert model.dtype == torch.float16
    assert AutoTokenizer.from_pretrained(tmp_path / "encoder").mask_token == "[MASK]"


def test_accelerator_resumes_the_state_of_the_machine_exactly(
    tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], tmp_path: Path
) -> None:
    first = timed(Timing(60, 1, call=0, reserve=0), tokenizer, shards, tmp_path)
    assert not first.run(lambda step, metrics: None)
    second = timed(Timing(60, 1, call=0, reserve=0), tokenizer, shards, tmp_path)
    assert (second.step, second.minutes) == (1, first.minutes)
    one, other = (float(run._take_step()[0]) for run in (first, second))
    assert one == other
    for left, right in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(left, right)


def test_accelerator_goes_on_from_what_came_home_with_a_second_warm_up(
    tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], tmp_path: Path
) -> None:
    first = timed(Timing(60, 1, call=0, reserve=0, part_bytes=9_000), tokenizer, shards, tmp_path)
    first.run(lambda step, metrics: None)
    assert len(list((tmp_path / "home").glob("weights-*.part"))) > 1
    second = timed(Timing(60, 1), tokenizer, shards, tmp_path / "new", weights=tmp_path / "home")
    assert (second.step, second.minutes) == (1, first.minutes)
    assert second._rates()[0] == 0.5
    for left, right in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.allclose(left, right, atol=1e-3)


def test_accelerator_schedule_decays_with_the_minutes_that_are_left(
    tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], tmp_path: Path
) -> None:
    run = timed(Timing(total=20, decay=8), tokenizer, shards, tmp_path)
    run.step = 100
    seen = []
    for run.minutes in (0.0, 11.9, 14.0, 20.0):
        seen.append((*run._rates(), run._finished()))
    assert seen == [(1.0, 0.3, False), (1.0, 0.3, False), (0.5, pytest.approx(0.2625), False), (0.0, 0.15, True)]


def test_accelerator_reads_the_same_windows_and_computes_the_same_loss_as_the_plain_loop(
    tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], tmp_path: Path
) -> None:
    run = timed(Timing(60, 1), tokenizer, shards, tmp_path)
    plain = Pretraining(SMALL, tokenizer, Windows(places(shards), SMALL.length, 2, SMALL.seed), tmp_path / "plain")
    resident = ResidentWindows(run.windows, run.device)
    for number in (0, 3, 500):
        assert torch.equal(resident.batch(number, 6), torch.from_numpy(plain.windows.batch(number, 6)))
    ids = resident.batch(0, 8)
    expected = plain._loss(ids, 0.3, 5)
    assert float(run._loss(ids, 0.3, 5).detach()) == pytest.approx(float(expected.detach()), rel=5e-3)
    assert float(run._training_loss(ids, 0.3, 5).detach()) == pytest.approx(float(expected.detach()), rel=0.05)


def test_accelerator_scores_a_fixed_number_of_places() -> None:
    labels = torch.full((4, 50), IGNORED)
    labels[1, 3], labels[3, 49] = 7, 8
    places, targets = hidden_places(labels, 0.1)
    assert len(places) == 21
    assert places[:2].tolist() == [53, 199]
    assert targets[:2].tolist() == [7, 8]
    assert (targets[2:] == IGNORED).all()


def test_accelerator_compiles_the_step_as_one_graph(tokenizer: Tokenizer) -> None:
    model = build_model(SMALL, tokenizer)
    model.set_attn_implementation("sdpa")  # what the accelerator takes
    ids = torch.randint(5, 500, (2, 24), generator=torch.Generator().manual_seed(0))
    places, targets = torch.arange(9), torch.arange(9)
    one = torch.compile(masked_loss, fullgraph=True, dynamic=False, backend="aot_eager")(model, ids, places, targets)
    assert float(one.detach()) == pytest.approx(float(masked_loss(model, ids, places, targets).detach()), rel=1e-2)
    torch.autograd.backward(one)
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_accelerator_shapes_come_home_in_one_call(shape: str, tokenizer: Tokenizer) -> None:
    recipe = replace(LONG, **SHAPES[shape])
    with torch.device("meta"):
        model = build_model(recipe, tokenizer)
    rest = sum(p.numel() for p in model.parameters()) - model.config.vocab_size * recipe.hidden_size
    parameters = rest + (16_384 * recipe.hidden_size)
    assert 25e6 < parameters < 40e6
    assert 2 * parameters < 2**26 - 500_000  # half precision in 64 MiB, and room for the log
    layers = recipe.layers * (4 * recipe.hidden_size**2 + 3 * recipe.hidden_size * recipe.intermediate_size)
    assert 6 * layers < flop_per_token(recipe, 16_384) < 8 * layers


def test_accelerator_keeps_the_tokens_of_an_update_when_the_batch_changes() -> None:
    recipe = of_batch(replace(SMALL, length=256), 128, 131_072)
    assert recipe.accumulate * recipe.batch_size * recipe.length == 131_072


@pytest.mark.parametrize("setting", ["learning=1", "layers", "layers="])
def test_accelerator_names_a_setting_that_no_recipe_has(setting: str) -> None:
    with pytest.raises(ValueError, match=f"--set '{setting}': give one of"):
        overridden(SMALL, [setting])


@pytest.mark.parametrize("arguments", [["unpack", "nowhere", "out"], ["join", "nowhere", "out", "--tokenizer", "t"]])
def test_accelerator_fails_with_one_line(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("accelerator: nowhere")


def test_accelerator_needs_no_package_of_the_training_job() -> None:
    absent = ("datasets", "mlflow", "pydantic", "typer", "sklearn", "inference")
    code = f"import sys, training.accelerator; print(*(m for m in {absent} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""
