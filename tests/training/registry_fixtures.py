"""A tiny model folder, evidence and stores for the tests of tracking, ledger and registry."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.bundle import open_bundle, write_manifest
from training.calibrate import Calibration
from training.config import RunConfig
from training.evaluate import evaluate
from training.evidence import Cost, Criterion, Decision, Evidence
from training.ledger import create_ledger
from training.metrics import Resampling, Scored
from training.registry import Version, history, register, settle
from training.store import client, experiment_id
from training.tracking import start_run, use_tracking
from training.versions import DIGEST_TAG, to_version

ROOT = Path(__file__).parents[2]
NAME = "essai-position"
TASKS = {"stance": ["pro-easing", "neutral", "pro-restriction"], "sentiment": ["negative", "neutral", "positive"]}
TEXTS = ["Le ministre lève les quotas .", "La filière réclame un embargo .", "Le port publie son bilan ."]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({word for text in TEXTS for word in text.lower().split()})]


def make_bundle(folder: Path, seed: int = 0, tasks: dict[str, list[str]] | None = None) -> Path:
    """A model folder whose graph sums a random row of logits a word; another ``seed`` is another model."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tasks = tasks or TASKS
    labels = [f"{task}={label}" for task, names in tasks.items() for label in names]
    folder.mkdir(parents=True)
    weights = np.random.default_rng(seed).normal(size=(len(WORDS), len(labels))).astype(np.float32)
    constants = {"weights": weights, "last": np.array([-1]), "length": np.array([1])}
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept", "last"], ["mask"]),
        helper.make_node("Mul", ["rows", "mask"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "length"], ["logits"], keepdims=0),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(labels)])
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(folder / "model.onnx"))

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=special
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}), "utf-8")
    id2label = {str(number): label for number, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps({"id2label": id2label}), "utf-8")
    calibration = {"temperatures": dict.fromkeys(tasks, 1.0), "thresholds": dict.fromkeys(tasks, 0.5)}
    content = {"name": NAME, "graph": "model.onnx", "max_length": 32, "calibration": calibration, "axes": {}}
    write_manifest(folder, {**content, "article_rule": {}, "facts": {}})
    return folder


def make_config(uri: str = "sqlite:///unused.db", name: str = NAME) -> RunConfig:
    return RunConfig.model_validate(
        {
            "name": "essai",
            "tasks": {task: {"labels": labels} for task, labels in TASKS.items()},
            "data": {"path": "corpus/essai.jsonl"},
            "model": {"kind": "tfidf"},
            "registry": {"tracking_uri": uri, "experiment": "essais", "model": name},
        }
    )


def make_evidence(seed: int = 0) -> Evidence:
    rng = np.random.default_rng(seed)
    rows = 24
    gold: dict[str, npt.NDArray[np.integer[Any]]] = {task: np.arange(rows) % 3 for task in TASKS}
    scored = Scored(
        ids=[f"r{row}" for row in range(rows)],
        groups=[f"g{row // 2}" for row in range(rows)],
        facets={"topic": ["acier" if row % 2 else "câbles" for row in range(rows)]},
        gold=gold,
        logits={task: (np.eye(3)[gold[task]] + rng.normal(size=(rows, 3))).astype(np.float32) for task in TASKS},
        labels={task: tuple(labels) for task, labels in TASKS.items()},
    )
    ones = dict.fromkeys(TASKS, 1.0)
    calibration = Calibration(ones, dict.fromkeys(TASKS, 0.4), 0.1, 0.9, dict(ones), dict(ones))
    report = evaluate({"unseen": scored}, calibration, how=Resampling(resamples=50))
    return Evidence({"unseen": scored}, calibration, report, Cost(12_345, 0.8))


def make_decision(promote: bool, summary: str = "") -> Decision:
    criterion = Criterion("quality", "stance macro-F1, unseen", 0.7, 0.6, 0.6, "pass" if promote else "fail", "essai")
    return Decision(promote, summary or ("better" if promote else "worse"), (criterion,))


