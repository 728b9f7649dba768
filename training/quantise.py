"""int8 that does not depend on company: the big matrix products of a graph in 8-bit integers, a scale for each row.

The usual dynamic quantisation takes one activation scale over the whole batch, so that a row's score moves with its
mates and its padding. Here every token has a scale of its own, and every output channel of a matrix (per-token,
per-channel: LLM.int8, arXiv:2208.07339); sums of integers are exact, so a row's logits keep every bit in any company.
Before that, the range of outlying channels is moved from the activations into the weights (SmoothQuant,
arXiv:2211.10438), with ranges measured on training rows; the few products that move the logits most stay in fp32. A
gate measures what it costs and gains.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.bundle import MANIFEST, write_manifest
from inference.classifier import Classifier, Encoded
from inference.precision import FULL, SMALL
from training.config import Int8Config
from training.corpus import Example
from training.metrics import confusion_matrix, macro_f1
from training.surgery import RUNTIME, Surgery

Floats = npt.NDArray[Any]
Feed = Mapping[str, npt.NDArray[np.int64]]
#: Matrices with a shorter side stay in float32: they cost no time, and the last one makes the logits.
SMALLEST_SIDE = 64
#: How much of the range goes from the activations into the weights; the middle, as in the paper.
SMOOTHING = 0.5
#: The products that make so much of the squared error, the worst first, stay in float32; the first share that passes
#: the gate is taken.
SPARED = (0.5, 0.7, 0.85)
#: Batches on which each product in int8 alone is tried.
TRIED = 8
#: Nothing is divided by less.
TINY = 1e-5
GRAPH = "model.int8.onnx"
#: Bytes of a constant that is worth a reference into the other graph.
WORTH_SHARING = 65_536


class QuantiseError(Exception):
    """An int8 graph that may not be used; the message says what it missed and the mend."""


@dataclass(frozen=True)
class Comparison:
    """int8 beside fp32: labels that agree and macro-F1 lost, a task; mean logit difference; ratio of passages/s."""

    rows: int
    agreement: dict[str, float]
    macro_f1_loss: dict[str, float]
    mean_difference: float
    speed: float

    def to_text(self) -> str:
        """One line for the terminal."""
        tasks = ", ".join(
            f"{task} {share:.2%} of labels agree, macro-F1 {-self.macro_f1_loss[task]:+.4f}"
            for task, share in self.agreement.items()
        )
        return f"{self.rows:,} test rows: {tasks}; {self.speed:.2f} times as fast as fp32"

    def faults(self, limits: Int8Config) -> list[str]:
        """The limits that were missed, in words; none where the graph may be used."""
        faults = [
            f"{task} labels agree at {share:.4f} (least {limits.agreement})"
            for task, share in self.agreement.items()
            if share < limits.agreement
        ]
        faults += [
            f"{task} loses {loss:.4f} macro-F1 (most {limits.macro_f1_loss})"
            for task, loss in self.macro_f1_loss.items()
            if loss > limits.macro_f1_loss
        ]
        if self.speed < limits.speed:
            faults.append(f"it runs {self.speed:.2f} times as fast (least {limits.speed})")
        return faults


@dataclass(frozen=True)
class Sensitivity:
    """What is known of a graph's big products before they are quantised.

    ``ranges`` are those of the activations (see :func:`activation_ranges`), ``errors`` the mean squared movement of the
    logits when one product alone is in int8, by the name of its result.
    """

    ranges: dict[str, Floats]
    errors: dict[str, float]


def sense(source: Path, scratch: Path, feeds: Sequence[Feed]) -> Sensitivity:
    """Measure a graph on ``feeds``, its inputs (token ids and mask) of training rows; ``scratch`` is overwritten.

    Raises QuantiseError where there is nothing to quantise.
    """
    products = quantisable(source)
    if not products:
        raise QuantiseError(f"{source} has no big matrix product by a constant; leave int8 out")
    ranges = activation_ranges(source, list(dict.fromkeys(products.values())), feeds)
    few = feeds[:: max(1, len(feeds) // TRIED)]
    exact = _logits(source, few)
    errors: dict[str, float] = {}
    for name in products:
        rewrite(source, scratch, [name], ranges)
        errors[name] = float(np.square(_logits(scratch, few) - exact).mean())
    return Sensitivity(ranges, errors)


def quantisable(source: Path) -> dict[str, str]:
    """The big products by a constant matrix: the name of each result, and of the activations that it multiplies."""
    graph = Surgery(source)
    return {
        node.output[0]: node.input[0]
        for node in graph.nodes
        if graph.linear(node) and min(graph.weight(node.input[1]).shape) >= SMALLEST_SIDE
    }


def unspared(errors: Mapping[str, float], spared: float) -> list[str]:
    """The products to quantise: all but the fewest that make the share ``spared`` of the summed squared error."""
    left: list[str] = []
    budget = (1 - spared) * sum(errors.values())
    for name in sorted(errors, key=lambda name: errors[name]):
        budget -= errors[name]
        if budget < 0:
            break
        left.append(name)
    return left


def rewrite(source: Path, target: Path, names: Sequence[str], ranges: Mapping[str, Floats]) -> None:
    """Write ``source`` with the products of the given result names in int8."""
    graph = Surgery(source)
    together: dict[str, list[Any]] = {}
    for node in graph.nodes:
        if node.output[0] in names:
            together.setdefault(node.input[0], []).append(node)
    _add_constants(graph)
    for number, (name, users) in enumerate(together.items()):
        smooth = smoothing(ranges[name], [graph.weight(node.input[1]) for node in users])
        scaled, nodes = _quantised_rows(graph, name, number, smooth)
        graph.put(users[0], nodes, instead_of=())
        for node in users:
            graph.put(node, _integer_product(graph, node, scaled, smooth), instead_of=(node,))
    graph.apply()
    graph.save(target)


def _logits(graph: Path, feeds: Sequence[Feed]) -> Floats:
    """The graph's logits on all feeds, one below the other."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["logits"], dict(feed))[0] for feed in feeds])


