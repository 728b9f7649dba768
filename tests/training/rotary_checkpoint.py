"""A tiny random checkpoint of the shipped model's architecture, and an exported folder of it."""

import json
import shutil
from pathlib import Path

import torch
from transformers import ModernBertConfig, ModernBertForSequenceClassification

from inference.bundle import write_manifest
from inference.classifier import SHIPPED

LABELS = {0: "stance=pro-easing", 1: "stance=neutral", 2: "stance=pro-restriction", 3: "tone=low", 4: "tone=high"}


def save_checkpoint(folder: Path) -> Path:
    """Two layers, one of which looks only at its neighbourhood, with weights that spread the logits."""
    torch.manual_seed(3)
    config = ModernBertConfig(
        vocab_size=json.loads((SHIPPED / "config.json").read_text(encoding="utf-8"))["vocab_size"],
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        layer_types=["full_attention", "sliding_attention"],
        local_attention=16,
        max_position_embeddings=128,
        pad_token_id=0,
        classifier_pooling="mean",
        id2label=LABELS,
        label2id={label: place for place, label in LABELS.items()},
    )
    model = ModernBertForSequenceClassification(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(4)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(SHIPPED / name, folder / name)
    return folder


def make_folder(checkpoint: Path, graph: Path, folder: Path) -> Path:
    """A model folder around a graph of the checkpoint, uncalibrated."""
    folder.mkdir()
    shutil.copyfile(graph, folder / "model.onnx")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(checkpoint / name, folder / name)
    tasks = ("stance", "tone")
    calibration = {"temperatures": dict.fromkeys(tasks, 1.0), "thresholds": dict.fromkeys(tasks, 0.0)}
    rule = {"pushes": 0.45, "tilt": 0.15}
    content = {"name": "tiny", "graph": "model.onnx", "max_length": 128, "calibration": calibration}
    write_manifest(folder, content | {"axes": {}, "article_rule": rule, "facts": {"run": "tiny"}})
    return folder