@cache
def _lasting(name: str) -> Path:
    """A folder for what all tests of the process share."""
    folder = Path(tempfile.mkdtemp(prefix=f"penchant-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def shared_bundle(seed: int) -> Path:
    """The tiny model of ``seed``; not to be changed."""
    return make_bundle(_lasting("bundles") / f"model-{seed}", seed)


@cache
def _empty_store() -> Path:
    """An SQLite store with MLflow's tables and nothing in them; making them takes seconds, a copy does not."""
    folder = _lasting("store")
    use_tracking(f"sqlite:///{folder}/mlflow.db")
    client().search_experiments(max_results=1)
    return folder / "mlflow.db"


def make_store(folder: Path) -> str:
    """The address of an empty store in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(_empty_store(), folder / "mlflow.db")
    return f"sqlite:///{folder}/mlflow.db"


def bare_version(seed: int, name: str = NAME) -> Version:
    """A version without its artifacts, which promotions never look at: quick to make."""
    create_ledger(name)
    run = client().create_run(experiment_id("essais"))
    tags = {DIGEST_TAG: open_bundle(shared_bundle(seed)).digest}
    source = f"{run.info.artifact_uri}/model"
    return to_version(client().create_model_version(name, source, run_id=run.info.run_id, tags=tags))


@cache
def _populated_store() -> tuple[Path, list[Version]]:
    use_tracking(make_store(_lasting("populated")))
    made = [bare_version(seed) for seed in range(3)]
    settle(made[0], make_decision(True), against=None)
    return _lasting("populated") / "mlflow.db", made


def use_populated_store(folder: Path) -> list[Version]:
    """Use a store of the test's own, ``folder/mlflow.db``: three bare versions, the first of them champion."""
    file, versions = _populated_store()
    shutil.copy(file, folder / "mlflow.db")
    use_tracking(f"sqlite:///{folder}/mlflow.db")
    return versions


def story(name: str = NAME) -> list[tuple[str, int | None, int | None]]:
    """What the ledger tells: what, version, former champion."""
    return [(line.what, line.version, line.former) for line in history(name)]


def make_version(bundle: Path, config: RunConfig | None = None, texts: Sequence[str] = ()) -> Version:
    """Register ``bundle`` by a run of its own."""
    with start_run(config or make_config(), corpus_digest="c" * 64, split_sizes={"train": 3}) as tracked:
        tracked.log_report(make_evidence(), "# Evaluation\n")
        return register(tracked, bundle, texts)


@contextmanager
def tracking_server(folder: Path) -> Iterator[str]:
    """A real server on loopback that keeps and hands out the artifacts itself; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", make_store(folder), "--artifacts-destination", str(folder / "kept")]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"} | quiet
    uri = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--serve-artifacts"], stdout=log, stderr=log, env=environment, start_new_session=True, cwd=folder
        )
        try:
            wait_for(f"{uri}/health", server, folder / "server.log")
            yield uri
        finally:
            stop(server)


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 120.0) -> None:
    """Until ``address`` answers; raises AssertionError with the log's end where the server ended or never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"{address} does not answer: {log.read_text('utf-8', 'replace')[-2000:]}")


def stop(server: subprocess.Popen[bytes]) -> None:
    """End a server that was started in its own session, workers included."""
    import signal

    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(15)


SETTLE = """
import os, signal, sys
from training import promotion, registry
from training.evidence import Decision
from training.store import use_tracking

uri, name, number, dies = sys.argv[1:]
use_tracking(uri)
if dies == "dies":
    move = promotion._move_alias
    promotion._move_alias = lambda *arguments: (move(*arguments), os.kill(os.getpid(), signal.SIGKILL))
version = registry.resolve(f"models:/{name}/{number}")
champion = registry.champion(name)
print("ready", flush=True)
sys.stdin.readline()
print(registry.settle(version, Decision(True, "better", ()), against=champion).what, flush=True)
"""


def settle_elsewhere(uri: str, name: str, number: int, how: str = "lives") -> subprocess.Popen[str]:
    """Another process that promotes a version, once it reads a line on its standard input."""
    command = [sys.executable, "-c", SETTLE, uri, name, str(number), how]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
