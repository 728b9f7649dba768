"""Configurations: every shipped one is valid, every wrong key is an error that helps."""

from pathlib import Path

import pytest

from training.config import ConfigError, load_run_config, load_yaml
from training.pretrain_job import PretrainConfig

CONFIGS = Path(__file__).parents[2] / "configs" / "train"
RUNS = sorted(path for path in CONFIGS.glob("*.yaml") if not path.name.startswith("pretrain"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_config_of_every_shipped_run_is_valid(path: Path) -> None:
    config = load_run_config(path)
    assert config.tasks
    assert config.gate.main_split in config.data.split.tests


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("pretrain*.yaml")), ids=lambda path: path.stem)
def test_config_of_every_shipped_pretraining_is_valid(path: Path) -> None:
    assert load_yaml(path, PretrainConfig).sources


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


GOOD = """
name: essai
tasks: {avis: {labels: [contre, pour]}}
data: {path: data.jsonl}
model: {encoder: encoder}
"""


def test_config_names_the_nearest_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'train\.epoch'; did you mean 'epochs'"):
        load_run_config(written(tmp_path, GOOD + "train: {epoch: 3}\n"))


def test_config_refuses_a_section_that_would_be_ignored(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="section 'baseline' has no effect"):
        load_run_config(written(tmp_path, GOOD + "baseline: {c: 2}\n"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("train: {epochs: 0}", "train.epochs"),
        ("seeds: []", "seeds"),
        ("data: {path: a, files: {train: b}}", "path or files"),
        ("model: {kind: transformer}", "needs encoder"),
        ("tasks: {avis: {labels: [oui]}}", "tasks.avis.labels"),
        ("tasks: {avis: {labels: [oui, non], plus: peut-être, minus: non}}", "none of the labels"),
        ("tasks: {avis: {labels: [oui, non], rename: {si: yep}}}", "none of the labels"),
    ],
)
def test_config_says_what_is_wrong(tmp_path: Path, text: str, fault: str) -> None:
    key = text.split(":", maxsplit=1)[0]
    kept = "".join(line + "\n" for line in GOOD.splitlines() if not line.startswith(f"{key}:"))
    with pytest.raises(ConfigError, match=fault):
        load_run_config(written(tmp_path, kept + text + "\n"))


def test_config_overrides_are_yaml_and_validated(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    config = load_run_config(path, ["train.epochs=2.5", "seeds=[1, 2]", "model.max_length=64"])
    assert (config.train.epochs, config.seeds, config.model.max_length) == (2.5, [1, 2], 64)
    with pytest.raises(ConfigError, match="key=value"):
        load_run_config(path, ["train.epochs"])
    with pytest.raises(ConfigError, match="did you mean 'learning_rate'"):
        load_run_config(path, ["train.learning_rat=1"])


def test_config_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.yaml cannot be read"):
        load_run_config(written(tmp_path, "a: [1"))
    with pytest.raises(ConfigError, match="nowhere"):
        load_run_config(tmp_path / "nowhere.yaml")


def test_config_of_a_pretraining_recipe_is_the_loops_own() -> None:
    from dataclasses import asdict

    from training.pretrain import Recipe
    from training.pretrain_job import RecipeConfig

    assert RecipeConfig().model_dump() == asdict(Recipe())
