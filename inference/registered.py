"""A model that a registry keeps: ``models:/NAME@ALIAS`` to a folder of this machine and a record of where it is from.

The registry is reached by the package ``training``, which an installation for scoring alone does not need; it is
looked up by name, when an address of a registry is given and not before.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from inference.bundle import ModelError

SCHEME = "models:/"


class Located(NamedTuple):
    """A model folder and, where a registry keeps it, its record: address asked for, name, version, digest, run."""

    folder: Path
    record: dict[str, Any] | None


def locate(model: str | Path) -> Located:
    """The folder of ``model``: a folder itself, or what ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION`` means now.

    An alias is looked up once, so that the record names the very version that was fetched. Raises ModelError where the
    registry cannot be reached, has no such model or hands out another one than was registered.
    """
    uri = str(model)
    if not uri.startswith(SCHEME):
        return Located(Path(model), None)
    try:
        registry = import_module("training.registry")
        version = registry.resolve(uri)
        folder: Path = registry.fetch_version(version)
    except ImportError as error:
        raise ModelError(f"{uri} lies in a registry; install penchant[train] to reach it ({error})") from error
    record = {"uri": uri, "name": version.name, "version": version.number, "digest": version.digest}
    return Located(folder, {**record, "run": version.run_id})
