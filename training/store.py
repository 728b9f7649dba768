"""Where runs and registered models are kept: an SQLite file by default, or an MLflow server.

MLflow is imported inside the functions: it costs seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from inference.bundle import ModelError
from training.config import RegistryConfig

#: What a client waits for, unless the user says otherwise: MLflow's own defaults make an absent server cost minutes.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
}
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}

SQLITE = "sqlite:///"
LOCK_SECONDS = 60.0


class RegistryError(ModelError):
    """MLflow cannot be reached, or does not hold what is asked of it; one line with the mend."""


@contextmanager
def one_line(doing: str) -> Iterator[None]:
    """Turn what MLflow and its transport raise into a RegistryError of one line that begins with ``doing``."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        request, silent, _ = said.partition(" failed with exception ")
        if silent:  # what follows are the innards of the HTTP client
            said = f"{request} got no answer; see that the server runs, then give the same command again"
        raise RegistryError(f"{doing}: {said[:400]}") from error


def sqlite_file(uri: str) -> Path | None:
    """The file of a ``sqlite:///`` address, absolute; None for any other address."""
    if not uri.startswith(SQLITE):
        return None
    return Path(uri.removeprefix(SQLITE).partition("?")[0]).absolute()


def use_tracking(uri: str, *, create: bool = True) -> None:
    """Keep runs and models at ``uri``, or at ``MLFLOW_TRACKING_URI`` where the user has set it.

    Makes the folder of an SQLite file (with ``create``), turns MLflow's telemetry off and its chatter down. Raises
    RegistryError at once where a server does not answer or the place cannot be used.
    """
    for name, value in {**PATIENCE, **QUIET}.items():
        os.environ.setdefault(name, value)
    set_by_user = os.environ.get("MLFLOW_TRACKING_URI")
    uri = set_by_user or uri
    if uri.startswith(("http://", "https://")):
        _require_answer(uri)
    elif (file := sqlite_file(uri)) is not None:
        _require_place(file, create=create)
        uri = f"{SQLITE}{file}"
    elif "://" not in uri or uri.startswith("file:"):
        raise RegistryError(
            f"{uri!r} is a folder, which MLflow no longer keeps runs in; write sqlite:///FOLDER/mlflow.db"
        )
    import logging

    import mlflow

    if os.environ["MLFLOW_LOGGING_LEVEL"] == QUIET["MLFLOW_LOGGING_LEVEL"]:
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
    with one_line(f"cannot use {uri}"):
        mlflow.set_tracking_uri(uri)
    if set_by_user is None:  # MLflow exports what it is given; a later call must not take that for the user's wish
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def ensure_tracking() -> None:
    """Use what :func:`use_tracking` set before, else ``MLFLOW_TRACKING_URI``, else the default place, if it exists."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow

    is_set: Any = mlflow.is_tracking_uri_set
    if os.environ.get("MLFLOW_TRACKING_URI") or not is_set():
        use_tracking(RegistryConfig().tracking_uri, create=False)


def _require_answer(uri: str) -> None:
    """Any answer of a server will do; only silence is an error, and it must not cost MLflow's retries."""
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=10, stream=True).close()
    except requests.exceptions.SSLError:
        return  # it is there; MLflow has its own settings for certificates
    except requests.exceptions.RequestException as error:
        raise RegistryError(
            f"no tracking server answers at {uri}; start it, or set MLFLOW_TRACKING_URI to another"
        ) from error


def _require_place(file: Path, *, create: bool) -> None:
    if not create and not file.exists():
        raise RegistryError(
            f"there is no registry at {file}; run penchant-train here, or set MLFLOW_TRACKING_URI to a server"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RegistryError(f"{file.parent} cannot be made ({error.strerror}); set registry.tracking_uri") from error


def client() -> Any:
    """An MLflow client of the place in use."""
    from mlflow import MlflowClient

    return MlflowClient()


def experiment_id(name: str) -> str:
    """The id of an experiment, which is made where there is none.

    Its artifacts lie beside an SQLite file, in ``artifacts/``; a server has its own place for them.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    with one_line(f"experiment {name!r}"):
        found = client().get_experiment_by_name(name)
        if found is None:
            file = sqlite_file(mlflow.get_tracking_uri())
            place = (file.parent / "artifacts").as_uri() if file else None
            try:
                return str(client().create_experiment(name, artifact_location=place))
            except MlflowException:
                found = client().get_experiment_by_name(name)  # another process was quicker
                if found is None:
                    raise
    if found.lifecycle_stage != "active":
        raise RegistryError(
            f"experiment {name!r} was deleted; restore it with mlflow experiments restore, or rename yours"
        )
    return str(found.experiment_id)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock file of an SQLite store, so that one process of this machine at a time does what follows.

    A killed process lets go of it. A server has none. Raises RegistryError after :data:`LOCK_SECONDS`.
    """
    import mlflow

    file = sqlite_file(mlflow.get_tracking_uri())
    if file is None:
        yield
        return
    import fcntl

    with ExitStack() as opened:
        with one_line("the registry cannot be locked"):
            lock = opened.enter_context(file.with_name(f"{file.name}.lock").open("w"))
        patience = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > patience:
                    raise RegistryError(f"another process holds {lock.name}; try again when it is done") from None
                time.sleep(0.05)
        yield
