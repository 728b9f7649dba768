"""A registered model where only MLflow and the scoring dependencies are: loaded, and served over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inference.bundle import open_bundle
from inference.classifier import Classifier
from tests.training.registry_fixtures import (
    NAME,
    TEXTS,
    make_bundle,
    make_decision,
    make_store,
    make_version,
    shared_bundle,
    stop,
    wait_for,
)
from training import registry
from training.store import sqlite_file, use_tracking

#: Runs in a process that has neither this project nor any training library.
ALONE = """
import json, sys

for name in ("training", "torch", "transformers", "datasets", "sklearn", "onnx"):
    sys.modules[name] = None
import mlflow
import pandas as pd

model = mlflow.pyfunc.load_model(sys.argv[1])
answers = model.predict(pd.DataFrame(json.loads(sys.argv[2])))
import inference

print(json.dumps({"inference": inference.__file__, "answers": answers.to_dict("records")}))
"""


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A champion in a store, and the environment that names the store, in a working folder elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        uri = make_store(tmp_path_factory.mktemp("served"))
        use_tracking(uri)
        version = make_version(shared_bundle(0), texts=TEXTS)
        registry.settle(version, make_decision(True), against=None)
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"}


def test_served_model_needs_scoring_dependencies_alone(champion: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", ALONE, f"models:/{NAME}@champion", json.dumps({"text": TEXTS})]
    done = subprocess.run(command, cwd=tmp_path, env=champion, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["inference"].endswith("/code/inference/__init__.py")
    expected = Classifier.load(shared_bundle(0)).predict(TEXTS)
    for answer, prediction in zip(found["answers"], expected, strict=True):
        assert answer["stance"] == prediction["stance"]
        assert answer["sentiment"] == prediction["sentiment"]
        assert answer["stance_pro_easing"] == pytest.approx(prediction.probabilities["stance"]["pro-easing"])
        assert answer["confidence"] == pytest.approx(prediction.confidence["stance"])
        assert answer["abstained"] == prediction.abstained["stance"]
        assert (answer["n_tokens"], answer["truncated_tokens"]) == (prediction.n_tokens, 0)


def test_served_model_of_another_task_reads_the_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow
    import pandas as pd

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(sys, "path", sys.path.copy())  # MLflow puts the model's code there
    use_tracking(make_store(tmp_path / "mlruns"))
    bundle = make_bundle(tmp_path / "paire", 5, {"position": ["pour", "contre"]})
    version = make_version(bundle)
    pairs = ["les quotas", None, "le port"]
    found = mlflow.pyfunc.load_model(version.uri).predict(pd.DataFrame({"text": TEXTS, "pair": pairs}))
    classifier = Classifier.load(bundle)
    one, alone, three = TEXTS  # a row without a pair is scored alone: an empty pair would be another input
    expected = [*classifier.predict([one], ["les quotas"]), *classifier.predict([alone])]
    expected += classifier.predict([three], ["le port"])
    assert list(found["position"]) == [one["position"] for one in expected]
    assert list(found["n_tokens"]) == [one.n_tokens for one in expected]
    probabilities = ["position_pour", "position_contre"]
    assert list(found) == ["position", *probabilities, "confidence", "abstained", "n_tokens", "truncated_tokens"]


@pytest.fixture(scope="module")
def served(champion: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The champion behind ``mlflow models serve``."""
    folder = tmp_path_factory.mktemp("serve")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--host", "127.0.0.1"]
    command += ["--port", port, "--workers", "1", "--model-uri", f"models:/{NAME}@champion"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{champion['PATH']}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env={**champion, "PATH": path}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/ping", server, folder / "log")
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            stop(server)


def ask(address: str, content: dict[str, Any]) -> Any:
    body = json.dumps(content).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_served_model_answers_over_http(served: str) -> None:
    records = ask(served, {"dataframe_records": [{"text": text} for text in TEXTS]})["predictions"]
    expected = Classifier.load(shared_bundle(0)).predict(TEXTS)
    assert [row["stance"] for row in records] == [one["stance"] for one in expected]
    columns = ask(served, {"inputs": {"text": TEXTS, "pair": ["le port", "", "un embargo"]}})["predictions"]
    assert [row["n_tokens"] for row in columns] != [row["n_tokens"] for row in records]
    for row in records:
        assert sum(value for name, value in row.items() if name.startswith("stance_")) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"dataframe_records": [{"text": TEXTS[0]}, {"text": "  "}]}, "the text of row 1 is empty"),
        ({"dataframe_records": [{"texte": TEXTS[0]}]}, "missing inputs ['text']"),
        ({"dataframe_records": [{"text": 12}]}, "text"),
    ],
)
def test_served_model_refuses_bad_rows_by_name(served: str, content: dict[str, Any], said: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(served, content)
    assert caught.value.code == 400
    assert said in caught.value.read().decode()


def test_served_model_folder_is_the_registered_one(champion: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", champion["MLFLOW_TRACKING_URI"])
    file = sqlite_file(champion["MLFLOW_TRACKING_URI"])
    assert file is not None
    (graph,) = file.parent.rglob("artifacts/bundle/model.onnx")
    assert open_bundle(graph.parent).digest == registry.resolve(f"models:/{NAME}@champion").digest
