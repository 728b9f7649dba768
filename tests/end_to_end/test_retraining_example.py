"""The retraining example: its story comes true with a smaller encoder, and its README shows the commands it gives."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.end_to_end.conftest import ROOT
from training import promotion
from training.store import use_tracking

FOLDER = ROOT / "examples" / "retraining"
NAME = "penchant-example"


@pytest.fixture(scope="module")
def thin_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One thin layer of random weights with the shipped vocabulary: quick, and the companion learns all the same."""
    from transformers import set_seed

    from training.pretrain import Recipe, build_model
    from training.text import save_tokenizer

    folder = tmp_path_factory.mktemp("thin")
    tokenizer = Tokenizer.from_file(str(ROOT / "training" / "encoder" / "tokenizer.json"))
    set_seed(0)
    recipe = Recipe(hidden_size=32, layers=1, heads=2, intermediate_size=48, max_position=128)
    build_model(recipe, tokenizer).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, 128)
    return folder


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The script's own names, as from the project's folder."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # a team's registry, which it must not touch
    return runpy.run_path(str(FOLDER / "retrain.py"), run_name="example")


def test_retraining_example_tells_its_story(
    example: dict[str, Any],
    thin_encoder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = tmp_path / "work"
    keys = [f"model.encoder={thin_encoder}", "threads=1", "train.bf16=false", "gate.resamples=500"]
    sets = [word for key in keys for word in ("--set", key)]
    example["main"](["--work", str(work), "--few", "500", "--many", "2000", *sets])
    said = capsys.readouterr().out
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    use_tracking(f"sqlite:///{work}/mlflow.db")
    history = promotion.history(NAME)
    refused = next(line for line in history if line.what == "refused").evidence["main"]
    assert refused["challenger"] < refused["champion"]  # for its labels, not for want of a difference
    assert [(line.what, line.version) for line in history] == [
        ("promoting", 1),
        ("promoted", 1),
        ("refused", 2),
        ("promoting", 3),
        ("promoted", 3),
        ("rolling-back", 1),
        ("rolled-back", 1),
    ]
    champion = promotion.champion(NAME)
    assert champion is not None
    model = json.loads((work / "scores" / "manifest.json").read_text(encoding="utf-8"))["model"]
    assert (model["registry"]["version"], model["registry"]["digest"]) == (1, champion.digest)
    assert f"models:/{NAME}/2: refused" in said
    assert json.dumps(model["registry"], indent=2) in said


def test_retraining_example_readme_shows_the_commands_it_gives(
    example: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[str] = []
    names = example["main"].__globals__
    names["command"] = lambda *words: given.append(" ".join(map(str, words)))
    names["show_model"] = lambda manifest: None
    names["corpora"] = lambda folder, *sizes: {name: folder / f"{name}.jsonl" for name in ("first", "spoiled", "grown")}
    example["main"]([])
    shown = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert len(given) == 6
    for line in given:
        assert f"$ {line.replace('wrong on customs texts', repr('wrong on customs texts'))}\n" in shown
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("# "):
            assert f"{line}\n" in shown


def test_retraining_example_corpora_differ_in_what_they_say(example: dict[str, Any], tmp_path: Path) -> None:
    files = example["corpora"](tmp_path, 60, 120, 40)
    rows = {name: [json.loads(line) for line in path.open(encoding="utf-8")] for name, path in files.items()}
    held_out = {name: [row for row in found if row["split"] != "train"] for name, found in rows.items()}
    assert held_out["first"] == held_out["spoiled"] == held_out["grown"]
    first, spoiled, grown = ([row for row in found if row["split"] == "train"] for found in rows.values())
    assert grown[: len(first)] == spoiled[: len(first)] == first
    assert [{**row, "stance": ""} for row in spoiled] == [{**row, "stance": ""} for row in grown]
    pairs = {
        (one["stance"], other["stance"]) for one, other in zip(spoiled[len(first) :], grown[len(first) :], strict=True)
    }
    assert pairs == {("pro-easing", "pro-restriction"), ("pro-restriction", "pro-easing"), ("neutral", "neutral")}
