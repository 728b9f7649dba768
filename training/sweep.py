"""A sweep: the run's settings that do best on validation, searched by Optuna within minutes that are stated.

The tests have no say: a trial sees the training and validation rows alone, and its objective is macro-F1 on
validation. Every trial trains the configuration's first seed, so that differences of a point or less are noise: run the
best one with several seeds before believing it. Trials are nested runs in MLflow; Optuna's own journal in the work
folder lets the same command go on after a stop.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from training.config import ConfigError, RunConfig, apply_overrides, explain_validation, load_run_config
from training.corpus import Example
from training.steps import fingerprint
from training.sweep_space import (
    MEAN,
    Dimension,
    SweepConfig,
    base_overrides,
    check_space,
    is_whole,
    present_point,
    to_override,
)

if TYPE_CHECKING:
    import optuna

    from training.tracking import Tracked

Say = Callable[[str], None]
Log = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found: the best trial's number, its value, its overrides, where its whole configuration lies.

    ``finished`` counts trials with a value or pruned, over all commands; ``best`` is None while no trial has a value.
    """

    finished: int
    best: int | None
    value: float | None
    overrides: list[str]
    config: Path | None


class _OutOfTimeError(Exception):
    """The minutes are over in the middle of a trial."""


def sweep(config: SweepConfig, say: Say = print) -> SweepResult:
    """Search until the trials or the minutes are used up.

    Raises ConfigError for a space that cannot be searched, CorpusError for data that cannot be trained on, and
    RegistryError where MLflow cannot be used; none of these costs a trial.
    """
    from training.corpus import corpus_digest, load_examples
    from training.corpus_checks import check_examples
    from training.store import use_tracking
    from training.tracking import start_run

    deadline = time.monotonic() + 60 * config.minutes
    base = check_space(config)
    splits = load_examples(base)
    check_examples(base, splits).raise_if_failed()
    digest = corpus_digest(splits)
    sizes = {split: len(rows) for split, rows in splits.items()}
    use_tracking(base.registry.tracking_uri)
    folder = base.work / config.name
    with (
        _only_one(folder),
        start_run(
            base.model_copy(update={"name": config.name}),
            corpus_digest=digest,
            split_sizes=sizes,
            parameters={"sweep": config.model_dump(mode="json", include={"objective", "trials", "seed", "space"})},
        ) as tracked,
    ):
        study = open_study(config, base, digest, folder)
        kept = len(_finished(study))
        if kept:
            say(f"{kept} trials of an earlier command are kept")
        rows = splits[base.data.split.train], splits[base.data.split.validation]
        while len(_finished(study)) < config.trials and time.monotonic() < deadline:
            try:
                say(_one_trial(config, study, rows, tracked, folder, deadline))
            except _OutOfTimeError:
                say("out of time in the middle of a trial; the same command begins with it")
        result = _conclude(config, study, folder)
        _log_best(tracked, result)
    return result


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the sweep's folder: a second process would take this one's open trial for a dead one's."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "sweep.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another sweep is at work in {folder}; wait for it or set another name") from None
        yield


def open_study(config: SweepConfig, base: RunConfig, digest: str, folder: Path) -> optuna.Study:
    """The sweep's study, new or resumed. Another base, corpus, objective or space is another study in the same journal.

    A trial that a killed process left open is given up and its point is tried anew. The first point is the run's own
    settings, where the space holds them: a search should at least know what it must beat.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shaping = base.model_dump(include={"tasks", "model", "train", "baseline", "seeds"}, mode="json")
    asked = config.model_dump(include={"objective", "space", "set"}, mode="json")
    storage = JournalStorage(JournalFileBackend(str(folder / "trials.log")))
    name = f"{config.name}-{fingerprint([shaping, asked, digest])[:12]}"
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    seed = config.seed + len(study.trials)  # a resumed sampler must not repeat its first points
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, max(3, config.trials // 3)))
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=4) if config.prune else optuna.pruners.NopPruner()
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    if not study.trials and (present := present_point(config, base)) is not None:
        study.enqueue_trial(present)
    return study


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _tried(study: optuna.Study, trial: optuna.Trial) -> optuna.trial.FrozenTrial | None:
    """The finished trial at the same point, if there is one."""
    return next((one for one in _finished(study) if one.params == trial.params), None)


def _suggest(trial: optuna.Trial, base: RunConfig, space: Mapping[str, Dimension]) -> list[str]:
    """A point of the space as overrides."""
    overrides = []
    for key, dimension in space.items():
        value: Any
        if dimension.values is not None:
            value = trial.suggest_categorical(key, dimension.values)
        else:
            assert dimension.low is not None
            assert dimension.high is not None
            if is_whole(base, key):
                ends, step = (round(dimension.low), round(dimension.high)), max(1, round(dimension.step or 1))
                value = trial.suggest_int(key, *ends, step=step, log=dimension.log)
            else:
                value = trial.suggest_float(key, dimension.low, dimension.high, step=dimension.step, log=dimension.log)
        overrides.append(to_override(key, value))
    return overrides


def _one_trial(
    config: SweepConfig,
    study: optuna.Study,
    rows: tuple[Sequence[Example], Sequence[Example]],
    tracked: Tracked,
    folder: Path,
    deadline: float,
) -> str:
    """Ask for a point, train it, tell its value; returns a line that says so. Any error gives the trial up."""
    import optuna
    from optuna.trial import TrialState

    trial = study.ask()
    try:
        base = load_run_config(config.run, base_overrides(config))
        overrides = _suggest(trial, base, config.space)
        settings = load_run_config(config.run, [*base_overrides(config), *overrides])
        began, shown = time.monotonic(), "  ".join(overrides)
        if (same := _tried(study, trial)) is not None:  # training is a function of its settings: it would come out so
            study.tell(trial, None if same.state == TrialState.PRUNED else same.value, state=same.state)
            return f"trial {trial.number:>3}  as trial {same.number}  {shown}"
        with tracked.nested(f"trial {trial.number}", trial.params) as log:
            try:
                value = measure(config, settings, rows, folder, _watch(trial, config, log, deadline))
            except optuna.TrialPruned:
                study.tell(trial, state=TrialState.PRUNED)
                log(0, {"pruned": 1.0})
                return f"trial {trial.number:>3}  pruned  {shown}  ({time.monotonic() - began:.0f} s)"
            log(0, {config.objective: value})
        study.tell(trial, value)
        return f"trial {trial.number:>3}  {value:.4f}  {shown}  ({time.monotonic() - began:.0f} s)"
    except BaseException:
        if study.trials[trial.number].state == TrialState.RUNNING:
            study.tell(trial, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
        raise


def _watch(trial: optuna.Trial, config: SweepConfig, log: Log, deadline: float) -> Log:
    """Pass metrics on, report each epoch's objective, and stop a trial that is pruned or out of time."""
    import optuna

    def watch(step: int, metrics: Mapping[str, float]) -> None:
        log(step, metrics)
        value = objective_of(config.objective, metrics)
        if value is not None:
            trial.report(value, round(metrics["epoch"]))
            if trial.should_prune():
                raise optuna.TrialPruned
        if time.monotonic() > deadline:
            raise _OutOfTimeError

    return watch


