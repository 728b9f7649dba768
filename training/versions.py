"""Versions of registered models, as MLflow has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.ledger import Champion
from training.store import client, one_line

#: The digest of the model folder that a version holds; what the gate said of it.
DIGEST_TAG = "penchant.digest"
GATE_TAG = "penchant.gate"

CHAMPION = "champion"
CHALLENGER = "challenger"


@dataclass(frozen=True)
class Version:
    """A version of a registered model: its name and number, the digest of its model folder, the run it came from."""

    name: str
    number: int
    digest: str
    run_id: str

    @property
    def uri(self) -> str:
        """``models:/NAME/NUMBER``."""
        return f"models:/{self.name}/{self.number}"

    @property
    def as_champion(self) -> Champion:
        """The version as the ledger knows it."""
        return Champion(self.number, self.digest)


def to_version(found: Any) -> Version:
    """An MLflow model version as ours."""
    return Version(str(found.name), int(found.version), found.tags.get(DIGEST_TAG, ""), str(found.run_id or ""))


def find_version(name: str, number: int) -> Version | None:
    """Version ``number`` of a registered model, None where there is no such version."""
    from mlflow.exceptions import MlflowException

    with one_line(f"version {number} of {name} cannot be read"):
        try:
            return to_version(client().get_model_version(name, str(number)))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise


def find_alias(name: str, alias: str) -> Version | None:
    """The version that carries ``alias``; None where no version does, or no such model is registered."""
    from mlflow.exceptions import MlflowException

    with one_line(f"alias {alias} of {name} cannot be read"):
        try:
            return to_version(client().get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
