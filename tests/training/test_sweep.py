"""A sweep searches on validation alone, within its bounds, goes on after a stop and says how to run what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.distributions import CategoricalDistribution
from typer.testing import CliRunner

from tests.training.learnable_corpus import corpus_rows, write_corpus
from tests.training.registry_fixtures import make_store
from training import finetune as finetuning
from training import sweep as sweeping
from training.cli import app
from training.config import ConfigError, RunConfig, load_run_config, load_yaml
from training.corpus import Example
from training.store import client
from training.sweep import SweepResult, objective_of, sweep
from training.sweep_space import Dimension, SweepConfig, base_overrides, check_space

SWEEPS = Path(__file__).parents[2] / "configs" / "sweep"
TASKS = {"stance": {"labels": ["pro-easing", "neutral", "pro-restriction"]}}


@pytest.fixture
def run_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write the YAML of a run on the learnable corpus; the store is the test's own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = make_store(tmp_path / "mlruns")

    def write(rows: list[dict[str, Any]] | None = None, **changes: Any) -> Path:
        corpus = write_corpus(tmp_path / "corpus.jsonl", corpus_rows(240) if rows is None else rows)
        content = {
            "name": "essai",
            "work": str(tmp_path / "runs"),
            "tasks": TASKS,
            "threads": 1,
            "data": {"path": str(corpus), "split": {"tests": ["unseen"]}},
            "model": {"kind": "tfidf"},
            "registry": {"tracking_uri": store, "experiment": "essais"},
            **changes,
        }
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    return write


def settings(run: Path, **changes: Any) -> SweepConfig:
    content = {"name": "recherche", "run": run, "space": {"baseline.c": {"low": 0.01, "high": 100, "log": True}}}
    return SweepConfig.model_validate({**content, **changes})


def quiet(line: str) -> None:
    """Say nothing."""


def trials_of(folder: Path) -> list[Any]:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(folder / "trials.log")))
    return list(optuna.load_study(study_name=None, storage=storage).trials)


def nested_runs(parent: str | None = None) -> list[Any]:
    experiment = client().get_experiment_by_name("essais")
    runs = client().search_runs([experiment.experiment_id])
    return [run for run in runs if ("mlflow.parentRunId" in run.data.tags) == (parent is None)]


def test_sweep_finds_writes_and_logs_the_best(run_file: Callable[..., Path], tmp_path: Path) -> None:
    said: list[str] = []
    found = sweep(settings(run_file(), trials=4), said.append)
    trials = trials_of(tmp_path / "runs" / "recherche")
    assert [trial.params["baseline.c"] for trial in trials[:1]] == [4.0]  # the run's own value goes first
    assert found.finished == len(trials) == len(said) == 4
    assert found.value == max(trial.value for trial in trials)
    assert found.best == min(trial.number for trial in trials if trial.value == found.value)
    assert found.config is not None
    best = load_run_config(found.config)
    assert best == load_run_config(tmp_path / "run.yaml", found.overrides)
    assert best.baseline.c == pytest.approx(trials[found.best].params["baseline.c"], rel=1e-3)
    children, (parent,) = nested_runs(), nested_runs("parents")
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    values = {run.info.run_name: run.data.metrics["mean_macro_f1"] for run in children}
    assert values == {f"trial {trial.number}": trial.value for trial in trials}
    assert parent.data.metrics["best"] == found.value
    assert parent.data.tags["penchant.best_trial"] == str(found.best)
    assert {file.path for file in client().list_artifacts(parent.info.run_id)} >= {"best.yaml", "config.yaml"}


def test_sweep_objective_does_not_see_the_tests(run_file: Callable[..., Path], tmp_path: Path) -> None:
    def values(rows: list[dict[str, Any]], name: str) -> list[float]:
        sweep(settings(run_file(rows), name=name, trials=2), quiet)
        return [trial.value for trial in trials_of(tmp_path / "runs" / name)]

    rows = corpus_rows(240)
    plain = values(rows, "droit")
    swapped = {"pro-easing": "pro-restriction", "pro-restriction": "pro-easing", "neutral": "neutral"}
    for row in rows:
        if row["split"] == "unseen":
            row["stance"] = swapped[row["stance"]]
    assert values(rows, "retourné") == plain
    for row in rows:
        if row["split"] == "validation":
            row["stance"] = swapped[row["stance"]]
    assert values(rows, "validation") != plain


def test_sweep_goes_on_where_it_stopped(run_file: Callable[..., Path], tmp_path: Path) -> None:
    run, folder = run_file(), tmp_path / "runs" / "recherche"
    sweep(settings(run, trials=2), quiet)
    before = [(trial.number, trial.params, trial.value) for trial in trials_of(folder)]
    said: list[str] = []
    sweep(settings(run, trials=4), said.append)
    after = [(trial.number, trial.params, trial.value) for trial in trials_of(folder)]
    assert after[:2] == before
    assert len({trial[1]["baseline.c"] for trial in after}) == len(after) == 4
    assert said[0] == "2 trials of an earlier command are kept"
    assert sweep(settings(run, trials=4), quiet).finished == 4  # nothing is left to do


def test_sweep_of_something_else_begins_anew(run_file: Callable[..., Path]) -> None:
    run = run_file()
    sweep(settings(run, trials=2), quiet)
    said: list[str] = []
    sweep(settings(run, trials=1, objective="stance_macro_f1"), said.append)
    assert [line.split()[:2] for line in said] == [["trial", "0"]]


Learn = Callable[[RunConfig, int], float]


@pytest.fixture
def learner(
    run_file: Callable[..., Path], small_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Learn], tuple[Path, list[tuple[float, int]]]]:
    """A run whose training is ``learn(settings, epoch)``: five epochs of validation; returns what was trained."""

    def install(learn: Learn) -> tuple[Path, list[tuple[float, int]]]:
        trained: list[tuple[float, int]] = []

        def finetune(
            config: RunConfig,
            seed: int,
            train: Sequence[Example],
            validation: Sequence[Example],
            folder: Path,
            log: Callable[[int, dict[str, float]], None],
        ) -> Path:
            assert {row.split for row in (*train, *validation)} == {"train", "validation"}
            folder.mkdir(parents=True)
            for epoch in range(1, 6):
                trained.append((config.train.learning_rate, epoch))
                log(epoch, {"loss": 1.0, "epoch": float(epoch)})
                log(epoch, {"eval_stance_macro_f1": learn(config, epoch), "epoch": float(epoch)})
            return folder

        monkeypatch.setattr(finetuning, "finetune", finetune)
        return run_file(model={"encoder": str(small_encoder)}, train={"learning_rate": 0.01}), trained

    return install


RATES = {"train.learning_rate": {"values": [0.01, 0.02, 0.03, 0.04, 0.05]}}


def test_sweep_prunes_by_epoch(learner: Callable[..., Any], tmp_path: Path) -> None:
    run, trained = learner(lambda config, epoch: config.train.learning_rate * epoch)
    said: list[str] = []
    space = {"train.learning_rate": {"low": 0.01, "high": 0.05}}
    found = sweep(settings(run, trials=12, space=space, objective="stance_macro_f1"), said.append)
    pruned = [line for line in said if " pruned " in line]
    assert pruned
    assert len(trained) < 12 * 5
    assert found.value == max(5 * rate for rate, epoch in trained if epoch == 5)
    assert found.finished == 12
    assert sum("pruned" in run.data.metrics for run in nested_runs()) == len(pruned)
    without, trained = learner(lambda config, epoch: config.train.learning_rate * epoch)
    sweep(settings(without, name="sans", trials=12, space=space, prune=False), quiet)
    assert len(trained) == 12 * 5
    assert not (tmp_path / "runs" / "sans" / "trial").exists()


def test_sweep_point_that_comes_again_is_not_trained_again(learner: Callable[..., Any]) -> None:
    run, trained = learner(lambda config, epoch: config.train.learning_rate * epoch)
    said: list[str] = []
    space = {"train.learning_rate": {"values": [0.01, 0.02]}}
    found = sweep(settings(run, trials=8, space=space, prune=False), said.append)
    assert (found.finished, found.value) == (8, 0.1)
    assert len(trained) == 2 * 5
    assert sum(" as trial " in line for line in said) == 6


def test_sweep_out_of_time_begins_with_the_trial_it_was_in(
    learner: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(sweeping.time, "monotonic", lambda: now[0])

    def learn(config: RunConfig, epoch: int) -> float:
        now[0] += 10  # seconds an epoch
        return config.train.learning_rate * epoch

    run, trained = learner(learn)
    said: list[str] = []
    found = sweep(settings(run, minutes=1.2, space=RATES), said.append)
    assert found.finished == 1
    assert [epoch for _, epoch in trained] == [1, 2, 3, 4, 5, 1, 2, 3]
    assert said[-1] == "out of time in the middle of a trial; the same command begins with it"
    cut = trained[-1][0]
    sweep(settings(run, minutes=0.9, space=RATES), quiet)
    assert trained[8] == (cut, 1)
    assert found.config is not None


def test_sweep_with_too_little_time_has_no_best(learner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(sweeping.time, "monotonic", lambda: now[0])

    def learn(config: RunConfig, epoch: int) -> float:
        now[0] += 100
        return 0.5

    run, _ = learner(learn)
    assert sweep(settings(run, minutes=1, space=RATES), quiet) == SweepResult(0, None, None, [], None)


def test_sweep_trial_that_was_killed_is_tried_anew(
    learner: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(config: RunConfig, epoch: int) -> float:
        raise Killed

    run, _ = learner(die)
    config = settings(run, trials=1, space=RATES)
    choices = CategoricalDistribution(RATES["train.learning_rate"]["values"])

    def never_told(*arguments: Any) -> str:
        arguments[1].ask(fixed_distributions={"train.learning_rate": choices})
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(sweeping, "_one_trial", never_told)
        sweep(config, quiet)
    folder = tmp_path / "runs" / "recherche"
    assert [trial.state.name for trial in trials_of(folder)] == ["RUNNING"]
    run, trained = learner(lambda config, epoch: 0.5)
    assert sweep(config, quiet).finished == 1
    assert [trial.state.name for trial in trials_of(folder)] == ["FAIL", "COMPLETE"]
    assert trained[0] == (0.01, 1)


def test_sweep_failing_trial_stops_the_sweep_and_is_not_lost(learner: Callable[..., Any], tmp_path: Path) -> None:
    def full(config: RunConfig, epoch: int) -> float:
        raise OSError(28, "No space left on device")

    run, _ = learner(full)
    with pytest.raises(OSError, match="No space left"):
        sweep(settings(run, space=RATES), quiet)
    states = [trial.state.name for trial in trials_of(tmp_path / "runs" / "recherche")]
    assert states == ["FAIL", "WAITING"]
    assert {run.info.status for run in (*nested_runs(), *nested_runs("parents"))} == {"FAILED"}


def test_sweep_of_one_folder_is_alone(run_file: Callable[..., Path], tmp_path: Path) -> None:
    run = run_file()
    with sweeping._only_one(tmp_path / "runs" / "recherche"), pytest.raises(ConfigError, match="another sweep"):
        sweep(settings(run), quiet)


def test_sweep_trains_a_transformer(run_file: Callable[..., Path], small_encoder: Path) -> None:
    train = {"epochs": 2, "batch_size": 32, "learning_rate": 3e-3, "dropout": 0.0, "bf16": False}
    run = run_file(model={"encoder": str(small_encoder), "max_length": 32}, train=train)
    space = {"train.learning_rate": {"values": [1e-6, 3e-3]}, "model.max_length": {"low": 24, "high": 32, "step": 8}}
    found = sweep(settings(run, trials=2, space=space), quiet)
    assert found.finished == 2
    assert found.value is not None
    assert 0 < found.value <= 1
    assert all("epoch" in run.data.metrics for run in nested_runs())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"space": {"data.seed": {"values": [1, 2]}}}, "data.seed does not change what a trial measures"),
        ({"space": {"model.companion.c": {"low": 1, "high": 9}}}, "does not change what a trial measures"),
        ({"space": {"baseline.d": {"low": 1, "high": 9}}}, "unknown key 'baseline.d'"),
        ({"space": {"train.epochs": {"low": 1, "high": 9}}}, "section 'train' has no effect"),
        ({"space": {"baseline.c": {"low": -1, "high": 9}}}, "baseline.c"),
        ({"objective": "sentiment_macro_f1"}, "['stance_macro_f1', 'mean_macro_f1']"),
        ({"set": {"baseline.cc": 3}}, "unknown key 'baseline.cc'"),
    ],
)
def test_sweep_space_that_a_run_would_not_feel_is_refused(
    run_file: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        sweep(settings(run_file(), **changes), quiet)
    assert said in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("dimension", "said"),
    [
        ({"low": 1}, "low and high go together"),
        ({"low": 2, "high": 1}, "low below high"),
        ({"low": 0, "high": 1, "log": True}, "above zero"),
        ({"low": 1, "high": 2, "log": True, "step": 1}, "no step"),
        ({"values": [1, 2], "low": 1}, "either values, or low and high"),
        ({"values": [1, 2], "log": True}, "go with low and high"),
        ({"values": [1]}, "at least 2 items"),
        ({"low": 1, "high": 2, "logg": True}, "logg"),
        ({}, "either values, or low and high"),
    ],
)
def test_sweep_dimension_says_what_is_wrong(dimension: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Dimension.model_validate(dimension)


def test_sweep_file_is_no_run_and_a_run_no_sweep(run_file: Callable[..., Path], tmp_path: Path) -> None:
    run = run_file()
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({**settings(run).model_dump(mode="json"), "trial": 3}), encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown key 'trial'; did you mean 'trials'"):
        load_yaml(path, SweepConfig)
    with pytest.raises(ConfigError, match="unknown key 'space'"):
        load_run_config(path)
    with pytest.raises(ConfigError, match="unknown key 'tasks'"):
        load_yaml(run, SweepConfig)


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_sweep_of_every_shipped_file_can_begin(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SWEEPS.parents[1])
    config = load_yaml(path, SweepConfig)
    base = check_space(config)
    for key, value in config.set.items():
        assert f"{key}={value}" in base_overrides(config)
    assert base.model.encoder


def test_sweep_objective_is_a_row_of_validation() -> None:
    row = {"eval_stance_macro_f1": 0.5, "eval_sentiment_macro_f1": 0.7, "eval_loss": 1.0}
    assert objective_of("stance_macro_f1", row) == 0.5
    assert objective_of("mean_macro_f1", row) == pytest.approx(0.6)
    assert objective_of("mean_macro_f1", {"loss": 1.0}) is None


def test_sweep_command_prints_what_to_run(run_file: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(settings(run_file()).model_dump(mode="json")), encoding="utf-8")
    done = CliRunner().invoke(app, ["sweep", str(path), "--set", "trials=2"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    (given,) = [line for line in lines if line.startswith("--set baseline.c=")]
    assert load_run_config(tmp_path / "run.yaml", [given.removeprefix("--set ")])
    assert lines[-1] == f"penchant-train run {tmp_path / 'runs' / 'recherche' / 'best.yaml'}"
    wrong = CliRunner().invoke(app, ["sweep", str(path), "--set", "space.train.lr.low=3"])
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("penchant-train: ")
