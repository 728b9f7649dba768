"""The doctor: finds what is amiss, says the mend, and never falls over itself."""

import json
import shutil
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference import doctor
from inference.bundle import MANIFEST
from inference.classifier import SHIPPED, Classifier, Prediction
from inference.doctor import Check, check_libraries, check_processor, check_python, check_terminal, examine, satisfies

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "model"))


def with_self_test(classifier: Classifier, rows: Any) -> Classifier:
    bundle = replace(classifier.bundle, facts={"self_test": rows})
    return Classifier(bundle, classifier._tokenizer, classifier._session)


def cpuinfo(folder: Path, line: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nmodel name\t: a processor\n{line}\n\nprocessor\t: 1\n", encoding="utf-8")
    return path


def test_doctor_finds_the_shipped_model_sound() -> None:
    checks = {check.name: check for check in examine()}
    assert next(iter(checks)) == "python"
    assert {"processor", "model", "self-test", "temporary folder", "terminal", *doctor.LIBRARIES} <= set(checks)
    for name in ("python", "model", "self-test", "temporary folder"):
        assert checks[name].state == "ok", checks[name]
    json.dumps([check.as_dict() for check in checks.values()], allow_nan=False)


def test_doctor_asks_for_what_the_project_file_asks_for() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    assert {name + wanted for name, wanted in doctor.LIBRARIES.items()} == set(project["dependencies"])
    assert project["requires-python"] == doctor.PYTHON


@pytest.mark.parametrize(
    ("version", "wanted", "inside"),
    [
        ("2.10", ">=2.9", True),
        ("2.9.9", ">=2.10", False),
        ("3", ">=3.0.0", True),
        ("3.0.0", "<3", False),
        ("26.0.0rc1", ">=21,<26", False),
        ("25.4.post1", ">=21,<26", True),
        ("unknown", ">=1", False),
    ],
)
def test_doctor_compares_versions_as_numbers(version: str, wanted: str, inside: bool) -> None:
    assert satisfies(version, wanted) is inside


def test_doctor_refuses_a_bound_it_does_not_understand() -> None:
    with pytest.raises(ValueError, match="not understood"):
        satisfies("1.0", "~=1.0")


def test_doctor_names_missing_and_old_libraries() -> None:
    missing, old, fine = check_libraries({"numpy": None, "pyarrow": "26.1", "rich": "14.2"})
    assert (missing.state, missing.mend) == ("fail", "pip install 'numpy>=2.1'")
    assert (old.state, old.detail) == ("fail", "26.1, wanted >=21,<26")
    assert fine == Check("rich", "ok", "14.2")
    assert check_python("3.10.14").state == "fail"


@pytest.mark.parametrize(
    ("line", "state", "found"),
    [
        ("flags\t\t: fpu avx avx2 avx512_vnni", "ok", "avx2, avx512_vnni"),
        ("flags\t\t: fpu avx2 avx_vnni", "ok", "avx2, avx_vnni"),
        ("Features\t: fp asimd asimddp", "ok", "asimd, asimddp"),
        ("flags\t\t: fpu avx avx2", "warn", "only avx2"),
        ("flags\t\t: fpu sse2", "warn", "none"),
        ("vmx flags\t: avx2", "warn", "unknown"),
    ],
)
def test_doctor_reads_the_processor(tmp_path: Path, line: str, state: str, found: str) -> None:
    check = check_processor(cpuinfo(tmp_path, line))
    assert check.state == state
    assert found in check.detail
    assert bool(check.mend) == (state != "ok")


def test_doctor_does_not_know_a_processor_without_cpuinfo(tmp_path: Path) -> None:
    check = check_processor(tmp_path / "none")
    assert check.state == "warn"
    assert "unknown" in check.detail


def test_doctor_finds_a_changed_file(folder: Path) -> None:
    (folder / "config.json").write_text("{}", encoding="utf-8")
    checks = {check.name: check for check in examine(folder)}
    assert checks["model"].state == "fail"
    assert "config.json does not match" in checks["model"].detail
    assert "copy it again" in checks["model"].mend
    assert checks["self-test"].state == "fail"


def test_doctor_finds_a_missing_folder(tmp_path: Path) -> None:
    check = next(check for check in examine(tmp_path / "none") if check.name == "model")
    assert (check.state, "give --model" in check.mend) == ("fail", True)


def test_doctor_finds_a_graph_that_does_not_open(folder: Path) -> None:
    from inference.bundle import file_digest

    (folder / "model.onnx").write_bytes(b"no graph")
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"]["model.onnx"] = file_digest(folder / "model.onnx")
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    intact, tested = doctor.check_model(folder)
    assert intact.state == "ok"
    assert tested.state == "fail"
    assert "does not open" in tested.detail
    assert "\n" not in tested.detail


def test_doctor_compares_the_labels_a_model_was_shipped_with(classifier: Classifier) -> None:
    text = "Le port accueille sans joie les nouvelles règles."
    task = classifier.tasks[0]
    right = classifier.predict([text])[0][task.name]
    wrong = next(label for label in task.labels if label != right)
    passed = doctor.self_test(with_self_test(classifier, [{"text": text, task.name: right}]))
    assert passed.state == "ok"
    assert "1 labels as expected" in passed.detail
    failed = doctor.self_test(with_self_test(classifier, [{"text": text, task.name: wrong}]))
    assert failed.state == "fail"
    assert f"is {right}, expected {wrong}" in failed.detail


@pytest.mark.parametrize(
    ("rows", "flaw"),
    [
        ("text", "not a list"),
        ([{"stance": "neutral"}], "self_test[0] has no text"),
        ([{"text": "Oui.", "topic": "x"}], "expects topic=x"),
        ([{"text": "Oui.", "stance": "tiède"}], "expects stance=tiède"),
        ([{"text": "Oui.", "stance": ["neutral"]}], "expects stance="),
    ],
)
def test_doctor_finds_a_self_test_that_makes_no_sense(classifier: Classifier, rows: Any, flaw: str) -> None:
    check = doctor.self_test(with_self_test(classifier, rows))
    assert check.state == "fail"
    assert flaw in check.detail


class Broken(Classifier):
    """A classifier whose n-th call turns its probabilities."""

    def __init__(self, classifier: Classifier, call: int, factor: float) -> None:
        super().__init__(classifier.bundle, classifier._tokenizer, classifier._session)
        self.calls, self.call, self.factor = 0, call, factor

    def predict(self, texts: Any, pairs: Any = None) -> list[Prediction]:
        self.calls += 1
        predictions = super().predict(texts, pairs)
        if self.calls == self.call:
            first = {
                task: {k: v * self.factor for k, v in shares.items()}
                for task, shares in predictions[0].probabilities.items()
            }
            predictions[0] = replace(predictions[0], probabilities=first)
        return predictions


@pytest.mark.parametrize(
    ("call", "factor", "found"),
    [(1, np.nan, "not finite"), (1, 1.01, "sum to 1"), (2, 1.01, "twice"), (3, 1.01, "another order")],
)
def test_doctor_self_test_sees_unsound_scores(classifier: Classifier, call: int, factor: float, found: str) -> None:
    check = doctor.self_test(Broken(classifier, call, factor))
    assert check.state == "fail"
    assert found in check.detail


def test_doctor_finds_a_temporary_folder_it_cannot_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    check = doctor.check_temporary()
    assert check.state == "fail"
    assert "TMPDIR" in check.mend


def test_doctor_knows_encodings_that_cannot_show_french() -> None:
    assert check_terminal("utf-8").state == "ok"
    for encoding in ("ascii", "latin-1", "no-such-encoding", None):
        assert check_terminal(encoding).state == "warn"
        check_terminal(encoding).detail.encode("ascii")


def test_doctor_render_shows_state_in_letters_and_the_mend() -> None:
    plain = doctor.render([Check("python", "ok", "3.11.9"), Check("model", "fail", "it [bold]lacks", "copy it")]).plain
    assert plain.splitlines() == ["ok    python  3.11.9", "fail  model   it [bold]lacks", "              copy it"]
