"""What a sweep searches: its configuration, and the checks that none of its points is refused or without effect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from training.config import ConfigError, RunConfig, Strict, load_run_config

Value = int | float | str | bool | None

#: What a trial can change and its objective can see; the companion is fitted after the encoder, on its logits.
SEARCHABLE = ("train.", "model.", "baseline.", "tasks.")
OUT_OF_SIGHT = ("model.companion",)
MEAN = "mean_macro_f1"


class Dimension(Strict):
    """What a key may be: ``values`` to choose from, or numbers from ``low`` to ``high``.

    ``log`` searches orders of magnitude; ``step`` keeps to multiples of it above ``low``.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: Annotated[float, Field(gt=0)] | None = None
    values: Annotated[list[Value], Field(min_length=2)] | None = None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Dimension:
        if (self.values is None) == (self.low is None and self.high is None):
            raise ValueError("give either values, or low and high")
        if self.values is not None:
            if self.log or self.step is not None:
                raise ValueError("log and step go with low and high, not with values")
            return self
        if self.low is None or self.high is None or not self.low < self.high:
            raise ValueError("low and high go together, low below high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low above zero and no step")
        return self

    def ends(self) -> list[Value]:
        """The values that a configuration must accept for the whole dimension to make sense."""
        return [self.low, self.high] if self.values is None else self.values


class SweepConfig(Strict):
    """A sweep: the ``run`` it starts from (with ``set`` keys), its bounds, its objective and its space.

    ``objective`` is ``TASK_macro_f1`` or ``mean_macro_f1``, on validation. ``minutes`` bound each command, ``trials``
    the whole sweep. With ``prune`` a trial stops that is below the median of the others at the same epoch.
    """

    name: str
    run: Path
    set: dict[str, Value | list[Value]] = Field(default_factory=dict)
    minutes: Annotated[float, Field(gt=0)] = 30
    trials: Annotated[int, Field(ge=1)] = 20
    objective: str = MEAN
    prune: bool = True
    seed: int = 0
    space: Annotated[dict[str, Dimension], Field(min_length=1)]


def to_override(key: str, value: Any) -> str:
    """``key=value`` as ``--set`` takes it; numbers with four digits, which is what a trial is run with."""
    return f"{key}={json.dumps(float(f'{value:.4g}') if isinstance(value, float) else value, ensure_ascii=False)}"


def base_overrides(sweep: SweepConfig) -> list[str]:
    """The keys that the sweep sets in every trial."""
    return [to_override(key, value) for key, value in sweep.set.items()]


def check_space(sweep: SweepConfig) -> RunConfig:
    """The run that the sweep starts from. Raises ConfigError for a space that a run would not accept, or not feel."""
    base = load_run_config(sweep.run, base_overrides(sweep))
    known = [f"{task}_macro_f1" for task in base.tasks]
    if sweep.objective not in (*known, MEAN):
        raise ConfigError(f"objective is {sweep.objective!r}; set it to one of {[*known, MEAN]}")
    for key, dimension in sweep.space.items():
        if not key.startswith(SEARCHABLE) or key.startswith(OUT_OF_SIGHT):
            raise ConfigError(f"space: {key} does not change what a trial measures; search keys of train, model, tasks")
        whole = dimension.values is None and is_whole(base, key)
        for value in dimension.ends():
            override = to_override(key, round(float(value or 0)) if whole else value)
            try:
                load_run_config(sweep.run, [*base_overrides(sweep), override])
            except ConfigError as error:
                raise ConfigError(f"space: {override}: {error}") from error
    return base


def is_whole(config: RunConfig, key: str) -> bool:
    """Whether the configuration's ``key`` is a whole number; False for what is no key at all."""
    *parents, last = key.split(".")
    place: Any = config
    for part in parents:
        place = place.get(part) if isinstance(place, Mapping) else getattr(place, part, None)
    field = type(place).model_fields.get(last) if isinstance(place, BaseModel) else None
    return field is not None and field.annotation is int


def present_point(config: SweepConfig, base: RunConfig) -> dict[str, Value] | None:
    """The run's own point of the space; None where it lies outside."""
    point: dict[str, Value] = {}
    for key, dimension in config.space.items():
        place: Any = base
        for part in key.split("."):
            place = place[part] if isinstance(place, Mapping) else getattr(place, part)
        inside = place in dimension.ends() if dimension.values is not None else _within(dimension, place)
        if not inside:
            return None
        point[key] = place
    return point


def _within(dimension: Dimension, value: Any) -> bool:
    assert dimension.low is not None
    assert dimension.high is not None
    if not isinstance(value, (int, float)) or not dimension.low <= value <= dimension.high:
        return False
    return dimension.step is None or abs((value - dimension.low) / dimension.step % 1) < 1e-9
