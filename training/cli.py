"""``penchant-train``: the command line of retraining. It parses, calls a plain function and prints; no more."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

DONE, FAILED, BAD_USAGE = 0, 1, 2

app = typer.Typer(
    name="penchant-train",
    help="Retrain Penchant: checked data in; a calibrated, evaluated, registered model out.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: --set train.epochs=2 (repeatable).")
]


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print on standard error and leave with ``code``."""
    for line in message.splitlines():
        print(f"penchant-train: {line}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(code)


@app.command(epilog="Example:\n\n    penchant-train run configs/train/mini.yaml --set train.epochs=2")
def run(
    config: Annotated[Path, typer.Argument(help="YAML of the run; see configs/train/.")],
    overrides: Overrides = None,
) -> None:
    """Check, split, train, calibrate, evaluate, export, register, compare with the champion, promote or not."""
    from training.config import ConfigError, load_run_config
    from training.corpus import CorpusError

    try:
        settings = load_run_config(config, overrides or [])
    except ConfigError as error:
        fail(str(error), BAD_USAGE)
    from training.run import run as do_run
    from training.summary import print_summary

    try:
        print_summary(do_run(settings, typer.echo))
    except (ConfigError, CorpusError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on at the step it was in", 130)


@app.command(epilog="Example:\n\n    penchant-train pretrain configs/train/pretrain.yaml --set text=/data/french")
def pretrain(
    config: Annotated[Path, typer.Argument(help="YAML of the pre-training; see configs/train/pretrain.yaml.")],
    overrides: Overrides = None,
) -> None:
    """Pre-train an encoder on raw French text; the same command resumes a run that was stopped."""
    from training.config import ConfigError, load_yaml
    from training.pretrain_job import PretrainConfig
    from training.pretrain_job import pretrain as do_pretrain

    def show(step: int, metrics: dict[str, float]) -> None:
        shown = {name: f"{value:,.3f}" for name, value in metrics.items() if not name.startswith("held_out.")}
        typer.echo(f"step {step:>7,}  " + "  ".join(f"{name} {value}" for name, value in shown.items()))

    try:
        done = do_pretrain(load_yaml(config, PretrainConfig, overrides or []), show)
    except ConfigError as error:
        fail(str(error), BAD_USAGE)
    except KeyboardInterrupt:
        fail("interrupted; the same command resumes from the last checkpoint", 130)
    typer.echo("done" if done else "out of time; the same command goes on")


@app.command("check-corpus", epilog="Example:\n\n    penchant-train check-corpus training/corpus")
def check_corpus(
    path: Annotated[Path, typer.Argument(help="A data file, a folder of them, or a datasets folder.")],
    config: Annotated[Path | None, typer.Option(help="A run's YAML, for its tasks, columns and splits.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check annotated data: labels, duplicates, leakage between splits, what gives a label away."""
    from training.config import ConfigError, load_run_config
    from training.corpus import CorpusError
    from training.corpus_checks import check_path

    try:
        report = check_path(path, load_run_config(config) if config else None)
    except ConfigError as error:
        fail(str(error), BAD_USAGE)
    except CorpusError as error:
        fail(str(error))
    typer.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=1) if as_json else report.to_table())
    if report.failed:
        raise typer.Exit(FAILED)


@app.command(epilog="Example:\n\n    penchant-train evaluate inference/model --data my-labels.jsonl")
def evaluate(
    model: Annotated[str, typer.Argument(help="A model folder, or models:/NAME@ALIAS.")],
    data: Annotated[Path, typer.Option("--data", help="Annotated rows: text and one column a task.")],
    against: Annotated[str | None, typer.Option(help="Another model, for a paired comparison.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for report.json, report.md, plots.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Evaluate a model on annotated rows: macro-F1 with intervals, calibration, slices, contrast groups."""
    from inference.bundle import ModelError
    from training.corpus import CorpusError
    from training.evaluate_model import evaluate_model

    try:
        report, text = evaluate_model(model, data, against, output)
    except (ModelError, CorpusError) as error:
        fail(str(error))
    typer.echo(json.dumps(report, ensure_ascii=False) if as_json else text)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
