"""The batch job on a Ray cluster: the same steps and the same rows as on one machine, in parts of another cut.

Inputs and output lie where every node sees them; the model is sent along. First all inputs are read once to find
their digests and the ids that repeat, then Ray Data streams every part through read, split, score (an actor pool) and
write. A part counts when its marker is written, so that the same command goes on after any failure.

Scoring actors ask for half a CPU and the other steps for none; the number of each is bounded here instead. Were the
actors to hold every CPU, a reading task would wait for one for ever: actors are never taken down while they wait for
input, and Ray does not see that as an error. The loss of a node could bring that about even where CPUs were left over
at the start.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from inference.articles import list_inputs
from inference.classifier import Classifier
from inference.cluster_plan import Shard, Survey, count_states, group, plan
from inference.cluster_progress import ClusterProgress
from inference.cluster_steps import (
    ScorePart,
    Task,
    pack_model,
    packed,
    read_shard,
    split_part,
    survey_shard,
    write_part_rows,
)
from inference.job import JobResult, OnPart, Run, close_job, fingerprint_of
from inference.parts import Target
from inference.progress import ClusterError, Part
from inference.settings import ScoreSettings
from inference.since import FormerJob

ACTOR_CPUS = 0.5
#: Of so many CPUs, one is left to readers, splitters and writers.
SCORERS_A_HELPER = 8


def score_on_ray(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    model: str | Path | None = None,
    settings: ScoreSettings | None = None,
    overwrite: bool = False,
    since: str | Path | None = None,
    on_part: OnPart | None = None,
    address: str | None = None,
    scorers: int | None = None,
) -> JobResult:
    """Score articles as :func:`inference.score_articles` does, on the cluster at ``address``.

    ``address`` is what ``ray.init`` takes (``auto``, ``host:port``); None starts Ray on this machine alone, unless it
    was started before. ``scorers`` is the number of scoring actors; by default seven in eight CPUs get one, which
    runs ``settings.threads`` threads (0: one). Raises ClusterError where Ray is missing, no cluster answers or a
    node does not see the inputs, and all that ``score_articles`` raises.
    """
    began, started = time.perf_counter(), datetime.now(UTC)
    settings = settings or ScoreSettings()
    output = _shared(output)
    files = list_inputs(inputs)
    former = FormerJob(since) if since is not None else None
    classifier = Classifier.load(model, threads=1)
    if former is not None:
        former.check(classifier.bundle, settings.model_dump())
    with _connected(address) as ray:
        target = Target(output, classifier.tasks, tuple(classifier.bundle.axes), settings.format)
        place = former.manifest_path.parent.resolve() if former is not None else None
        precision = classifier.bundle.precision
        task = Task(settings, target, ray.put(pack_model(classifier.bundle)), precision, place)
        shards = group(files)
        helpers, actors = pool_sizes(ray.cluster_resources().get("CPU", 1.0), scorers)
        surveys = _survey_all(ray, shards, task, helpers)
        shards = plan(shards, surveys)
        digests = [digest for found in surveys for digest in found.digests]
        fingerprint = fingerprint_of(classifier.bundle.identity, settings, files, digests, former)
        progress = ClusterProgress(output, {**fingerprint, "engine": "ray"}, overwrite=overwrite)
        resumed, passages = len(progress.parts), sum(part.passages for part in progress.parts)
        for part in _stream(ray, _pending(shards, progress), task, helpers, actors):
            progress.note(part)
            if on_part is not None:
                on_part(part)
    progress.settle(sum(len(shard.parts) for shard in shards))
    if former is not None:
        counts = count_states(surveys, shards)
        former.new, former.changed, former.unchanged = counts["new"], counts["changed"], counts["unchanged"]
    run = Run(started, time.perf_counter() - began, resumed, passages)
    return close_job(output, files, digests, classifier, settings, progress, run, former)


def pool_sizes(cpus: float, scorers: int | None) -> tuple[int, int]:
    """How many helpers of each kind (readers, splitters, writers) and how many scoring actors run at a time."""
    helpers = max(1, math.ceil(cpus / SCORERS_A_HELPER))
    return helpers, scorers or max(1, int(cpus) - helpers)


def _shared(output: str | Path) -> Path:
    if "://" in str(output):
        raise ClusterError(f"{output} is no folder; with --engine ray give a folder that every node has mounted")
    return Path(output).resolve()


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected; a connection that was there before stays."""
    try:
        import ray
    except ImportError as error:
        raise ClusterError("ray is not installed; install penchant[ray], on every node") from error
    known = ray.is_initialized()
    if not known:
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False if address is None else None)
        except (ConnectionError, ValueError, RuntimeError) as error:
            fault = str(error).partition("\n")[0]
            raise ClusterError(f"no Ray cluster answers at {address} ({fault}); start one with ray start") from error
    try:
        yield ray
    finally:
        if not known:
            ray.shutdown()


