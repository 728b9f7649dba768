"""The job around the pre-training loop: text, tokenizer, shards, MLflow, and the encoder as a checkpoint.

The loop itself (``training.pretrain``) knows none of this, so that it also runs without ``datasets`` and MLflow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from training.config import ConfigError, Strict
from training.text import (
    Shard,
    TextSource,
    build_tokenizer,
    read_shards,
    sample_documents,
    save_tokenizer,
    write_shards,
)


class SourceConfig(Strict):
    """One source of text: glob patterns under the text folder, and how often an epoch reads it."""

    files: list[str]
    weight: Annotated[float, Field(gt=0)] = 1.0


class RecipeConfig(Strict):
    """The keys of :class:`training.pretrain.Recipe`; only what differs from its defaults needs to be given."""

    hidden_size: int = 256
    layers: int = 6
    heads: int = 4
    intermediate_size: int = 704
    max_position: int = 512
    length: int = 128
    batch_size: int = 64
    accumulate: int = 1
    steps: int = 10_000
    warmup_steps: int = 200
    decay_steps: int = 2_000
    lr_matrices: float = 2e-3
    lr_others: float = 1e-3
    weight_decay: float = 0.05
    mask_rate: float = 0.30
    mask_rate_end: float = 0.15
    clip: float = 1.0
    seed: int = 17
    checkpoint_minutes: float = 10.0
    log_steps: int = 50
    stop_after_minutes: float = math.inf
    compile: bool = False


class PretrainConfig(Strict):
    """A pre-training run: where the text is, which tokenizer to make, the recipe, where everything goes."""

    name: str
    text: Path
    sources: Annotated[dict[str, SourceConfig], Field(min_length=1)]
    work: Path = Path("runs/pretrain")
    output: Path
    vocabulary: Annotated[int, Field(ge=512, le=65_536)] = 16_384
    tokenizer_characters: int = 3_000_000
    tokenizer: Path | None = None  # an existing tokenizer.json instead of a new one
    init: Literal["random", "ppmi"] = "ppmi"  # ppmi: embeddings from co-occurrence (training.embeddings)
    start: Path | None = None  # go on from this encoder and its tokenizer (Gururangan et al. 2020) instead of ``init``
    co_occurrence_window: Annotated[int, Field(ge=1)] = 6
    recipe: RecipeConfig = RecipeConfig()
    threads: int = 0
    tracking_uri: str | None = "sqlite:///mlruns/mlflow.db"


def text_sources(config: PretrainConfig) -> list[TextSource]:
    """The sources with their files. Raises ConfigError for a pattern that finds nothing."""
    sources: list[TextSource] = []
    for name, source in config.sources.items():
        files = sorted({path for pattern in source.files for path in config.text.glob(pattern)})
        if not files:
            raise ConfigError(f"source {name!r}: no file under {config.text} matches {source.files}")
        sources.append(TextSource(name, tuple(files), source.weight))
    return sources


def _embeddings(config: PretrainConfig, shards: Sequence[Shard], folder: Path) -> Any:
    import torch
    from safetensors.numpy import load_file, save_file

    from training.embeddings import count_pairs, ppmi_embeddings

    path = folder / "ppmi.safetensors"
    if not path.exists():
        streams = [(np.memmap(folder / s.file, dtype="<u2", mode="r"), s.weight) for s in shards]
        counts = count_pairs(streams, config.vocabulary, config.co_occurrence_window)
        save_file({"embeddings": ppmi_embeddings(counts, config.recipe.hidden_size)}, str(path))
    return torch.from_numpy(load_file(str(path))["embeddings"])


def pretrain(config: PretrainConfig, log: Callable[[int, dict[str, float]], None] = lambda step, metrics: None) -> bool:
    """Prepare what is not there yet, then train or resume; True when the recipe's steps are done.

    Writes the encoder (half precision, safetensors) and its tokenizer to ``config.output`` at the end of every call.
    """
    import torch
    from tokenizers import Tokenizer

    from training.pretrain import Pretraining, Recipe, piece_id
    from training.windows import Windows

    if config.threads:
        torch.set_num_threads(config.threads)
    sources = text_sources(config)
    shards_folder = config.work / "shards"
    inherited = config.start / "tokenizer.json" if config.start else None
    tokenizer_path = config.tokenizer or inherited or config.work / "tokenizer" / "tokenizer.json"
    if config.start and not tokenizer_path.exists():
        raise ConfigError(f"start: {config.start} holds no tokenizer.json; name the folder of an encoder")
    if not tokenizer_path.exists():
        built = build_tokenizer(sample_documents(sources, config.tokenizer_characters), config.vocabulary)
        save_tokenizer(built, tokenizer_path.parent, config.recipe.max_position)
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    write_shards(sources, tokenizer, shards_folder)
    shards = [shard for shard in read_shards(shards_folder) if shard.source in config.sources]
    recipe = Recipe(**config.recipe.model_dump())
    places = [(s.source, shards_folder / s.file, config.sources[s.source].weight) for s in shards]
    windows = Windows(places, recipe.length, piece_id(tokenizer, "[CLS]"), recipe.seed)
    fresh = not (config.work / "state").exists()
    from_text = fresh and config.init == "ppmi" and not config.start
    embeddings = _embeddings(config, shards, shards_folder) if from_text else None
    run = Pretraining(recipe, tokenizer, windows, config.work, embeddings)
    if fresh and config.start:
        try:
            run.start_from(config.start)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    journal = config.work / "log.jsonl"

    def record(step: int, metrics: dict[str, float]) -> None:
        with journal.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"step": step, **metrics}) + "\n")
        log(step, metrics)

    with _tracked(config, shards, record) as tracked:
        done = run.run(tracked)
    run.export(config.output)
    save_tokenizer(tokenizer, config.output, recipe.max_position)
    return done


class _tracked:  # noqa: N801  # used as a context manager
    """Send metrics to MLflow as well, in one run a work folder, resumed runs included."""

    def __init__(
        self, config: PretrainConfig, shards: Sequence[Shard], record: Callable[[int, dict[str, float]], None]
    ):
        self.config, self.shards, self.record = config, shards, record

    def __enter__(self) -> Callable[[int, dict[str, float]], None]:
        uri = self.config.tracking_uri
        if uri is None:
            return self.record
        import mlflow

        from training.store import experiment_id, use_tracking

        use_tracking(uri)
        known = self.config.work / "mlflow-run"
        run = mlflow.start_run(
            known.read_text() if known.exists() else None,
            experiment_id=experiment_id("penchant-pretraining"),
            run_name=self.config.name,
        )
        if not known.exists():
            known.write_text(run.info.run_id)
            mlflow.log_params(self.config.recipe.model_dump())
            mlflow.log_dict({"shards": [asdict(shard) for shard in self.shards]}, "shards.json")

        def log(step: int, metrics: dict[str, float]) -> None:
            self.record(step, metrics)
            mlflow.log_metrics(metrics, step=step)

        return log

    def __exit__(self, *_: object) -> None:
        if self.config.tracking_uri is not None:
            import mlflow

            mlflow.end_run()
