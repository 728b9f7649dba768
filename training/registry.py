"""Registered models: a model folder into MLflow, and out of it again. Promotion is in ``training.promotion``.

A version is logged as models-from-code (``training/served_model.py``) with the model folder and the code that scores,
so that MLflow serves it with the scoring requirements alone.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import inference
from inference.bundle import Bundle, ModelError, open_bundle
from inference.classifier import Classifier
from training.evidence import Evidence
from training.ledger import Ledger, LedgerError, LedgerLine, create_ledger
from training.promotion import PromotionError, champion, history, promote, rollback, settle
from training.store import RegistryError, client, ensure_tracking, one_line
from training.tracking import EVIDENCE, Tracked
from training.versions import CHALLENGER, DIGEST_TAG, GATE_TAG, Version, find_alias, find_version, to_version

__all__ = [
    "LedgerError",
    "LedgerLine",
    "PromotionError",
    "RegistryError",
    "Version",
    "champion",
    "evidence",
    "fetch_model",
    "fetch_version",
    "history",
    "promote",
    "register",
    "resolve",
    "rollback",
    "settle",
]

#: What the served model needs. The ranges are those of pyproject.toml, closed before the next major version.
REQUIREMENTS = ("mlflow>=3.17,<4", "numpy>=2.1,<3", "onnxruntime>=1.23,<2", "tokenizers>=0.22,<1")

SERVED_MODEL = Path(__file__).with_name("served_model.py")

#: What of the package ``inference`` travels with a model: the classifier and what it imports.
SHIPPED_CODE = ("__init__.py", "batches.py", "bundle.py", "classifier.py", "labels.py", "precision.py")

#: The model folder's name among the artifacts of a logged model.
FOLDER = "bundle"


def register(
    tracked: Tracked, bundle: Path, example_texts: Sequence[str], example_pairs: Sequence[str] | None = None
) -> Version:
    """Log the model folder ``bundle`` in the run, register it and give it the alias ``challenger``.

    The examples go into the store as the model's input example. Nothing is registered before the logged model has
    been fetched back and has answered them as the folder does. Raises ModelError for a folder that is no model,
    RegistryError where MLflow fails or the run holds no evidence yet.
    """
    opened = open_bundle(bundle)
    if not tracked.has_evidence:
        raise RegistryError(f"run {tracked.run_id} has no evaluation yet; call log_report before registering its model")
    if not tracked.is_active():
        raise RegistryError(f"run {tracked.run_id} is over; register its model while it is under way")
    name = tracked.config.registry.model
    _undo_unjudged(create_ledger(name))
    model_id = _log_model(opened, _frame(example_texts, example_pairs))
    with one_line(f"{name} cannot be registered"):
        tags = {DIGEST_TAG: opened.digest}
        source = f"models:/{model_id}"
        found = client().create_model_version(name, source, run_id=tracked.run_id, tags=tags, model_id=model_id)
        client().set_registered_model_alias(name, CHALLENGER, found.version)
        client().set_tag(tracked.run_id, "penchant.version", str(found.version))
    return to_version(found)


def _undo_unjudged(ledger: Ledger) -> None:
    """Delete the versions of runs that broke off before the gate judged them: half a registration is none.

    Those that a person promoted all the same stand in the ledger and stay; so do those of runs that are under way.
    """
    with one_line(f"versions of {ledger.name} that no run finished cannot be undone"):
        known = {(line.version, line.digest) for line in ledger.lines()}
        for found in client().search_model_versions(f"name = '{ledger.name}'"):
            version = to_version(found)
            if GATE_TAG in found.tags or version.as_champion in known or not version.run_id:
                continue
            if client().get_run(version.run_id).info.status in ("KILLED", "FAILED"):
                client().delete_model_version(ledger.name, str(version.number))


def _log_model(bundle: Bundle, frame: Any) -> str:
    """Log the model in the active run and check what came to lie in the store; returns its id."""
    import mlflow

    with one_line("the model cannot be logged"), _same_path(), tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "inference"
        code.mkdir()
        for name in SHIPPED_CODE:
            shutil.copy(Path(inference.__file__).with_name(name), code)
        staged = shutil.copytree(bundle.folder, Path(folder) / FOLDER)
        model_id: str = mlflow.pyfunc.log_model(
            name=re.sub(r"[^\w-]", "-", bundle.name),
            python_model=str(SERVED_MODEL),
            artifacts={FOLDER: str(staged)},
            code_paths=[str(code)],
            signature=signature(bundle),
            input_example=frame if len(frame) else None,
            pip_requirements=list(REQUIREMENTS),
        ).model_id
        _check_logged(_download(f"models:/{model_id}", Path(folder) / "back"), bundle, frame)
    return model_id


@contextmanager
def _same_path() -> Iterator[None]:
    """Undo what MLflow does to the import path when it loads a model: its code would come first from then on."""
    before = sys.path.copy()
    try:
        yield
    finally:
        sys.path[:] = before


def _check_logged(fetched: Path, bundle: Bundle, frame: Any) -> None:
    """Raise RegistryError unless the model that came back from the store is ``bundle`` and answers as it does."""
    import mlflow

    if open_bundle(fetched / "artifacts" / FOLDER).digest != bundle.digest:
        raise RegistryError(f"the store gave back another model than {bundle.folder}; look at its disk and log again")
    if not len(frame):
        return
    served = mlflow.pyfunc.load_model(str(fetched)).predict(frame)
    answers = Classifier.load(bundle.folder).predict(
        list(frame["text"]), list(frame["pair"]) if "pair" in frame else None
    )
    for task in bundle.tasks:
        if list(served[task.name]) != [answer[task.name] for answer in answers]:
            raise RegistryError(f"the logged model answers {task.name!r} otherwise than {bundle.folder}; log it again")


def _frame(texts: Sequence[str], pairs: Sequence[str] | None) -> Any:
    import pandas as pd

    columns = {"text": list(texts)} if pairs is None else {"text": list(texts), "pair": list(pairs)}
    return pd.DataFrame(columns, dtype=object)


def signature(bundle: Bundle) -> Any:
    """The MLflow signature of a served model: ``text`` and optionally ``pair`` in, one row of answers out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    answers: list[ColSpec | TensorSpec] = [ColSpec("string", task.name) for task in bundle.tasks]
    answers += [ColSpec("double", task.column(label)) for task in bundle.tasks for label in task.labels]
    answers += [ColSpec("double", "confidence"), ColSpec("boolean", "abstained")]
    answers += [ColSpec("long", "n_tokens"), ColSpec("long", "truncated_tokens")]
    texts: list[ColSpec | TensorSpec] = [ColSpec("string", "text"), ColSpec("string", "pair", required=False)]
    return ModelSignature(inputs=Schema(texts), outputs=Schema(answers))


