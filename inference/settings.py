"""The settings of a scoring job: defaults, ``configs/score/*.yaml``, then the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class SettingsError(Exception):
    """Settings that cannot be used; the message says which key and why."""


class ScoreSettings(BaseModel):
    """What a scoring job does with its input; what shapes the rows is part of their fingerprint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["article", "passage"] = "article"
    format: Literal["parquet", "jsonl", "csv"] = "parquet"
    text_column: str = "text"
    id_column: str = "id"
    title_column: str = "title"
    date_column: str = "date"
    source_column: str = "source"
    topic_column: str = "topic"
    max_article_bytes: Annotated[int, Field(ge=1_000)] = 10_000_000
    max_passage_words: Annotated[int, Field(ge=20)] = 80
    min_passage_words: Annotated[int, Field(ge=0)] = 12
    part_passages: Annotated[int, Field(ge=1)] = 4_000
    quarantine_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    underlined_passages: Annotated[int, Field(ge=0)] = 16
    threads: Annotated[int, Field(ge=0)] = 0
    workers: Annotated[int, Field(ge=1)] = 1

    def shaping(self) -> dict[str, Any]:
        """The settings that the rows depend on."""
        return self.model_dump(exclude={"threads", "workers", "quarantine_share", "underlined_passages"})


def load_settings(path: Path | None, **given: Any) -> ScoreSettings:
    """Settings from a YAML file (optional), overridden by the ``given`` values that are not None.

    Raises SettingsError with one line a fault.
    """
    content: dict[str, Any] = {}
    if path is not None:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SettingsError(f"{path} cannot be read as YAML: {error}") from error
    content |= {key: value for key, value in given.items() if value is not None}
    try:
        return ScoreSettings.model_validate(content)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        known = ", ".join(ScoreSettings.model_fields)
        raise SettingsError(f"{path or 'settings'}: {'; '.join(faults)} (known keys: {known})") from error