def activation_ranges(source: Path, names: Sequence[str], feeds: Sequence[Feed]) -> dict[str, Floats]:
    """The largest magnitude of each channel (last axis) of the named values, over the tokens that are no padding."""
    import onnx
    import onnxruntime

    model = onnx.load(str(source))
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ranges: dict[str, Floats] = {}
    for feed in feeds:
        real = feed["attention_mask"].astype(bool)
        for name, values in zip(names, session.run(list(names), dict(feed)), strict=True):
            tokens = values[real] if values.shape[:2] == real.shape else values.reshape(-1, values.shape[-1])
            most = np.abs(tokens).max(axis=0)
            ranges[name] = np.maximum(ranges[name], most) if name in ranges else most
    return ranges


def smoothing(activations: Floats, matrices: Sequence[Floats]) -> Floats:
    """Per input channel what activations are divided and weights multiplied by: aᵝ / w¹⁻ᵝ, geometric mean 1."""
    weights = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    factors = np.maximum(activations, TINY) ** SMOOTHING / np.maximum(weights, TINY) ** (1 - SMOOTHING)
    shares: Floats = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    return shares


def _add_constants(graph: Surgery) -> None:
    graph.weights |= {
        "int8_last_axis": np.array([-1], np.int64),
        "int8_most": np.array(127, np.float32),
        "int8_tiny": np.array(TINY, np.float32),
        "int8_one": np.array(1, np.float32),
        "int8_middle": np.array(128, np.uint8),
    }


def _quantised_rows(graph: Surgery, name: str, number: int, smooth: Floats) -> tuple[str, list[Any]]:
    """Nodes that make, of activations (…, K), rows of bytes (n, K) and their scales (n, 1); their common prefix.

    Bytes are unsigned with 128 as zero: the processors' instructions multiply unsigned activations by signed weights.
    """
    from onnx import helper

    p = f"int8_{number}"
    graph.weights[f"{p}_factor"] = np.float32(1) / smooth
    graph.weights[f"{p}_flat"] = np.array([-1, len(smooth)], np.int64)
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Shape", [name], "outer", {"start": 0, "end": -1}),
        ("Reshape", [name, f"{p}_flat"], "rows", {}),
        ("Mul", [f"{p}_rows", f"{p}_factor"], "smooth", {}),
        ("Abs", [f"{p}_smooth"], "size", {}),
        ("ReduceMax", [f"{p}_size", "int8_last_axis"], "largest", {"keepdims": 0}),
        ("Max", [f"{p}_largest", "int8_tiny"], "range", {}),
        ("Div", [f"{p}_range", "int8_most"], "scale", {}),
        ("Shape", [f"{p}_scale"], "count", {}),
        ("Expand", ["int8_middle", f"{p}_count"], "zero", {}),
        ("QuantizeLinear", [f"{p}_smooth", f"{p}_scale", f"{p}_zero"], "bytes", {"axis": 0}),
        ("Unsqueeze", [f"{p}_scale", "int8_last_axis"], "scales", {}),
    ]
    return p, [helper.make_node(kind, inputs, [f"{p}_{out}"], **more) for kind, inputs, out, more in steps]


def _integer_product(graph: Surgery, node: Any, p: str, smooth: Floats) -> list[Any]:
    """Nodes that multiply rows of bytes by the node's matrix in int8 and give its result back in float32."""
    from onnx import helper

    name = node.output[0]
    matrix = graph.weight(node.input[1]) * smooth[:, None]
    scale = np.maximum(np.abs(matrix).max(axis=0), TINY) / 127
    graph.weights[f"{name}_int8"] = np.clip(np.round(matrix / scale), -127, 127).astype(np.int8)
    graph.weights[f"{name}_scale"] = scale.astype(np.float32)
    graph.weights[f"{name}_channels"] = np.array([matrix.shape[1]], np.int64)
    inputs = [f"{p}_bytes", f"{name}_int8", "int8_one", f"{name}_scale", "int8_middle"]
    return [
        helper.make_node("MatMulIntegerToFloat", inputs, [f"{name}_sums"], domain=RUNTIME),
        helper.make_node("Mul", [f"{name}_sums", f"{p}_scales"], [f"{name}_rows"]),
        helper.make_node("Concat", [f"{p}_outer", f"{name}_channels"], [f"{name}_shape"], axis=0),
        helper.make_node("Reshape", [f"{name}_rows", f"{name}_shape"], [name]),
    ]