def objective_of(objective: str, metrics: Mapping[str, float]) -> float | None:
    """The objective in a row of validation metrics (``eval_TASK_macro_f1``); None where the row has none."""
    scores = {name.removeprefix("eval_"): value for name, value in metrics.items() if name.endswith("_macro_f1")}
    if objective != MEAN:
        return scores.get(objective)
    return sum(scores.values()) / len(scores) if scores else None


def measure(
    config: SweepConfig,
    settings: RunConfig,
    rows: tuple[Sequence[Example], Sequence[Example]],
    folder: Path,
    log: Log,
) -> float:
    """Train ``settings`` on the training rows; the objective on the validation rows after the last epoch."""
    train, validation = rows
    seed = settings.seeds[0]
    found: list[float] = []
    if settings.model.kind == "tfidf":
        from training.baseline import Baseline
        from training.scoring import to_scored

        scored = to_scored(settings, validation, Baseline(settings, seed).fit(train).logits(validation))
        value = objective_of(config.objective, _macro_f1(scored))
        assert value is not None
        return value

    def keep(step: int, metrics: Mapping[str, float]) -> None:
        if (value := objective_of(config.objective, metrics)) is not None:
            found.append(value)
        log(step, metrics)

    from training.finetune import finetune

    place = folder / "trial"
    try:
        finetune(settings, seed, train, validation, place, keep)
    finally:
        shutil.rmtree(place, ignore_errors=True)  # a trial's checkpoint is not kept: run the best one
    return found[-1]


def _macro_f1(scored: Any) -> dict[str, float]:
    from sklearn.metrics import f1_score

    scores = {}
    for task in scored.tasks:
        known = scored.gold[task] >= 0
        guess = scored.predicted(task)[known]
        scores[f"{task}_macro_f1"] = float(f1_score(scored.gold[task][known], guess, average="macro"))
    return scores


def _conclude(config: SweepConfig, study: optuna.Study, folder: Path) -> SweepResult:
    """The best trial so far, its whole configuration written as ``best.yaml``."""
    from optuna.trial import TrialState

    finished = len(_finished(study))
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return SweepResult(finished, None, None, [], None)
    best = study.best_trial
    overrides = [*base_overrides(config), *(to_override(key, value) for key, value in best.params.items())]
    content = apply_overrides(yaml.safe_load(config.run.read_text(encoding="utf-8")), overrides)
    try:
        RunConfig.model_validate(content)
    except ValidationError as error:  # the run's file was changed while the sweep was at work
        raise explain_validation(error, RunConfig, str(config.run)) from error
    path = folder / "best.yaml"
    head = f"# Trial {best.number} of {config.name}: {config.objective} {best.value:.4f} on validation, one seed.\n"
    path.write_text(head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return SweepResult(finished, best.number, best.value, overrides, path)


def _log_best(tracked: Tracked, result: SweepResult) -> None:
    from training.store import client, one_line

    if result.config is None:
        return
    with one_line("the best trial cannot be logged"):
        client().log_metric(tracked.run_id, "best", result.value)
        client().set_tag(tracked.run_id, "penchant.best_trial", str(result.best))
        client().log_artifact(tracked.run_id, str(result.config))
