"""The encoder at full size on a lent accelerator: unpack, measure, run, join (see docs/accelerator.md).

``python -m training.accelerator COMMAND`` needs torch, transformers, tokenizers, safetensors and numpy alone.

Arithmetic, for a vocabulary of V = 16,384 and windows of L = 256. A layer of width d with a gated feed-forward of
inner width i holds 4d² + 3di weights; training costs 6 FLOP a weight and token, attention 12·L·d a layer and token,
and the head 6·(Vd + d²) a hidden piece:

    12x384, i 1056: layers 21.7 M, all 28.1 M parameters; 130 + 14 + 12 = 156 MFLOP a token
    12x512, i 640:  layers 24.4 M, all 33.1 M parameters; 146 + 19 + 16 = 181 MFLOP a token

Half precision comes home as 56 MB in four parts or 66 MB in five; 64 MiB (67.1 MB) a call is the limit planned for.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from training.pretrain import Recipe, piece_id
from training.timed import TimedPretraining, Timing
from training.travel import TravelError, join, unpack
from training.windows import Windows

SHAPES: dict[str, dict[str, Any]] = {
    "12x384": {"hidden_size": 384, "layers": 12, "heads": 6, "intermediate_size": 1056},
    "12x512": {"hidden_size": 512, "layers": 12, "heads": 8, "intermediate_size": 640},
}
# 131,072 tokens an update: 15,000 updates for 2 G tokens. Rates: those of the 6 × 256 run (8,192 tokens an update),
# raised a little; Muon's update is scaled, so that neither width nor depth asks for another one.
LONG = Recipe(
    length=256, batch_size=512, steps=10**9, warmup_steps=300, decay_steps=1, lr_matrices=3e-3, lr_others=2e-3,
    checkpoint_minutes=4.0, log_steps=50,
)  # fmt: skip
UPDATE_TOKENS = 131_072


def flop_per_token(recipe: Recipe, vocabulary: int) -> float:
    """Training FLOP a token: 6 a weight of the layers, attention, the head on hidden pieces alone."""
    d, layers = recipe.hidden_size, recipe.layers
    weights = layers * (4 * d * d + 3 * d * recipe.intermediate_size)
    head = recipe.mask_rate * (vocabulary * d + d * d)
    return 6.0 * (weights + head) + 12.0 * layers * recipe.length * d


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure_peak(size: int) -> float:
    """FLOP a second of a square bf16 matrix product on random data: the ceiling that shares refer to."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    _wait()
    began = time.monotonic()
    for _ in range(10):
        a @ b
    _wait()
    return 10 * 2 * size**3 / (time.monotonic() - began)


def measure_run(recipe: Recipe, tokenizer: Tokenizer, folder: Path, steps: int) -> dict[str, float]:
    """Tokens a second, memory and start-up time of a recipe on random tokens in ``folder``."""
    windows = Windows([("random", folder / "random.u16", 1.0)], recipe.length, piece_id(tokenizer, "[CLS]"), 0)
    began = time.monotonic()
    run = TimedPretraining(recipe, Timing(60.0, 1.0), tokenizer, windows, folder, folder / "home")
    for _ in range(3):
        run._take_step()[-1].item()
    ready = time.monotonic()
    for _ in range(steps):
        losses = run._take_step()
    losses[-1].item()
    _wait()
    passed = time.monotonic() - ready
    tokens = steps * recipe.accumulate * recipe.batch_size * recipe.length
    memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    return {"tokens_per_second": tokens / passed, "start_seconds": ready - began, "memory_gib": memory}


def measure(
    tokenizer: Tokenizer, plans: Sequence[tuple[str, Recipe]], minutes: float, output: Path, peak_size: int = 8192
) -> list[dict[str, Any]]:
    """Time the plans in their order until ``minutes`` are used; rows are written to ``output`` as they come."""
    began, rows, longest = time.monotonic(), [], 0.0
    peak = measure_peak(peak_size)
    with tempfile.TemporaryDirectory() as folder:
        ids = np.random.default_rng(0).integers(5, tokenizer.get_vocab_size(), 4_000_000, dtype=np.uint16)
        ids.astype("<u2").tofile(Path(folder) / "random.u16")
        for shape, recipe in plans:
            started = time.monotonic()
            if (started - began + longest) / 60 > minutes:
                break
            row: dict[str, Any] = {"shape": shape, "batch_size": recipe.batch_size, "compile": recipe.compile}
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            try:
                row |= measure_run(recipe, tokenizer, Path(folder), 10 if torch.cuda.is_available() else 2)
                flop = row["tokens_per_second"] * flop_per_token(recipe, tokenizer.get_vocab_size())
                row |= {"teraflop_per_second": flop / 1e12, "share_of_peak": flop / peak}
            except torch.OutOfMemoryError:
                row["failed"] = "out of memory"
            except Exception as error:  # noqa: BLE001  # a plan that fails to compile must not cost the others
                row["failed"] = f"{type(error).__name__}: {str(error)[:300]}"
            torch.compiler.reset()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            longest = max(longest, time.monotonic() - started)
            rows.append(row)
            output.parent.mkdir(parents=True, exist_ok=True)
            content = {"torch": torch.__version__, "peak_teraflop_per_second": peak / 1e12, "rows": rows}
            output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            _say(json.dumps(row))
    return rows


def of_batch(recipe: Recipe, batch_size: int, update_tokens: int) -> Recipe:
    """The recipe with another number of windows at once and, as near as that allows, the same tokens an update."""
    accumulate = max(1, round(update_tokens / (batch_size * recipe.length)))
    return replace(recipe, batch_size=batch_size, accumulate=accumulate)


