"""Graph surgery: the same function of the same weights in fewer and faster operators of the runtime.

The exporter writes rotary attention as some thirty small operators a layer, most of which only move data. The runtime
has two that do it whole (``RotaryEmbedding`` and ``MultiHeadAttention``), in the same arithmetic: on the shipped model
the logits keep every bit. What does not look as expected is left as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: The domain of ONNX Runtime's own operators.
RUNTIME = "com.microsoft"


class Surgery:
    """An ONNX graph under change: constants as float32 arrays, and who makes and who uses each value."""

    def __init__(self, path: Path) -> None:
        import onnx
        from onnx import numpy_helper

        self.model: Any = onnx.load(str(path))
        self.weights: dict[str, npt.NDArray[Any]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer
        }
        self._widen()
        self._before: dict[str, list[Any]] = {}
        self._removed: set[str] = set()

    def _widen(self) -> None:
        """Undo the storage of weights as float16: the cast is exact, and surgery works on float32."""
        kept = []
        for node in self.model.graph.node:
            if node.op_type == "Cast" and node.input[0] in self.weights and node.attribute[0].i == 1:
                self.weights[node.output[0]] = self.weights.pop(node.input[0]).astype(np.float32)
            else:
                kept.append(node)
        self._replace_nodes(kept)
        self._index()

    def _index(self) -> None:
        self._maker = {name: node for node in self.nodes for name in node.output}
        self._users: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self._users.setdefault(name, []).append(node)

    @property
    def nodes(self) -> list[Any]:
        """The nodes, in order."""
        return list(self.model.graph.node)

    def maker(self, name: str, kind: str) -> Any:
        """The node of operator ``kind`` that makes a value; raises LookupError where another does, or none."""
        node = self._maker.get(name)
        if node is None or node.op_type != kind:
            raise LookupError(f"{name} is not made by {kind}")
        return node

    def user(self, name: str, kind: str) -> Any:
        """The only node that uses a value, which is of operator ``kind``; raises LookupError otherwise."""
        users = self._users.get(name, [])
        if len(users) != 1 or users[0].op_type != kind:
            raise LookupError(f"{name} is not used by one {kind} alone")
        return users[0]

    def weight(self, name: str) -> npt.NDArray[Any]:
        """A constant; raises LookupError where the value is none."""
        return self.weights[name]

    def linear(self, node: Any) -> bool:
        """Whether a node multiplies by a constant matrix."""
        return node.op_type == "MatMul" and node.input[1] in self.weights and self.weights[node.input[1]].ndim == 2

    def put(self, place: Any, nodes: list[Any], *, instead_of: tuple[Any, ...]) -> None:
        """Put nodes where ``place`` stands, and take others away."""
        self._before.setdefault(place.output[0], []).extend(nodes)
        self._removed.update(node.output[0] for node in instead_of)

    def apply(self) -> None:
        """Carry out what was put and taken away; then nodes whose results nobody uses go, too."""
        changed = []
        for node in self.nodes:
            changed += self._before.get(node.output[0], [])
            if node.output[0] not in self._removed:
                changed.append(node)
        self._before, self._removed = {}, set()
        while True:
            used = {name for node in changed for name in node.input} | {item.name for item in self.model.graph.output}
            live = [node for node in changed if any(name in used for name in node.output)]
            if len(live) == len(changed):
                break
            changed = live
        self._replace_nodes(changed)
        self._index()

    def _replace_nodes(self, nodes: list[Any]) -> None:
        nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)

    def save(self, path: Path) -> None:
        """Write the graph with the constants that it uses, checked."""
        import onnx
        from onnx import helper, numpy_helper

        used = {name for node in self.nodes for name in node.input}
        del self.model.graph.initializer[:]
        self.model.graph.initializer.extend(
            numpy_helper.from_array(
                np.asarray(value, order="C"), name
            )  # ascontiguousarray would make a scalar a vector
            for name, value in self.weights.items()
            if name in used
        )
        del self.model.graph.value_info[:]
        if RUNTIME not in {entry.domain for entry in self.model.opset_import}:
            self.model.opset_import.append(helper.make_opsetid(RUNTIME, 1))
        onnx.checker.check_model(self.model)
        onnx.save(self.model, str(path))


def fuse(source: Path, target: Path) -> int:
    """Write ``source`` with rotary attention in whole operators and no split weights; returns how many were fused.

    Weights are written as float32, whatever width they were stored in.
    """
    graph = Surgery(source)
    done = 0
    for node in graph.nodes:
        try:
            if node.op_type == "Softmax":
                _fuse_attention(graph, node)
            elif node.op_type == "Split":
                _split_weight(graph, node)
            else:
                continue
        except (LookupError, ValueError):
            continue  # another architecture writes it otherwise, and keeps what it has
        done += 1
    graph.apply()
    graph.save(target)
    return done


def _fuse_attention(graph: Surgery, softmax: Any) -> None:
    """Scaled, masked attention with rotary positions: from the joint projection to the heads side by side."""
    from onnx import helper

    masked = graph.maker(softmax.input[0], "Add")
    scaled = graph.maker(masked.input[0], "Mul")
    products = graph.maker(scaled.input[0], "MatMul")
    mixed = graph.user(softmax.output[0], "MatMul")
    joined = graph.user(graph.user(mixed.output[0], "Transpose").output[0], "Reshape")
    query, angles = _rotated(graph, products.input[0])
    key, key_angles = _rotated(graph, graph.maker(products.input[1], "Transpose").input[0])
    parts = [_part_of_projection(graph, name) for name in (query, key, mixed.input[1])]
    (view, first), (_, second), (_, third) = parts
    if (first, second, third) != (0, 1, 2) or len({name for name, _ in parts}) != 1 or angles != key_angles:
        raise LookupError("not one projection to query, key and value")
    projection = graph.maker(graph.maker(view, "Reshape").input[0], "MatMul")
    matrices = np.split(graph.weight(projection.input[1]), 3, axis=1)
    frequencies = graph.weight(graph.maker(angles, "Mul").input[1])
    heads = matrices[0].shape[1] // (2 * frequencies.shape[-1])
    name = projection.output[0]
    nodes, inputs = [*_rotation_tables(graph, angles)], []
    for letter, matrix in zip("qkv", matrices, strict=True):
        graph.weights[f"{name}_{letter}_weight"] = matrix
        nodes.append(helper.make_node("MatMul", [projection.input[0], f"{name}_{letter}_weight"], [f"{name}_{letter}"]))
        inputs.append(f"{name}_{letter}")
    for place in (0, 1):
        tables = ["rotary_start", f"{angles}_cos", f"{angles}_sin"]
        rotate = {"domain": RUNTIME, "num_heads": heads, "interleaved": 0}
        nodes.append(
            helper.make_node("RotaryEmbedding", [inputs[place], *tables], [f"{inputs[place]}_rotated"], **rotate)
        )
        inputs[place] += "_rotated"
    scale = float(graph.weight(scaled.input[1]))
    attend = {"domain": RUNTIME, "num_heads": heads, "scale": scale}
    bias = masked.input[1]
    nodes.append(helper.make_node("MultiHeadAttention", [*inputs, "", "", bias], [joined.output[0]], **attend))
    graph.put(projection, nodes, instead_of=(joined,))


def _rotated(graph: Surgery, name: str) -> tuple[str, str]:
    """Of a rotated query or key: what was rotated, and by which angles (positions times frequencies)."""
    turned = graph.maker(name, "Add")
    straight = graph.maker(turned.input[0], "Mul")
    graph.maker(graph.maker(turned.input[1], "Mul").input[0], "Concat")
    cosine = graph.maker(graph.maker(straight.input[1], "Unsqueeze").input[0], "Cos")
    return straight.input[0], graph.maker(cosine.input[0], "Concat").input[0]


def _part_of_projection(graph: Surgery, name: str) -> tuple[str, int]:
    """Which third of a joint projection a query, key or value is: the projection's value, and 0, 1 or 2."""
    piece = graph.maker(graph.maker(graph.maker(name, "Transpose").input[0], "Squeeze").input[0], "Slice")
    return piece.input[0], int(graph.weight(piece.input[1]).item())


