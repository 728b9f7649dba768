"""The configuration of a retraining run: one YAML file, validated before anything is spent.

Every key is used; an unknown key is an error that names the nearest one. Paths are relative to the working folder.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.gate import GateConfig

T = TypeVar("T", bound=BaseModel)


class ConfigError(Exception):
    """A configuration that cannot be used; the message says which key, why and the mend."""


class Strict(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskConfig(Strict):
    """One task: the column its gold labels stand in, its labels in order, and its share of the loss.

    ``plus`` and ``minus`` name the labels of an article index, (plus − minus) / passages; none, no index.
    ``rename`` maps what the data says to a label (``FAVOR`` to ``for``).
    """

    labels: Annotated[list[str], Field(min_length=2)]
    column: str | None = None
    rename: dict[str, str] = {}
    weight: Annotated[float, Field(gt=0)] = 1.0
    plus: str | None = None
    minus: str | None = None

    @model_validator(mode="after")
    def _labels_are_known(self) -> TaskConfig:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ from one another")
        if (self.plus is None) != (self.minus is None):
            raise ValueError("plus and minus go together")
        for label in (self.plus, self.minus, *self.rename.values()):
            if label is not None and label not in self.labels:
                raise ValueError(f"{label!r} is none of the labels {self.labels}")
        return self


class AuxiliaryTask(TaskConfig):
    """A task that training learns beside the others and that is not in the model.

    With ``product_of`` two tasks, a row without its label gets ``plus`` where the two have signs alike (each its own
    ``plus`` or ``minus``), ``minus`` where they differ, none where one has no sign: a stance being the direction of a
    measure × the judgement on it, the direction is stance × tone where the tone is that of the judgement.
    """

    product_of: tuple[str, str] | None = None

    @model_validator(mode="after")
    def _a_product_has_signs(self) -> AuxiliaryTask:
        if self.product_of is not None and self.plus is None:
            raise ValueError("product_of needs plus and minus, the labels of either sign")
        return self


class Columns(Strict):
    """Where the data keeps things; ``pair`` is a text that goes before the text (a question, a title)."""

    text: str = "text"
    pair: str | None = None
    id: str = "id"
    group: str | None = "group"
    split: str | None = "split"


class SplitConfig(Strict):
    """Which rows train, validate and test.

    With a split column: the names it uses. Without one: shares of the groups, drawn by ``seed``.
    """

    train: str = "train"
    validation: str = "validation"
    tests: list[str] = ["test"]
    validation_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    test_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
    seed: int = 0


class DataConfig(Strict):
    """The corpus: a file (.jsonl, .csv, .parquet), a folder of them, or a ``datasets`` folder saved to disk.

    ``augmented`` rows join the training split alone. ``files`` maps a split to its file instead of ``path``. ``accept``
    names findings of the corpus check that are known and lived with: they warn instead of stopping the run.
    """

    path: Path | None = None
    files: dict[str, Path] = {}
    augmented: list[Path] = []
    columns: Columns = Columns()
    split: SplitConfig = SplitConfig()
    facets: list[str] = ["topic", "genre", "source_kind"]
    accept: list[str] = []
    invariance: list[str] = ["actor-swap", "figure-swap", "synonym-swap", "typography"]

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if (self.path is None) == (not self.files):
            raise ValueError("give either path or files")
        return self


class CompanionConfig(Strict):
    """A linear model on hashed pieces and pairs of pieces beside the encoder, inside the exported graph.

    ``buckets`` rows of its table (vocabulary included), inverse regularisation ``c``, features of fewer than
    ``min_rows`` training rows left out.
    """

    buckets: Annotated[int, Field(ge=1024, le=2**22)] = 2**18
    c: Annotated[float, Field(gt=0)] = 8.0
    min_rows: Annotated[int, Field(ge=1)] = 2


class ModelConfig(Strict):
    """What is trained: an encoder checkpoint (folder or hub name) or, with kind tfidf, TF-IDF + logistic regression."""

    kind: Literal["transformer", "tfidf"] = "transformer"
    encoder: str | None = None
    companion: CompanionConfig | None = None
    from_scratch: bool = False  # the encoder's shape with random weights: the un-pre-trained twin
    max_length: Annotated[int, Field(ge=16, le=8192)] = 256

    @model_validator(mode="after")
    def _encoder_is_named(self) -> ModelConfig:
        if self.kind == "transformer" and not self.encoder:
            raise ValueError("a transformer needs encoder: a checkpoint folder or a hub name")
        if self.kind == "tfidf" and self.companion is not None:
            raise ValueError("a companion stands beside an encoder; remove it or set kind to transformer")
        return self


class AugmentConfig(Strict):
    """The probability of each kind of augmentation at a reading of a training row (see :mod:`training.augment`)."""

    typography: Annotated[float, Field(ge=0, le=1)] = 0.0
    actors: Annotated[float, Field(ge=0, le=1)] = 0.0
    figures: Annotated[float, Field(ge=0, le=1)] = 0.0


class TrainConfig(Strict):
    """How the transformer is fine-tuned; rates are peaks, ``warmup`` is a share of the steps.

    ``hidden_words`` is the share of pieces that the mask token hides at each reading of a training row: a small model
    then cannot learn rows by single words. ``contrastive`` weighs the loss between members of a contrast group, which
    then share a batch (see :mod:`training.group_loss`). ``masked_language`` weighs the loss of telling the pieces that
    were hidden (see :mod:`training.vocabulary_loss`), which keeps an encoder able to fill masks. 0 leaves each out.
    ``auxiliary`` tasks are learnt beside the others, from the rows that have their labels, and are not in the model.
    """

    epochs: Annotated[float, Field(gt=0)] = 6
    batch_size: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    hidden_words: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augment: AugmentConfig = AugmentConfig()
    contrastive: Annotated[float, Field(ge=0)] = 0.0
    masked_language: Annotated[float, Field(ge=0)] = 0.0
    auxiliary: dict[str, AuxiliaryTask] = {}
    bf16: bool = True

    @model_validator(mode="after")
    def _something_is_hidden(self) -> TrainConfig:
        if self.masked_language and not self.hidden_words:
            raise ValueError("masked_language asks what hidden pieces were: give hidden_words a share, such as 0.15")
        return self


class BaselineConfig(Strict):
    """TF-IDF + logistic regression (scikit-learn): word 1–2-grams, character n-grams inside words."""

    word_ngrams: tuple[int, int] = (1, 2)
    char_ngrams: tuple[int, int] = (2, 5)
    c: Annotated[float, Field(gt=0)] = 4.0


class CalibrationConfig(Strict):
    """The risk that an unabstained passage may carry, and the confidence with which validation shows it."""

    risk: Annotated[float, Field(gt=0, lt=1)] = 0.10
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9


class Int8Config(Strict):
    """When a graph in int8 goes beside the fp32 one: the least share of labels that agree, the most macro-F1 lost, on
    validation and on all tests together; the least ratio of speeds on this machine. ``rows`` of training set ranges."""

    agreement: Annotated[float, Field(gt=0, le=1)] = 0.995
    macro_f1_loss: Annotated[float, Field(ge=0, le=1)] = 0.003
    speed: Annotated[float, Field(ge=0)] = 1.1
    rows: Annotated[int, Field(gt=0)] = 512


class ExportConfig(Strict):
    """Where the model folder goes, what its graph must keep against the trained checkpoint, whether int8 is tried."""

    folder: Path | None = None
    max_logit_difference: Annotated[float, Field(gt=0)] = 1e-3
    int8: Int8Config | None = None


class RegistryConfig(Strict):
    """MLflow: where runs are kept (``MLFLOW_TRACKING_URI`` wins), the experiment and the registered model's name."""

    tracking_uri: str = "sqlite:///mlruns/mlflow.db"
    experiment: str = "penchant"
    model: str = "penchant-stance"
    register_model: bool = True
    promote: bool = True


