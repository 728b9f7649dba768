"""Masked-language pre-training of a small French encoder: one loop that one reader can hold in the head.

Needs torch, transformers, tokenizers, safetensors and numpy alone, so that it runs on a bare GPU machine as well;
the job around it (text, tokenizer, MLflow) is ``training.pretrain_job``. Everything that a step depends on is a
function of (seed, step), so a run that is killed resumes exactly where its last checkpoint stands.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import ModernBertConfig, ModernBertForMaskedLM, set_seed

from training.masking import mask_words
from training.muon import StackedMuon
from training.windows import Windows

Log = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Recipe:
    """What to train and how; lengths in tokens, rates per step, times in minutes."""

    hidden_size: int = 256
    layers: int = 6
    heads: int = 4
    intermediate_size: int = 704  # GeGLU has two inputs: 704 costs what 1,056 would without a gate
    max_position: int = 512
    length: int = 128
    batch_size: int = 64
    accumulate: int = 1
    steps: int = 10_000
    warmup_steps: int = 200
    decay_steps: int = 2_000
    lr_matrices: float = 2e-3  # Muon, update scaled to AdamW's root mean square
    lr_others: float = 1e-3  # AdamW: embeddings, norms, head
    weight_decay: float = 0.05
    mask_rate: float = 0.30  # while the rate is stable …
    mask_rate_end: float = 0.15  # … and at the end of the decay
    clip: float = 1.0
    seed: int = 17
    checkpoint_minutes: float = 10.0
    log_steps: int = 50
    stop_after_minutes: float = math.inf
    compile: bool = False


def piece_id(tokenizer: Tokenizer, piece: str) -> int:
    """The id of a piece that the tokenizer must have."""
    found = tokenizer.token_to_id(piece)
    if found is None:
        raise ValueError(f"the tokenizer has no piece {piece!r}; make it with penchant-train pretrain")
    return int(found)


def build_model(recipe: Recipe, tokenizer: Tokenizer) -> ModernBertForMaskedLM:
    """A ModernBERT (Warner et al. 2024) of the recipe's shape with global attention in every layer."""
    special = {name: piece_id(tokenizer, f"[{name.upper()}]") for name in ("pad", "cls", "sep", "mask")}
    config = ModernBertConfig(
        vocab_size=math.ceil(tokenizer.get_vocab_size() / 64) * 64,
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.intermediate_size,
        max_position_embeddings=recipe.max_position,
        layer_types=["full_attention"] * recipe.layers,
        pad_token_id=special["pad"],
        cls_token_id=special["cls"],
        bos_token_id=special["cls"],
        sep_token_id=special["sep"],
        eos_token_id=special["sep"],
        classifier_pooling="mean",
        sparse_prediction=True,  # the vocabulary head sees masked positions only: twice as fast here
    )
    # On a CPU the fused kernel's backward is slow at this length: explicit attention saves a third of the step.
    config._attn_implementation = "sdpa" if torch.cuda.is_available() else "eager"
    return ModernBertForMaskedLM(config)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Share of the peak rate at ``step``: warm-up, stable, then 1 − √ decay (Hägele et al. 2024)."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    into = step - (recipe.steps - recipe.decay_steps)
    return 1.0 if into <= 0 else max(0.0, 1.0 - math.sqrt(into / recipe.decay_steps))


def mask_rate(recipe: Recipe, step: int) -> float:
    """Mask rate at ``step``: constant, then falling linearly through the decay."""
    into = min(1.0, max(0.0, (step - (recipe.steps - recipe.decay_steps)) / max(1, recipe.decay_steps)))
    return recipe.mask_rate + into * (recipe.mask_rate_end - recipe.mask_rate)


