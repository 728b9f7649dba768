"""From a checkpoint to a model folder: ONNX by the dynamo exporter, a parity gate over many shapes, the manifest.

The older TorchScript exporter was seen to export a RoBERTa silently wrong, so every graph is compared with the
checkpoint that it came from, over shapes that were not traced, before anything is written as usable.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from inference.bundle import ModelError, write_manifest
from training.companion import Companion
from training.config import RunConfig
from training.surgery import fuse

#: Smaller tensors are not worth a cast.
SMALL_TENSOR = 1024
PARITY_SHAPES = ((1, 8), (1, 128), (2, 16), (3, 77), (5, 128), (8, 200), (16, 48))


class ExportError(ModelError):
    """A graph that does not answer as its checkpoint does."""


@dataclass(frozen=True)
class Parity:
    """How a graph compares with its checkpoint over :data:`PARITY_SHAPES`: worst difference and the logits' spread."""

    max_difference: float
    logit_spread: float


class _Logits(torch.nn.Module):
    """The bare function that is exported: token ids and mask in, one row of logits out, the companion's added."""

    def __init__(self, model: Any, companion: Companion | None = None) -> None:
        super().__init__()
        self.model = model
        self.companion = companion

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits if self.companion is None else logits + self.companion(input_ids, attention_mask)


def open_function(checkpoint: Path, companion: Path | None) -> _Logits:
    """The function that a graph must compute: the checkpoint and, where there is one, its companion."""
    beside = None if companion is None else Companion.load(companion)
    return _Logits(open_checkpoint(checkpoint), beside).eval()


def open_checkpoint(checkpoint: Path) -> Any:
    """The checkpoint in fp32, in evaluation mode, with explicit attention."""
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation="eager"
    )
    return model.eval()


def export_graph(checkpoint: Path, target: Path, longest: int, companion: Path | None = None) -> None:
    """Write the checkpoint's graph as it is shipped: in few and fast operators, weights in 16 bits where exact."""
    trace_graph(checkpoint, target, longest, companion)
    fuse(target, target)
    halve_weights(target)


def trace_graph(checkpoint: Path, target: Path, longest: int, companion: Path | None = None) -> None:
    """Write the checkpoint's graph with free batch and length axes, the length up to ``longest`` tokens."""
    model = open_function(checkpoint, companion)
    vocabulary = int(model.model.config.vocab_size)
    ids = torch.randint(5, vocabulary, (2, min(24, longest)))
    mask = torch.ones_like(ids)
    mask[1, ids.shape[1] * 2 // 3 :] = 0
    batch, length = torch.export.Dim("batch", min=1, max=4096), torch.export.Dim("length", min=2, max=longest)
    program = torch.onnx.export(
        model,
        (ids, mask),
        dynamo=True,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
        verbose=False,
    )
    assert program is not None
    program.save(str(target), external_data=False)
    forget_origins(target)


def forget_origins(graph: Path) -> None:
    """Leave out torch's notes on where each operator came from: they hold paths of this machine."""
    import onnx

    model = onnx.load(str(graph))
    parts = [model, model.graph, *model.functions]
    parts += [node for part in (model.graph, *model.functions) for node in part.node]
    parts += [*model.graph.initializer, *model.graph.input, *model.graph.output, *model.graph.value_info]
    for part in parts:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    onnx.save(model, str(graph))


def halve_weights(graph: Path) -> None:
    """Store weights that float16 holds exactly as float16, cast back when the graph is opened: half the bytes.

    The runtime folds the casts into float32 constants once, so the arithmetic does not change.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(graph))
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or int(np.prod(tensor.dims)) < SMALL_TENSOR:
            continue
        values = numpy_helper.to_array(tensor)
        halves = values.astype(np.float16)
        if np.array_equal(halves.astype(np.float32), values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}_half"))
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    onnx.save(model, str(graph))


def parity(checkpoint: Path, graph: Path, longest: int, companion: Path | None = None) -> Parity:
    """Compare graph and checkpoint on random tokens over :data:`PARITY_SHAPES` up to ``longest``, padding included."""
    import onnxruntime

    model = open_function(checkpoint, companion)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    worst, answers = 0.0, []
    for rows, wanted in PARITY_SHAPES:
        length = min(wanted, longest)
        ids = torch.randint(5, int(model.model.config.vocab_size), (rows, length), generator=generator)
        mask = torch.ones_like(ids)
        for row in range(1, rows):
            mask[row, max(2, length - row * length // (2 * rows)) :] = 0
        with torch.no_grad():
            expected = model(ids, mask).numpy()
        found = session.run(["logits"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
        worst = max(worst, float(np.abs(found - expected).max()))
        answers.append(expected)
    return Parity(worst, float(np.concatenate(answers).std()))


def write_bundle(
    config: RunConfig,
    checkpoint: Path,
    graph: Path,
    folder: Path,
    calibration: dict[str, Any],
    article_rule: dict[str, float],
    facts: dict[str, Any],
) -> None:
    """Assemble a model folder: graph, tokenizer, configuration, manifest with digests."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(graph, folder / "model.onnx")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(checkpoint / name, folder / name)
    open_to_version_4(folder / "tokenizer_config.json")
    axes = {name: [task.plus, task.minus] for name, task in config.tasks.items() if task.plus}
    content = {
        "name": config.registry.model,
        "graph": "model.onnx",
        "max_length": config.model.max_length,
        "calibration": calibration,
        "axes": axes,
        "article_rule": article_rule,
        "facts": facts,
    }
    write_manifest(folder, content)


def open_to_version_4(path: Path) -> None:
    """Version 5 names a class that version 4's AutoTokenizer does not know; the older name opens in both."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get("tokenizer_class") == "TokenizersBackend":
        content["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def export_checked(checkpoint: Path, target: Path, limit: float, longest: int, companion: Path | None = None) -> Parity:
    """Export and compare; raises ExportError where a logit differs by more than ``limit`` on any shape."""
    export_graph(checkpoint, target, longest, companion)
    found = parity(checkpoint, target, longest, companion)
    if not found.max_difference <= limit:
        target.unlink()
        raise ExportError(
            f"the graph of {checkpoint} differs from it by {found.max_difference:.2g} (limit {limit:.2g}, logits "
            f"spread by {found.logit_spread:.2g}); another torch or onnxscript version may export it right"
        )
    return found


def uncalibrated(config: RunConfig) -> dict[str, Any]:
    """The calibration of a model that has none yet: temperature 1, nothing abstained."""
    return {"temperatures": dict.fromkeys(config.tasks, 1.0), "thresholds": dict.fromkeys(config.tasks, 0.0)}