def _download(uri: str, target: Path) -> Path:
    """Fetch a folder of artifacts to ``target``, which must not exist; returns the folder that was asked for."""
    import mlflow

    target.mkdir(parents=True)
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(target)))


def evidence(version: Version) -> Evidence:
    """What the version brought before the gate: scored test rows, calibration, report and cost, fetched from its run.

    Raises RegistryError where the run or its evidence is gone.
    """
    ensure_tracking()
    place = f"runs:/{version.run_id}/{EVIDENCE}"
    with one_line(f"the evidence of {version.uri} cannot be fetched"), tempfile.TemporaryDirectory() as folder:
        fetched = _download(place, Path(folder) / "fetched")
        try:
            return Evidence.load(fetched)
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(
                f"the evidence of {version.uri} cannot be read ({error}); evaluate the model again"
            ) from error


def resolve(uri: str) -> Version:
    """The version that ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION`` means now. Raises RegistryError."""
    ensure_tracking()
    match = re.fullmatch(r"models:/([^/:@]+)(?:@([^/:@]+)|/(\d+))", uri)
    if match is None:
        raise RegistryError(f"{uri!r} is no registered model; write models:/NAME@champion or models:/NAME/3")
    name, alias, number = match.groups()
    found = find_alias(name, alias) if alias else find_version(name, int(number))
    if found is None:
        missing = f"alias {alias!r}" if alias else f"version {number}"
        raise RegistryError(
            f"{name} has no {missing} in the registry; penchant-train history {name} prints what it has"
        )
    if not found.digest:
        raise RegistryError(
            f"{found.uri} was not registered by penchant-train, so it cannot be checked; register it anew"
        )
    return found


def default_cache() -> Path:
    """``penchant/models`` under ``XDG_CACHE_HOME``, or under ``~/.cache`` where that is unset or relative."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "penchant" / "models"


def fetch_model(uri: str, cache: Path | None = None) -> Path:
    """The model folder of ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, fetched once and kept by its digest.

    Every file is checked against its digest, and the whole against the version's, whether it was kept or fetched.
    Raises RegistryError (a ModelError) where that fails, the server is silent or there is no such model.
    """
    return fetch_version(resolve(uri), cache)


def fetch_version(version: Version, cache: Path | None = None) -> Path:
    """The model folder of one version, as :func:`fetch_model` fetches and checks it."""
    ensure_tracking()
    cache = cache or default_cache()
    kept = cache / version.digest
    if _holds(kept, version.digest):
        return kept
    with one_line(f"{version.uri} cannot be fetched"):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as folder:
            fetched = _download(f"{version.uri}/artifacts/{FOLDER}", Path(folder) / "new")
            if open_bundle(fetched).digest != version.digest:
                raise RegistryError(f"{version.uri} holds another model than was registered; do not use it, roll back")
            if kept.exists():  # cut or changed since: put it out of the way in one step
                kept.rename(Path(folder) / "old")
            try:
                fetched.rename(kept)
            except OSError:
                if not _holds(kept, version.digest):  # unless another process was quicker
                    raise
    return kept


def _holds(folder: Path, digest: str) -> bool:
    try:
        return open_bundle(folder).digest == digest
    except ModelError:
        return False
