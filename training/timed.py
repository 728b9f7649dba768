"""Pre-training that fills a stated number of minutes on an accelerator: the same loop, fed and ended differently.

What differs from :class:`training.pretrain.Pretraining`: all tokens lie in the device's memory (110 M tokens are
0.4 GB), masks are drawn there, the vocabulary head sees a fixed number of places so that every step has one shape and
compiles whole, matrices are orthogonalised together, and the decay begins when the remaining time says so.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from tokenizers import Tokenizer

from training.masking import IGNORED, mask_words
from training.pretrain import Pretraining, Recipe, build_optimizers
from training.travel import assemble, split
from training.windows import Windows

_MASK = {"full_attention": None}  # every place sees every other: no mask to build, the fused kernel is taken
_SPARE = 1.05  # whole words are hidden, so the number of hidden pieces varies by some per cent


@dataclass(frozen=True)
class Timing:
    """Minutes of training: of the whole run, of its decay, of this call; ``reserve`` ends a call early for writing."""

    total: float
    decay: float
    call: float = math.inf
    reserve: float = 0.5
    part_bytes: int = 16_000_000


class ResidentWindows:
    """The windows of :class:`training.windows.Windows`, read from a copy of all tokens on a device."""

    def __init__(self, windows: Windows, device: torch.device) -> None:
        self.windows, body = windows, windows.length - 1
        kept = [source.tokens[: source.windows * body].astype(np.int32) for source in windows.sources]
        self.bases = np.cumsum([0, *(len(tokens) for tokens in kept)])
        self.tokens = torch.from_numpy(np.concatenate(kept)).to(device)
        self.columns = torch.arange(body, device=device)

    def batch(self, number: int, size: int) -> torch.Tensor:
        """Ids of shape (size, length), the same as ``windows.batch(number, size)``."""
        sources, indices = self.windows.places(number, size)
        starts = torch.from_numpy(self.bases[sources] + indices * (self.windows.length - 1))
        if self.tokens.is_cuda:
            starts = starts.pin_memory()
        places = starts.to(self.tokens.device, non_blocking=True)[:, None] + self.columns
        ids = torch.full((size, self.windows.length), self.windows.cls_id, device=places.device)
        ids[:, 1:] = self.tokens[places]
        return ids


def masked_loss(model: Any, hidden: torch.Tensor, places: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy at ``places`` (flat indices) of ``hidden`` (batch, length); fixed shapes, one graph."""
    with torch.autocast(hidden.device.type, torch.bfloat16):
        states = model.model(input_ids=hidden, attention_mask=_MASK).last_hidden_state
        logits = model.decoder(model.head(states.flatten(0, 1)[places]))
    return torch.nn.functional.cross_entropy(logits.float(), targets, ignore_index=IGNORED)


