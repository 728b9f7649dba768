"""MLflow runs: where they are kept, and what a retraining run leaves there.

Texts of the corpus never go into the store: it gets the corpus's digest, source and split sizes, and scored rows by id.
The one exception is the model's input example, which the caller of ``registry.register`` chooses.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from training.config import RunConfig
from training.evidence import Cost, Evidence
from training.provenance import distributions, environment, git_state, is_running, this_process
from training.store import RegistryError, client, experiment_id, one_line, use_tracking

__all__ = ["Tracked", "flatten", "metrics_of", "start_run", "use_tracking"]

LogRow = Callable[[int, Mapping[str, float]], None]

EVIDENCE = "evidence"
PROCESS_TAG = "penchant.process"

#: Metrics of a split and task: their name in MLflow, and where they stand in the task's part of the report.
MEASURES = {
    "macro_f1": ("macro_f1",),
    "accuracy": ("accuracy",),
    "ece": ("calibration", "ece"),
    "brier": ("calibration", "brier"),
    "log_loss": ("calibration", "log_loss"),
    "accuracy_at_80": ("selective", "accuracy_at", "0.8"),
    "aurc": ("selective", "aurc"),
    "kept": ("selective", "kept", "coverage"),
    "kept_accuracy": ("selective", "kept", "accuracy"),
    "contrast": ("contrast", "all"),
    "invariance": ("invariance", "all"),
    "article_accuracy": ("articles", "accuracy"),
    "article_index_error": ("articles", "index_error"),
}


@contextmanager
def start_run(
    config: RunConfig,
    *,
    corpus_digest: str,
    split_sizes: Mapping[str, int],
    parameters: Mapping[str, Any] | None = None,
) -> Iterator[Tracked]:
    """A run for the configuration, with the corpus, git state and environment it started from.

    ``parameters`` join the flattened configuration. The run ends FAILED where the body raises, KILLED where it was
    interrupted; runs that an earlier process of this machine left open are marked KILLED. Raises RegistryError.
    """
    import mlflow

    if re.search(r"[/:]", config.registry.model):
        raise RegistryError(f"registry.model is {config.registry.model!r}; a model's name holds no slash and no colon")
    experiment = experiment_id(config.registry.experiment)
    with one_line("the run cannot be started"):
        _close_dead_runs(experiment)
        tags = {PROCESS_TAG: this_process(), "corpus.digest": corpus_digest, **git_state(), **environment()}
        run = mlflow.start_run(
            experiment_id=experiment, run_name=config.name, tags=tags, nested=mlflow.active_run() is not None
        )
    with _ending(run.info.run_id):
        with one_line("the run's inputs cannot be logged"):
            sizes = {f"corpus.rows.{split}": size for split, size in split_sizes.items()}
            _log_parameters(flatten({**config.model_dump(mode="json"), **(parameters or {}), **sizes}))
            mlflow.log_text(
                yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), "config.yaml"
            )
            mlflow.log_text("\n".join(distributions()) + "\n", "environment.txt")
            _log_corpus(config, corpus_digest, split_sizes)
        yield Tracked(run.info.run_id, config)


@contextmanager
def _ending(run_id: str) -> Iterator[None]:
    """End the active run as what its body came to; what the body raised goes on whatever MLflow says."""
    import mlflow

    try:
        yield
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt)
        with suppress(Exception):
            client().set_tag(run_id, "penchant.error", f"{type(error).__name__}: {error}"[:1000])
        with suppress(Exception):
            mlflow.end_run("KILLED" if killed else "FAILED")
        raise
    with one_line("the run cannot be closed"):
        mlflow.end_run("FINISHED")


def _close_dead_runs(experiment: str) -> None:
    """A process that was killed could not say so; its runs would stay RUNNING for ever."""
    for run in client().search_runs([experiment], "attributes.status = 'RUNNING'", max_results=200):
        process = run.data.tags.get(PROCESS_TAG)
        if process is not None and is_running(process) is False:
            client().set_terminated(run.info.run_id, "KILLED")


def _log_parameters(parameters: Mapping[str, Any]) -> None:
    import mlflow

    mlflow.log_params({mlflow_name(name): value for name, value in parameters.items()})


def _log_corpus(config: RunConfig, digest: str, split_sizes: Mapping[str, int]) -> None:
    """The corpus as an MLflow dataset: metadata alone. A dataset's digest holds 36 characters, the tag all of them."""
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    data = config.data
    paths = {"path": str(data.path)} if data.path else {split: str(path) for split, path in data.files.items()}
    paths |= {f"augmented.{number}": str(path) for number, path in enumerate(data.augmented)}
    name = data.path.stem if data.path else config.name
    source = CodeDatasetSource(paths)
    dataset = MetaDataset(source, name=name, digest=digest[:36])  # type: ignore[abstract]  # its profile is None
    mlflow.log_input(
        dataset, context="training", tags={f"rows.{split}": str(size) for split, size in split_sizes.items()}
    )