class RunConfig(Strict):
    """A retraining run, whole."""

    name: str
    work: Path = Path("runs")
    seeds: Annotated[list[int], Field(min_length=1)] = [11]
    threads: Annotated[int, Field(ge=0)] = 0
    tasks: Annotated[dict[str, TaskConfig], Field(min_length=1)]
    data: DataConfig
    model: ModelConfig
    train: TrainConfig = TrainConfig()
    baseline: BaselineConfig = BaselineConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    export: ExportConfig = ExportConfig()
    registry: RegistryConfig = RegistryConfig()
    gate: GateConfig = GateConfig()

    @model_validator(mode="after")
    def _every_key_is_used(self) -> RunConfig:
        """A section of the other kind of model would be accepted and ignored: refuse it instead."""
        idle = "baseline" if self.model.kind == "transformer" else "train"
        if idle in self.model_fields_set:
            raise ValueError(f"section {idle!r} has no effect when model.kind is {self.model.kind!r}; remove it")
        if twice := sorted(set(self.tasks) & set(self.train.auxiliary)):
            raise ValueError(f"{twice} are tasks and auxiliary tasks; keep one")
        for name, task in self.train.auxiliary.items():
            for factor in task.product_of or ():
                if factor not in self.tasks or self.tasks[factor].plus is None:
                    raise ValueError(f"{name} is a product of {factor!r}, which is no task with plus and minus")
        return self

    @property
    def learnt_tasks(self) -> dict[str, TaskConfig]:
        """What training learns: the model's tasks, then the auxiliary ones."""
        return {**self.tasks, **self.train.auxiliary}


def _known_keys(model: type[BaseModel]) -> Iterable[str]:
    for name, field in model.model_fields.items():
        yield name
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _known_keys(part)


def explain_validation(error: ValidationError, model: type[BaseModel], place: str) -> ConfigError:
    """One line a fault: the key, what is wrong, and for an unknown key the nearest known one."""
    lines: list[str] = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"]) or "the file"
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(fault["loc"][-1]), sorted(set(_known_keys(model))), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            lines.append(f"{place}: unknown key {key!r}{hint}")
        else:
            lines.append(f"{place}: {key}: {fault['msg']}")
    return ConfigError("\n".join(lines))


def apply_overrides(content: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set dotted keys: ``train.epochs=2`` (values are YAML). Raises ConfigError for what is no ``key=value``."""
    for override in overrides:
        dotted, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set takes key=value, it was given {override!r}")
        *parents, last = dotted.split(".")
        place = content
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {override}: {parent!r} is a value, not a section")
        place[last] = yaml.safe_load(value)
    return content


def load_yaml(path: Path, model: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a YAML configuration of type ``model``. Raises ConfigError with one line a fault."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold keys and values")
    try:
        return model.model_validate(apply_overrides(content, overrides))
    except ValidationError as error:
        raise explain_validation(error, model, str(path)) from error


def load_run_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read the configuration of a retraining run."""
    return load_yaml(path, RunConfig, overrides)
