"""A model folder is used only when it is whole and unchanged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.bundle import ModelError, open_bundle
from inference.classifier import SHIPPED, Classifier


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "model"))


def change_manifest(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    path = folder / "penchant.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_bundle_of_the_shipped_model_opens() -> None:
    bundle = open_bundle(SHIPPED)
    assert {task.name: task.labels for task in bundle.tasks} == {
        "stance": ("pro-easing", "neutral", "pro-restriction"),
        "sentiment": ("negative", "neutral", "positive"),
    }
    assert bundle.axes == {"stance": ("pro-easing", "pro-restriction"), "sentiment": ("positive", "negative")}


@pytest.mark.parametrize("name", ["model.onnx", "config.json", "tokenizer.json"])
def test_bundle_refuses_a_folder_that_lacks_a_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"lacks {name}.*copy the whole folder"):
        open_bundle(folder)


def test_bundle_refuses_a_changed_file(folder: Path) -> None:
    with (folder / "model.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01")
    with pytest.raises(ModelError, match=r"model\.onnx does not match the digest"):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda content: content.update(format=9), "format 9"),
        (lambda content: content.pop("calibration"), "cannot be read as a model"),
        (lambda content: content["files"].update({"../x": "0"}), "outside the model folder"),
    ],
)
def test_bundle_refuses_a_manifest_it_does_not_understand(
    folder: Path, change: Callable[[dict[str, object]], None], fault: str
) -> None:
    change_manifest(folder, change)
    with pytest.raises(ModelError, match=fault):
        open_bundle(folder)


def test_bundle_refuses_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model folder"):
        Classifier.load(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="no Penchant model"):
        Classifier.load(tmp_path)


def test_bundle_digest_follows_the_manifest(folder: Path) -> None:
    before = open_bundle(folder).digest
    change_manifest(folder, lambda content: content.update(name="other"))
    assert open_bundle(folder).digest != before