def overridden(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe with ``key=value`` settings. Raises ValueError for a key that no recipe has."""
    known = {field.name for field in fields(Recipe)}
    changes: dict[str, Any] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in known or not value:
            raise ValueError(f"--set {setting!r}: give one of {', '.join(sorted(known))}, an = and a value")
        changes[key] = json.loads(value)
    return replace(recipe, **changes)


def fastest(measured: Path, shape: str) -> dict[str, Any]:
    """The fastest row of a shape in a measurement. Raises ValueError if it has none."""
    rows = json.loads(measured.read_text(encoding="utf-8"))["rows"]
    usable = [row for row in rows if row["shape"] == shape and "tokens_per_second" in row]
    if not usable:
        raise ValueError(f"{measured} has no figure for {shape}: measure it, or leave --measured away")
    best: dict[str, Any] = max(usable, key=lambda row: row["tokens_per_second"])
    return best


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _measure(options: argparse.Namespace) -> None:
    cuda = torch.cuda.is_available()
    plans = []
    for shape, batch, compiled in (
        ("12x384", 512, True), ("12x512", 512, True), ("12x384", 256, True), ("12x384", 512, False),
        ("12x384", 1024, True), ("12x512", 1024, True),
    ):  # fmt: skip
        recipe = overridden(replace(LONG, compile=compiled and cuda, **SHAPES[shape]), options.set)
        plans.append((shape, replace(recipe, batch_size=min(batch, options.largest_batch))))
    tokenizer = Tokenizer.from_file(str(options.tokenizer))
    measure(tokenizer, plans, options.minutes, options.output, 8192 if cuda else 256)


def _run(options: argparse.Namespace, began: float) -> None:
    recipe = replace(LONG, compile=torch.cuda.is_available(), **SHAPES[options.shape])
    if options.measured is not None:
        best = fastest(options.measured, options.shape)
        recipe = replace(of_batch(recipe, best["batch_size"], UPDATE_TOKENS), compile=best["compile"])
    recipe = overridden(recipe, options.set)
    tokenizer = Tokenizer.from_file(str(options.tokenizer))
    listed = json.loads((options.shards / "shards.json").read_text(encoding="utf-8"))
    places = [(row["source"], options.shards / row["file"], float(row["weight"])) for row in listed]
    windows = Windows(places, recipe.length, piece_id(tokenizer, "[CLS]"), recipe.seed)
    spent = (time.monotonic() - began) / 60
    timing = Timing(options.total_minutes, options.decay_minutes, options.minutes - spent, options.reserve)
    run = TimedPretraining(recipe, timing, tokenizer, windows, options.work, options.home / "encoder", options.weights)
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    tokens_an_epoch = windows.epoch_windows * recipe.length
    _say(json.dumps({"parameters": parameters, "epoch_tokens": tokens_an_epoch, "from_step": run.step}))
    _say(json.dumps({"timing": asdict(timing), "recipe": asdict(recipe)}))
    done = run.run_logged(options.home / "log.jsonl")
    _say("done" if done else "out of time; the same command goes on")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.accelerator", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("unpack", help="verify and restore the pieces that have come")
    command.add_argument("pieces", type=Path)
    command.add_argument("shards", type=Path)
    command = commands.add_parser("measure", help="tokens a second by shape, batch size and compilation")
    command.add_argument("--tokenizer", type=Path, required=True)
    command.add_argument("--output", type=Path, required=True, help="a JSON file")
    command.add_argument("--minutes", type=float, default=3.0)
    command.add_argument("--largest-batch", type=int, default=1024)
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    command = commands.add_parser("run", help="train or go on until the minutes are over")
    command.add_argument("--shards", type=Path, required=True)
    command.add_argument("--tokenizer", type=Path, required=True)
    command.add_argument("--work", type=Path, required=True, help="state of this machine; the same in every call")
    command.add_argument("--home", type=Path, required=True, help="what is to be fetched: encoder in parts, log")
    command.add_argument("--shape", choices=sorted(SHAPES), default="12x384")
    command.add_argument("--measured", type=Path, help="take batch size and compilation from this measurement")
    command.add_argument("--weights", type=Path, help="go on from parts that an earlier machine sent home")
    command.add_argument("--minutes", type=float, required=True, help="of this call, start included")
    command.add_argument("--reserve", type=float, default=0.5, help="minutes kept for the last checkpoint of a call")
    command.add_argument("--total-minutes", type=float, required=True, help="of training, over all calls")
    command.add_argument("--decay-minutes", type=float, required=True, help="at the end of those")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    command = commands.add_parser("join", help="the parts as a Hugging Face folder in half precision")
    command.add_argument("home", type=Path)
    command.add_argument("output", type=Path)
    command.add_argument("--tokenizer", type=Path, required=True)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when it worked, 1 with one line when it did not."""
    began = time.monotonic()
    options = _parser().parse_args(arguments)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
    try:
        if options.command == "unpack":
            missing = unpack(options.pieces, options.shards)
            _say(f"still to come: {', '.join(missing)}" if missing else "all shards are whole")
        elif options.command == "measure":
            _measure(options)
        elif options.command == "run":
            _run(options, began)
        else:
            _say(json.dumps(join(options.home, options.tokenizer, options.output)))
    except (TravelError, ValueError, OSError, FloatingPointError) as error:
        print(f"accelerator: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