@dataclass
class Tracked:
    """A run that is under way; ``has_evidence`` once :meth:`log_report` has stored what the gate needs."""

    run_id: str
    config: RunConfig
    has_evidence: bool = False

    def is_active(self) -> bool:
        """Whether this is the run that MLflow logs to now."""
        import mlflow

        run = mlflow.active_run()
        return run is not None and run.info.run_id == self.run_id

    @contextmanager
    def seed(self, seed: int) -> Iterator[LogRow]:
        """A nested run of one seed; see :meth:`nested`."""
        with self.nested(f"seed {seed}", {"seed": seed}) as log:
            yield log

    @contextmanager
    def nested(self, name: str, parameters: Mapping[str, Any]) -> Iterator[LogRow]:
        """A nested run with parameters of its own; yields ``log(step, metrics)`` for the Trainer's rows.

        A server that does not answer for a moment does not cost the training: rows wait, and only rows that could not
        be sent by the end raise RegistryError.
        """
        import mlflow
        from mlflow.entities import Metric
        from mlflow.exceptions import MlflowException

        waiting: list[Metric] = []

        def send() -> None:
            while waiting:
                client().log_batch(run.info.run_id, metrics=waiting[:1000])
                del waiting[:1000]

        def log(step: int, metrics: Mapping[str, float]) -> None:
            now = int(time.time() * 1000)
            waiting.extend(Metric(mlflow_name(name), float(value), now, step) for name, value in metrics.items())
            with suppress(MlflowException):
                send()

        with one_line(f"the run of {name} cannot be started"):
            tags = {PROCESS_TAG: this_process()}
            run = mlflow.start_run(
                experiment_id=experiment_id(self.config.registry.experiment),
                run_name=name,
                nested=True,
                tags=tags,
            )
        with _ending(run.info.run_id):
            with one_line(f"the parameters of {name} cannot be logged"):
                for key, value in parameters.items():
                    mlflow.log_param(mlflow_name(key), value)
            yield log
            with one_line(f"the metrics of {name} cannot be logged"):
                send()

    def log_report(
        self, evidence: Evidence, markdown: str, plots: Sequence[Path] = (), errors: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Keep the evaluation: metrics, ``report/``, ``plots/``, the worst errors as a table, ``evidence/``."""
        import mlflow
        import pandas as pd
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        numbers = {**metrics_of(evidence.report), **cost_metrics(evidence.cost)}
        metrics = [Metric(mlflow_name(name), value, now, 0) for name, value in numbers.items()]
        with one_line("the report cannot be logged"), tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            (place / "report").mkdir()
            (place / "report" / "report.json").write_text(
                json.dumps(evidence.report, indent=1, ensure_ascii=False), "utf-8"
            )
            (place / "report" / "report.md").write_text(markdown, "utf-8")
            evidence.save(place / EVIDENCE)
            client().log_artifacts(self.run_id, folder)
            for plot in plots:
                client().log_artifact(self.run_id, str(plot), "plots")
            if errors:
                table = pd.DataFrame(errors, dtype=object)  # MLflow trips over pandas 3's own strings
                mlflow.log_table(table, "errors.json", run_id=self.run_id)
            for start in range(0, len(metrics), 1000):
                client().log_batch(self.run_id, metrics=metrics[start : start + 1000])
        self.has_evidence = True


def mlflow_name(name: str) -> str:
    """``name`` with what MLflow refuses in names of metrics and parameters replaced by ``_``."""
    return re.sub(r"[^\w./ -]", "_", name)


def flatten(content: Mapping[str, Any]) -> dict[str, Any]:
    """Nested sections as dotted keys; lists stay whole, as JSON.

    >>> flatten({"train": {"epochs": 2}, "seeds": [1, 2]})
    {'train.epochs': 2, 'seeds': '[1, 2]'}
    """
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            flat |= {f"{key}.{inner}": leaf for inner, leaf in flatten(value).items()}
        else:
            flat[key] = json.dumps(value, ensure_ascii=False) if isinstance(value, (Mapping, list, tuple)) else value
    return flat


def metrics_of(report: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an evaluation report worth comparing between runs, by name.

    ``test_unseen.stance.macro_f1`` with ``_low`` and ``_high``, the ends of its interval, and so on for
    :data:`MEASURES`; ``….f1.LABEL`` for each label. Slices stay in the report.
    """
    metrics: dict[str, float] = {}
    for split, content in report["splits"].items():
        prefix = split if split.startswith("test") else f"test_{split}"
        for task, found in content["tasks"].items():
            leaves = {name: _leaf(found, path) for name, path in MEASURES.items()}
            leaves |= {f"f1.{label}": scores["f1"] for label, scores in found.get("classes", {}).items()}
            for name, leaf in leaves.items():
                ends = {"value": "", "low": "_low", "high": "_high"}
                for key, suffix in ends.items() if leaf else ():
                    if leaf[key] is not None:
                        metrics[f"{prefix}.{task}.{name}{suffix}"] = float(leaf[key])
            if "majority_macro_f1" in found:
                metrics[f"{prefix}.{task}.majority_macro_f1"] = float(found["majority_macro_f1"])
    return metrics


def _leaf(found: Mapping[str, Any], path: Sequence[str]) -> Any:
    for key in path:
        found = found.get(key) or {}
    return found


def cost_metrics(cost: Cost) -> dict[str, float]:
    """The cost of a model as metrics; time only where it was measured."""
    metrics = {"cost.size_bytes": float(cost.size_bytes)}
    if cost.seconds_per_1000_passages is not None:
        metrics["cost.seconds_per_1000_passages"] = float(cost.seconds_per_1000_passages)
    return metrics