def hidden_places(labels: torch.Tensor, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat indices of the hidden pieces, a fixed number for a shape and a rate, and their labels.

    Places beyond the hidden ones carry :data:`IGNORED`; hidden pieces beyond the number are not scored.
    """
    flat = labels.flatten()
    count = min(flat.numel(), math.ceil(flat.numel() * rate * _SPARE))
    places = torch.argsort((flat == IGNORED).to(torch.uint8), stable=True)[:count]
    return places, flat[places]


class TimedPretraining(Pretraining):
    """A run in ``folder`` that lasts ``timing.total`` minutes over one or several calls.

    ``home`` receives the encoder in half precision, cut into parts, with every checkpoint. ``weights`` is such a
    folder of an earlier machine: weights, step and minutes go on, the optimiser starts anew behind a second warm-up.
    """

    def __init__(
        self,
        recipe: Recipe,
        timing: Timing,
        tokenizer: Tokenizer,
        windows: Windows,
        folder: Path,
        home: Path,
        weights: Path | None = None,
    ) -> None:
        self.timing, self.home, self.warm_from = timing, home, 0
        minutes = max(0.0, timing.call - timing.reserve)
        super().__init__(replace(recipe, stop_after_minutes=minutes), tokenizer, windows, folder)
        self.resident = ResidentWindows(windows, self.device)
        self.starts, self.specials = self.starts.to(self.device), self.specials.to(self.device)
        self.capacity_rate = max(recipe.mask_rate, recipe.mask_rate_end)
        self.scored: Callable[..., torch.Tensor] = masked_loss
        self._compile()
        if weights is not None and not self.step:
            self._start_from(weights)

    def _build_optimizers(self) -> list[torch.optim.Optimizer]:
        return build_optimizers(self.model, self.recipe, stacked=True)

    def _compile(self) -> None:
        if self.recipe.compile:
            self.scored = torch.compile(masked_loss, dynamic=False, fullgraph=True)

    def _start_from(self, home: Path) -> None:
        data, content = assemble(home)
        tensors = load(data)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[name])
        self.step = self.warm_from = int(content["progress"]["step"])
        self.minutes = float(content["progress"]["minutes"])

    def _batch(self, number: int) -> torch.Tensor:
        return self.resident.batch(number, self.recipe.batch_size)

    def _masked(self, ids: torch.Tensor, rate: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator(self.device).manual_seed(seed)
        return mask_words(ids.to(self.device), self.starts, self.specials, rate, self.mask_id, generator)

    def _training_loss(self, ids: torch.Tensor, rate: float, seed: int) -> torch.Tensor:
        hidden, labels = self._masked(ids, rate, seed)
        places, targets = hidden_places(labels, self.capacity_rate)
        return self.scored(self.model, hidden, places, targets)

    def _loss(self, ids: torch.Tensor, rate: float, seed: int) -> torch.Tensor:
        hidden, labels = self._masked(ids, rate, seed)
        places = (labels.flatten() != IGNORED).nonzero().squeeze(1)  # the held-out loss counts every hidden piece
        return masked_loss(self.model, hidden, places, labels.flatten()[places])

    def _rates(self) -> tuple[float, float]:
        """Warm-up by steps, decay (1 − √) and falling mask rate by the minutes that are left."""
        recipe, timing = self.recipe, self.timing
        warm = min(1.0, (self.step - self.warm_from + 1) / max(1, recipe.warmup_steps))
        into = (self.minutes - (timing.total - timing.decay)) / max(timing.decay, 1e-9)
        into = min(1.0, max(0.0, into))
        rate = recipe.mask_rate + into * (recipe.mask_rate_end - recipe.mask_rate)
        return warm * (1.0 - math.sqrt(into)), rate

    def _finished(self) -> bool:
        return self.minutes >= self.timing.total or super()._finished()

    def checkpoint(self) -> None:
        """The whole state in ``folder``, for this machine; the encoder in parts in ``home``, for the way back."""
        super().checkpoint()
        recipe = self.recipe
        tokens = self.step * recipe.batch_size * recipe.accumulate * recipe.length
        progress = {"step": self.step, "minutes": self.minutes, "tokens": tokens}
        with tempfile.TemporaryDirectory() as encoder:
            self.export(Path(encoder))
            split(Path(encoder), self.home, self.timing.part_bytes, progress)

    def run_logged(self, journal: Path) -> bool:
        """:meth:`run`, with every figure printed and appended to ``journal`` as JSON lines."""
        journal.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with journal.open("a", encoding="utf-8") as lines:

            def log(step: int, metrics: dict[str, float]) -> None:
                row = {"step": step, **{name: round(value, 4) for name, value in metrics.items()}}
                row["share_of_rate"] = round(self._rates()[0], 4)
                row["seconds"] = round(time.monotonic() - began, 1)
                print(json.dumps(row), file=lines, flush=True)
                print(json.dumps({k: v for k, v in row.items() if "held_out." not in k}), flush=True)  # noqa: T201

            return self.run(log)