def compare(full: Classifier, small: Classifier, examples: Sequence[Example]) -> Comparison:
    """int8 beside fp32 on annotated rows, on this machine; processor time, so that a busy neighbour counts little."""
    encoded = _encoded(full, examples)
    logits, seconds = [], []
    for classifier in (full, small):
        classifier.logits(encoded[:8])  # the first run of a session also prepares it
        began = time.process_time()
        logits.append(classifier.logits(encoded))
        seconds.append(time.process_time() - began)
    agreement, loss = {}, {}
    for task in full.tasks:
        first, second = (rows[:, task.logits].argmax(axis=1) for rows in logits)
        agreement[task.name] = float((first == second).mean())
        gold = np.array([example.gold[task.name] for example in examples])
        f1 = [
            float(macro_f1(confusion_matrix(gold[gold >= 0], found[gold >= 0], len(task.labels))))
            for found in (first, second)
        ]
        loss[task.name] = f1[0] - f1[1] if (gold >= 0).any() else 0.0
    difference = float(np.abs(logits[0] - logits[1]).mean())
    return Comparison(len(encoded), agreement, loss, difference, seconds[0] / seconds[1])


def _encoded(classifier: Classifier, examples: Sequence[Example]) -> list[Encoded]:
    pairs = [example.pair or "" for example in examples] if examples[0].pair is not None else None
    return classifier.encode([example.text for example in examples], pairs)


def add_int8(
    folder: Path,
    training: Sequence[Example],
    validation: Sequence[Example],
    tests: Sequence[Example],
    limits: Int8Config,
) -> Comparison:
    """Add an int8 graph to an exported model folder.

    Ranges come from a sample of ``training`` rows, the choice of what stays in fp32 from ``validation`` rows, and the
    chosen graph is then held against the limits on ``tests``, once; that comparison is returned. The manifest then
    names the graph, and processors that multiply 8-bit integers exactly use it. Raises QuantiseError, and leaves the
    folder as it was, where a limit is missed.
    """
    full = Classifier.load(folder, threads=1, precision=FULL)
    drawn = np.random.default_rng(0).permutation(len(training))[: limits.rows]
    encoded = _encoded(full, [training[row] for row in sorted(drawn)])
    target = folder / GRAPH
    before = (folder / MANIFEST).read_bytes()
    content = {key: value for key, value in json.loads(before).items() if key not in ("format", "files")}
    content["graphs"] = {SMALL: GRAPH}
    try:
        known = sense(full.bundle.graph, target, [full.feed(encoded, batch) for batch in full.batches(encoded)])
        for spared in SPARED:
            rewrite(full.bundle.graph, target, unspared(known.errors, spared), known.ranges)
            share_weights(target, full.bundle.graph)
            write_manifest(folder, content)
            small = Classifier.load(folder, threads=1, precision=SMALL)
            chosen = compare(full, small, validation)
            if not (faults := chosen.faults(limits)):
                break
        else:
            raise QuantiseError(f"the int8 graph of {folder} is not used: {'; '.join(faults)}; fp32 remains")
        found = compare(full, small, tests)
        if faults := found.faults(limits):
            raise QuantiseError(f"the int8 graph of {folder} is not used: on tests {'; '.join(faults)}; fp32 remains")
        measured = {"spared": spared, "validation": asdict(chosen), "tests": asdict(found)}
        write_manifest(folder, content | {"facts": {**content.get("facts", {}), SMALL: measured}})
        return found
    except BaseException:
        target.unlink(missing_ok=True)
        (folder / MANIFEST).write_bytes(before)
        raise


def share_weights(graph: Path, other: Path) -> None:
    """Store constants of ``graph`` that ``other``, in the same folder, holds too as references into its bytes.

    ONNX keeps constants in any file beside the graph ("external data": a name, an offset, a length); here the file is
    the other graph. The embedding, most of a small model, is then stored once.
    """
    import onnx
    from onnx.external_data_helper import set_external_data

    from training.export import halve_weights

    halve_weights(graph)
    held = other.read_bytes()
    model = onnx.load(str(graph))
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < WORTH_SHARING:
            continue
        place = held.find(tensor.raw_data)
        if place >= 0:
            length = len(tensor.raw_data)
            set_external_data(tensor, other.name, offset=place, length=length)
            tensor.ClearField("raw_data")
    # onnx.save would read the references back in; the graph was checked before.
    graph.write_bytes(model.SerializeToString())
