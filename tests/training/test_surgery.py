"""Graph surgery: the same logits from fewer operators, and hands off what is written otherwise."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.training.rotary_checkpoint import save_checkpoint
from training.export import halve_weights, trace_graph
from training.surgery import Surgery, fuse

SHAPES = ((2, 2), (2, 17), (3, 64), (5, 128))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rotary")
    trace_graph(save_checkpoint(folder / "checkpoint"), folder / "model.onnx", 128)
    return folder / "model.onnx"


def logits(graph: Path) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    found = []
    for rows, length in SHAPES:
        ids = generator.integers(5, 4000, (rows, length))
        mask = np.ones_like(ids)
        mask[1, max(1, length // 2) :] = 0
        found.append(session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0])
    return found


def test_traced_graph_holds_no_path_of_this_machine(graph: Path) -> None:
    assert b"site-packages" not in graph.read_bytes()
    assert not any(node.doc_string or node.metadata_props for node in onnx.load(graph).graph.node)


def test_surgery_fuses_attention_and_keeps_the_logits(graph: Path, tmp_path: Path) -> None:
    fused = tmp_path / "fused.onnx"
    assert fuse(graph, fused) == 4  # two layers, each with its attention and its gated feed-forward
    kinds = Counter(node.op_type for node in onnx.load(fused).graph.node)
    assert (kinds["MultiHeadAttention"], kinds["RotaryEmbedding"]) == (2, 4)
    assert not {"Softmax", "Split", "Slice"} & set(kinds)
    before = logits(graph)
    assert np.concatenate(before).std() > 0.1
    for expected, found in zip(before, logits(fused), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_surgery_done_twice_changes_nothing(graph: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once.onnx", tmp_path / "twice.onnx"
    fuse(graph, once)
    assert fuse(once, twice) == 0
    for expected, found in zip(logits(once), logits(twice), strict=True):
        assert expected.tobytes() == found.tobytes()


def test_surgery_opens_weights_of_16_bits_as_they_were(graph: Path, tmp_path: Path) -> None:
    wide, narrow = tmp_path / "wide.onnx", tmp_path / "narrow.onnx"
    surgery = Surgery(graph)
    for name, value in surgery.weights.items():
        if value.dtype == np.float32 and value.size > 1024:
            surgery.weights[name] = value.astype(np.float16).astype(np.float32)
    surgery.save(wide)
    narrow.write_bytes(wide.read_bytes())
    halve_weights(narrow)
    assert narrow.stat().st_size < 0.7 * wide.stat().st_size
    reopened = Surgery(narrow)
    assert {name: value.tobytes() for name, value in reopened.weights.items()} == {
        name: value.tobytes() for name, value in surgery.weights.items() if name in reopened.weights
    }


def test_surgery_leaves_another_attention_alone(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 4])
    shares = helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["rows", 4])
    node = helper.make_node("Softmax", ["scores"], ["shares"])
    content = helper.make_graph([node], "shares", [scores], [shares])
    model = helper.make_model(content, opset_imports=[helper.make_opsetid("", 20)])
    onnx.save(model, tmp_path / "other.onnx")
    assert fuse(tmp_path / "other.onnx", tmp_path / "same.onnx") == 0
    assert [node.op_type for node in onnx.load(tmp_path / "same.onnx").graph.node] == ["Softmax"]


def test_surgery_keeps_scalars_scalar(graph: Path, tmp_path: Path) -> None:
    """A place to gather from is a scalar; as a vector of one it would give the result an axis more."""
    surgery = Surgery(graph)
    surgery.weights["place"] = np.array(0, np.int64)
    hidden = next(node.input[0] for node in surgery.nodes if node.op_type == "Softmax")
    surgery.model.graph.node.append(onnx.helper.make_node("Gather", [hidden, "place"], ["first"], axis=0))
    surgery.model.graph.output.append(onnx.helper.make_tensor_value_info("first", 1, ["a", "b", "c"]))
    surgery.apply()
    surgery.save(tmp_path / "gather.onnx")
    kept = {tensor.name: tensor.dims for tensor in onnx.load(tmp_path / "gather.onnx").graph.initializer}
    assert list(kept["place"]) == []