def _rotation_tables(graph: Surgery, angles: str) -> list[Any]:
    """Cosines and sines of the angles, shape (positions, half a head), made once for all layers."""
    from onnx import helper

    if f"{angles}_axis" in graph.weights:
        return []
    graph.weights[f"{angles}_axis"] = np.array([0], np.int64)
    graph.weights["rotary_start"] = np.zeros(1, np.int64)
    flat = f"{angles}_flat"
    return [
        helper.make_node("Squeeze", [angles, f"{angles}_axis"], [flat]),
        helper.make_node("Cos", [flat], [f"{angles}_cos"]),
        helper.make_node("Sin", [flat], [f"{angles}_sin"]),
    ]


def _split_weight(graph: Surgery, split: Any) -> None:
    """A matrix product whose result is cut in equal parts becomes as many products, and nothing is copied."""
    from onnx import helper

    product = graph.maker(split.input[0], "MatMul")
    graph.user(product.output[0], "Split")
    matrices = np.split(graph.weight(product.input[1]), len(split.output), axis=1)
    if {entry.name: entry.i for entry in split.attribute}.get("axis") not in (-1, 2):
        raise LookupError("not a split of the last axis")
    nodes = []
    for name, matrix in zip(split.output, matrices, strict=True):
        graph.weights[f"{name}_weight"] = matrix
        nodes.append(helper.make_node("MatMul", [product.input[0], f"{name}_weight"], [name]))
    graph.put(product, nodes, instead_of=(split,))