def build_optimizers(model: nn.Module, recipe: Recipe, stacked: bool = False) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices between the layers, AdamW for everything else.

    ``stacked`` takes :class:`training.muon.StackedMuon`, the same update in fewer and larger products.
    """
    matrices: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and ".layers." in name:
            matrices.append(parameter)
        else:
            (decayed if parameter.ndim == 2 else others).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    muon: torch.optim.Optimizer
    if stacked:
        muon = StackedMuon(matrices, lr=recipe.lr_matrices, weight_decay=recipe.weight_decay)
    else:
        muon = torch.optim.Muon(
            matrices,
            lr=recipe.lr_matrices,
            weight_decay=recipe.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
    return [muon, torch.optim.AdamW(groups, lr=recipe.lr_others, betas=(0.9, 0.98), fused=True)]


class Pretraining:
    """A pre-training run in ``folder``: builds or resumes its state, then steps until it is done or out of time."""

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: Tokenizer,
        windows: Windows,
        folder: Path,
        embeddings: torch.Tensor | None = None,
    ) -> None:
        set_seed(recipe.seed)
        self.recipe, self.windows, self.folder = recipe, windows, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = build_model(recipe, tokenizer)
        nn.Module.to(self.model, self.device)
        if embeddings is not None:
            with torch.no_grad():
                table = self.model.get_input_embeddings().weight
                assert isinstance(table, torch.Tensor)
                table[: len(embeddings)].copy_(embeddings)
        self.optimizers = self._build_optimizers()
        self.mask_id = piece_id(tokenizer, "[MASK]")
        size = int(self.model.config.vocab_size)
        pieces = [tokenizer.id_to_token(number) or "" for number in range(size)]
        self.starts = torch.tensor([piece.startswith(("▁", "[")) for piece in pieces])
        self.specials = torch.tensor([number < 5 or not piece for number, piece in enumerate(pieces)])
        self.step, self.minutes = 0, 0.0
        if not (folder / "state").exists() and (folder / "state.old").exists():
            (folder / "state.old").rename(folder / "state")  # killed between the two renames of a checkpoint
        if (folder / "state" / "progress.json").exists():
            self._resume()

    def _build_optimizers(self) -> list[torch.optim.Optimizer]:
        return build_optimizers(self.model, self.recipe)

    # -- state ---------------------------------------------------------------------------------------------------

    def _optimizer_tensors(self) -> dict[str, torch.Tensor]:
        tensors = {}
        for number, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                for key, value in state.items():
                    tensors[f"{number}.{index}.{key}"] = torch.as_tensor(value).contiguous()
        return tensors

    def checkpoint(self) -> None:
        """Write the whole state beside the old one, then swap: a kill leaves one or the other, never half."""
        fresh, state = self.folder / "state.new", self.folder / "state"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.model.named_parameters()}
        save_file(weights, str(fresh / "weights.safetensors"))
        save_file(self._optimizer_tensors(), str(fresh / "optimizers.safetensors"))
        progress = {"step": self.step, "minutes": self.minutes, "recipe": asdict(self.recipe)}
        (fresh / "progress.json").write_text(json.dumps(progress), encoding="utf-8")
        old = self.folder / "state.old"
        shutil.rmtree(old, ignore_errors=True)
        if state.exists():
            state.rename(old)
        fresh.rename(state)
        shutil.rmtree(old, ignore_errors=True)

    def _resume(self) -> None:
        state = self.folder / "state"
        progress = json.loads((state / "progress.json").read_text(encoding="utf-8"))
        self.step, self.minutes = int(progress["step"]), float(progress["minutes"])
        weights = load_file(str(state / "weights.safetensors"))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(weights[name])
        tensors = load_file(str(state / "optimizers.safetensors"))
        for number, optimizer in enumerate(self.optimizers):
            content = optimizer.state_dict()
            states: dict[int, dict[str, torch.Tensor]] = defaultdict(dict)
            for name, value in tensors.items():
                which, index, key = name.split(".", 2)
                if int(which) == number:
                    states[int(index)][key] = value
            content["state"] = dict(states)
            optimizer.load_state_dict(content)

    def start_from(self, encoder: Path) -> None:
        """Take the weights of a pre-trained folder, vocabulary head included, before the first step.

        Raises ValueError where its shape or vocabulary is not the recipe's.
        """
        weights = load_file(str(encoder / "model.safetensors"))
        shapes = {name: parameter.shape for name, parameter in self.model.named_parameters()}
        wrong = [name for name, shape in shapes.items() if name not in weights or weights[name].shape != shape]
        if wrong:
            raise ValueError(f"{encoder} does not fit the recipe at {wrong[0]!r} ({len(wrong)} in all); set its shape")
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(weights[name])

    # -- training ------------------------------------------------------------------------------------------------

    def _loss(self, ids: torch.Tensor, rate: float, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)  # masks made on the CPU are the same on every device
        hidden, labels = mask_words(ids, self.starts, self.specials, rate, self.mask_id, generator)
        with torch.autocast(self.device.type, torch.bfloat16):
            output = self.model(input_ids=hidden.to(self.device), labels=labels.to(self.device))
        loss: torch.Tensor = output.loss
        return loss

    def _batch(self, number: int) -> torch.Tensor:
        return torch.from_numpy(self.windows.batch(number, self.recipe.batch_size))

    def _training_loss(self, ids: torch.Tensor, rate: float, seed: int) -> torch.Tensor:
        return self._loss(ids, rate, seed)

    def _rates(self) -> tuple[float, float]:
        """Share of the peak learning rates and mask rate of the step to come."""
        return learning_rate(self.recipe, self.step), mask_rate(self.recipe, self.step)

    def _compile(self) -> None:
        if self.recipe.compile:
            self.model.compile()

    def _finished(self) -> bool:
        return self.step >= self.recipe.steps

    def _take_step(self) -> list[torch.Tensor]:
        """One update; returns the losses of its parts, unread, so that a GPU need not wait for the CPU."""
        recipe, losses = self.recipe, []
        share, rate = self._rates()
        for part in range(recipe.accumulate):
            number = self.step * recipe.accumulate + part
            loss = self._training_loss(self._batch(number), rate, recipe.seed * 1_000_003 + number)
            torch.autograd.backward(loss / recipe.accumulate)
            losses.append(loss.detach())
        nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        for optimizer, peak in zip(self.optimizers, (recipe.lr_matrices, recipe.lr_others), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return losses

    def held_out_loss(self) -> dict[str, float]:
        """Mean loss in nats a hidden piece on the held-out windows, a source and all together (mask rate 0.15)."""
        sums: dict[str, list[float]] = defaultdict(list)
        self.model.train(False)
        with torch.no_grad():
            for number, (name, ids) in enumerate(self.windows.held_out(self.recipe.batch_size)):
                sums[name].append(self._loss(torch.from_numpy(ids), 0.15, number).item())
        self.model.train()
        losses = {f"held_out.{name}": sum(values) / len(values) for name, values in sums.items()}
        return {**losses, "held_out": sum(losses.values()) / len(losses)}

    def run(self, log: Log) -> bool:
        """Step until the recipe's end (returns True) or ``stop_after_minutes`` of this call (returns False).

        Raises FloatingPointError for a loss that is not finite; the last checkpoint is whole then.
        """
        recipe = self.recipe
        self._compile()
        self.model.train()
        tokens = recipe.batch_size * recipe.accumulate * recipe.length
        began = saved = logged = time.monotonic()
        before = self.minutes
        losses: list[torch.Tensor] = []
        while not self._finished():
            losses += self._take_step()
            self.step += 1
            if self.step % recipe.log_steps == 0:
                mean = sum(loss.item() for loss in losses) / len(losses)  # waits for the device: the clock is right
                if not math.isfinite(mean):
                    raise FloatingPointError(f"the loss is {mean} at step {self.step}: resume with lower rates")
                passed = time.monotonic() - logged
                rate = tokens * len(losses) / recipe.accumulate / passed
                metrics = {"loss": mean, "tokens_per_second": rate}
                minutes = before + (time.monotonic() - began) / 60
                log(self.step, {**metrics, "tokens": float(tokens * self.step), "minutes": minutes})
                logged, losses = time.monotonic(), []
            now = time.monotonic()
            self.minutes = before + (now - began) / 60
            out_of_time = (now - began) / 60 >= recipe.stop_after_minutes
            if out_of_time or (now - saved) / 60 >= recipe.checkpoint_minutes or self._finished():
                log(self.step, self.held_out_loss())
                self.checkpoint()
                saved = logged = time.monotonic()
                losses = []
            if out_of_time:
                return False
        return True

    def export(self, folder: Path) -> None:
        """Write a standard Hugging Face checkpoint in half precision (float16), tied weights once."""
        model: Any = copy.deepcopy(self.model).cpu()
        model.half().save_pretrained(folder)