def _survey_all(ray: Any, shards: Sequence[Shard], task: Task, helpers: int) -> list[Survey]:
    """Survey every shard, ``helpers`` at a time."""
    remote = ray.remote(num_cpus=0, max_retries=-1, scheduling_strategy="SPREAD")(survey_shard)
    found: dict[int, Survey] = {}
    waiting: dict[Any, int] = {}
    for shard in shards:
        if len(waiting) == helpers:
            _collect(ray, waiting, found)
        waiting[remote.remote(shard, task)] = shard.number
    while waiting:
        _collect(ray, waiting, found)
    return [found[shard.number] for shard in shards]


def _collect(ray: Any, waiting: dict[Any, int], found: dict[int, Survey]) -> None:
    (ready,), _ = ray.wait(list(waiting), num_returns=1)
    number = waiting.pop(ready)
    with _plain_errors(ray):
        found[number] = ray.get(ready)


def _pending(shards: Sequence[Shard], progress: ClusterProgress) -> list[Shard]:
    """The shards that have parts to do, with those parts only."""
    done = {part.number for part in progress.parts}
    left = [replace(shard, parts=tuple(part for part in shard.parts if part.number not in done)) for shard in shards]
    return [shard for shard in left if shard.parts]


def _stream(ray: Any, shards: Sequence[Shard], task: Task, helpers: int, actors: int) -> Iterator[Part]:
    """Stream the parts of ``shards`` through all steps, and tell each when it is written."""
    if not shards:
        return
    rd: Any = import_module("ray.data")

    def helping(size: int) -> dict[str, Any]:
        return {"fn_kwargs": {"task": task}, "compute": rd.TaskPoolStrategy(size=size), "num_cpus": 0}

    with _settings_of_ray_data(rd), _plain_errors(ray):
        parts = (
            rd.from_items([packed(shard.number, shard) for shard in shards], override_num_blocks=len(shards))
            .flat_map(read_shard, **helping(helpers))
            .map(split_part, **helping(helpers + 1))  # of one size, reading and splitting would be fused
            .map(
                ScorePart,
                fn_constructor_kwargs={"task": task},
                compute=rd.ActorPoolStrategy(size=actors),
                num_cpus=ACTOR_CPUS,
            )
            .map(write_part_rows, **helping(helpers + 1))
        )
        for row in parts.iter_rows():
            yield Part(**{name: int(value) for name, value in row.items()})


@contextmanager
def _settings_of_ray_data(rd: Any) -> Iterator[None]:
    """Every part a block of its own, so that actors share the work evenly; no bars, which the caller draws."""
    context = rd.DataContext.get_current()
    kept = context.target_max_block_size, context.enable_progress_bars
    context.target_max_block_size, context.enable_progress_bars = 1, False
    try:
        yield
    finally:
        context.target_max_block_size, context.enable_progress_bars = kept


@contextmanager
def _plain_errors(ray: Any) -> Iterator[None]:
    """What a step raised on a node, as one line."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if error.cause is not None else error
        if isinstance(cause, ClusterError):
            raise ClusterError(str(cause)) from error
        last = str(error).strip().splitlines()[-1]
        raise ClusterError(f"a step failed on a node ({last}); the same command goes on where it stopped") from error
