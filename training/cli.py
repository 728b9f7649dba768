"""``penchant-train``: the command line of retraining. It parses, calls a plain function and prints; no more."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from training.ledger import LedgerLine

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
    card: Annotated[bool, typer.Option("--card", help="Print counts and annotators' agreement as Markdown.")] = False,
) -> None:
    """Check annotated data: labels, duplicates, leakage between splits, what gives a label away."""
    from training.config import ConfigError, load_run_config
    from training.corpus import CorpusError
    from training.corpus_checks import check_path

    try:
        settings = load_run_config(config) if config else None
        if card:
            from training.corpus_card import card_statistics

            typer.echo(card_statistics(path, settings))
            return
        report = check_path(path, settings)
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


@app.command("join-debates", epilog="Example:\n\n    penchant-train join-debates text/ runs/debates.jsonl")
def join_debates(
    text: Annotated[Path, typer.Argument(help="Folder of the debates' text: a paragraph a line, .txt or .txt.xz.")],
    target: Annotated[Path, typer.Argument(help="JSON lines to write.")],
) -> None:
    """Join the shipped labels of real debates to a copy of their text."""
    from training.corpus import CorpusError
    from training.debates import join_debates as do_join

    try:
        typer.echo(f"{do_join(text, target):,} labelled paragraphs in {target}")
    except CorpusError as error:
        fail(str(error), BAD_USAGE)


@app.command("debates-agreement")
def debates_agreement() -> None:
    """Print Cohen's kappa between the two readings of the shipped debates' labels."""
    from training.debates import debates_agreement as measure

    for task, kappa in measure().items():
        typer.echo(
            f"{task}: kappa {kappa['value']:.3f} ({kappa['low']:.3f}–{kappa['high']:.3f}) on {kappa['n']} paragraphs"
        )


@app.command()
def encoder(
    checkpoint: Annotated[Path, typer.Argument(help="A fine-tuned checkpoint.")],
    target: Annotated[Path, typer.Argument(help="Folder for its encoder.")],
) -> None:
    """Write the encoder of a fine-tuned checkpoint, without its heads, in half precision."""
    from training.finetune import strip_head

    strip_head(checkpoint, target)
    typer.echo(target)


Name = Annotated[str, typer.Option("--name", help="The registered model.")]
Store = Annotated[str, typer.Option("--tracking-uri", help="MLflow store; MLFLOW_TRACKING_URI wins.")]
DEFAULT_NAME, DEFAULT_STORE = "penchant-stance", "sqlite:///mlruns/mlflow.db"


@app.command(epilog="Example:\n\n    penchant-train promote 7 --reason 'asked for by the desk'")
def promote(
    version: Annotated[int, typer.Argument(help="The version to make champion.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the ledger.")],
    force: Annotated[bool, typer.Option("--force", help="Even though the gate refused it.")] = False,
    name: Name = DEFAULT_NAME,
    store: Store = DEFAULT_STORE,
) -> None:
    """Make a registered version the champion."""
    from training import promotion

    _print_lines(store, lambda: [promotion.promote(name, version, reason=reason, force=force)])


@app.command(epilog="Example:\n\n    penchant-train rollback --reason 'wrong on customs texts'")
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is kept in the ledger.")],
    name: Name = DEFAULT_NAME,
    store: Store = DEFAULT_STORE,
) -> None:
    """Put the former champion back."""
    from training import promotion

    _print_lines(store, lambda: [promotion.rollback(name, reason=reason)])


@app.command()
def history(name: Name = DEFAULT_NAME, store: Store = DEFAULT_STORE) -> None:
    """Print the ledger: every promotion, refusal and rollback, who decided, when and why."""
    from training import promotion

    _print_lines(store, lambda: promotion.history(name))


def _print_lines(store: str, act: Callable[[], Sequence[LedgerLine]]) -> None:
    from training.store import RegistryError, use_tracking

    try:
        use_tracking(store, create=False)
        for line in act():
            broken = "" if line.intact else "  [changed after it was written]"
            typer.echo(f"{line.when}  {line.what:<12} version {line.version}  by {line.who}: {line.reason}{broken}")
    except RegistryError as error:
        fail(str(error))


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
