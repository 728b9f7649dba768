"""``penchant-train``: the command line of retraining. It parses, calls a plain function and prints; no more."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from inference.console import BAD_USAGE, FAILED, INTERRUPTED, Shell, print_completion, run_app

if TYPE_CHECKING:
    from training.ledger import LedgerLine


class Measure(StrEnum):
    """How unsure a model is of a passage; see :mod:`training.annotate`."""

    MARGIN = "margin"
    ENTROPY = "entropy"


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
    from inference.bundle import ModelError
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
    except (ConfigError, CorpusError, ModelError) as error:
        fail(str(error))
    except OSError as error:  # a full disk; an encoder that is not there
        fail(f"{str(error).strip().splitlines()[0]}; the same command goes on at the step it was in")
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on at the step it was in", INTERRUPTED)


@app.command(epilog="Example:\n\n    penchant-train sweep configs/sweep/mini.yaml --set minutes=30")
def sweep(
    config: Annotated[Path, typer.Argument(help="YAML of the sweep; see configs/sweep/.")],
    overrides: Overrides = None,
) -> None:
    """Search a run's settings on validation within stated minutes; the same command goes on."""
    from training.config import ConfigError, load_yaml
    from training.corpus import CorpusError
    from training.store import RegistryError
    from training.sweep import sweep as do_sweep
    from training.sweep_space import SweepConfig

    try:
        found = do_sweep(load_yaml(config, SweepConfig, overrides or []), typer.echo)
    except ConfigError as error:
        fail(str(error), BAD_USAGE)
    except (CorpusError, RegistryError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on with the trial it was in", INTERRUPTED)
    if found.config is None:
        fail("no trial was finished; give it more minutes, the same command goes on")
    typer.echo(f"\n{found.finished} trials; the best, trial {found.best}, has {found.value:.4f} on validation\n")
    typer.echo(" ".join(f"--set {shlex.quote(override)}" for override in found.overrides))
    typer.echo(f"\npenchant-train run {found.config}")


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
        fail("interrupted; the same command resumes from the last checkpoint", INTERRUPTED)
    typer.echo("done" if done else "out of time; the same command goes on")


@app.command(epilog="Example:\n\n    penchant-train pack runs/pretrain/shards --output travel")
def pack(
    shards: Annotated[Path, typer.Argument(help="The folder with shards.json that pretrain tokenised into.")],
    output: Annotated[Path, typer.Option(help="Folder for the pieces and their digests.")],
    tokenizer: Annotated[Path, typer.Option(help="The tokenizer of the shards.")] = Path(
        "training/encoder/tokenizer.json"
    ),
    limit: Annotated[float, typer.Option(help="Largest piece, in millions of bytes.")] = 54.0,
) -> None:
    """Compress tokenised text into pieces for an accelerator without a network; see docs/accelerator.md."""
    from training.travel import TravelError
    from training.travel import pack as do_pack

    try:
        pieces = do_pack(shards, tokenizer, output, int(limit * 1_000_000))
    except (TravelError, OSError) as error:
        fail(str(error))
    for piece in pieces:
        typer.echo(f"{piece.file}  {piece.bytes / 1e6:6.1f} MB  {piece.sha256}")


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


@app.command(epilog="Example:\n\n    penchant-train compose runs/composed.jsonl --held-out 1000")
def compose(
    target: Annotated[Path, typer.Argument(help="JSON lines to write.")],
    rows: Annotated[int, typer.Option(min=1, help="Passages to train on.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Another seed, other passages.")] = 11,
    held_out: Annotated[int, typer.Option(min=0, help="Validation passages, of phrases that training never sees.")] = 0,
    corpus: Annotated[
        Path | None, typer.Option(help="Corpus whose neutral training sentences stand beside some.")
    ] = Path("training/corpus"),
) -> None:
    """Put passages together by program: a measure's direction × a judgement on it."""
    from training.composition import write_composed
    from training.corpus import CorpusError

    try:
        number = write_composed(target, rows, seed, held_out, corpus)
    except CorpusError as error:
        fail(str(error), BAD_USAGE)
    typer.echo(f"{number:,} composed passages in {target}")


@app.command("debates-agreement", epilog="Example:\n\n    penchant-train debates-agreement")
def debates_agreement() -> None:
    """Print Cohen's kappa between the two readings of the shipped debates' labels."""
    from training.debates import debates_agreement as measure

    for task, kappa in measure().items():
        typer.echo(
            f"{task}: kappa {kappa['value']:.3f} ({kappa['low']:.3f}–{kappa['high']:.3f}) on {kappa['n']} paragraphs"
        )


@app.command(
    "learning-curve",
    epilog="Example:\n\n    penchant-train learning-curve configs/train/baseline.yaml -o runs/curve",
)
def learning_curve(
    configs: Annotated[list[Path], typer.Argument(help="One run's YAML a model.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the table, the points and the plots.")],
    overrides: Overrides = None,
    shares: Annotated[str, typer.Option(help="Shares of the training groups, by commas.")] = "0.1,0.25,0.5,1",
) -> None:
    """Train on growing shares of the corpus and plot what more passages bring; nothing is registered."""
    from training.config import ConfigError, load_run_config
    from training.corpus import CorpusError
    from training.learning_curve import learning_curve as measure
    from training.learning_curve import write_curve

    try:
        wanted = [float(share) for share in shares.split(",")]
        points = [
            point
            for path in configs
            for point in measure(load_run_config(path, overrides or ()), wanted, say=typer.echo)
        ]
        typer.echo(write_curve(points, output))
    except ConfigError as error:
        fail(str(error), BAD_USAGE)
    except (CorpusError, ValueError) as error:
        fail(str(error))


@app.command(epilog="Example:\n\n    penchant-train encoder runs/mini/train-1/checkpoint runs/my-encoder")
def encoder(
    checkpoint: Annotated[Path, typer.Argument(help="A fine-tuned checkpoint.")],
    target: Annotated[Path, typer.Argument(help="Folder for its encoder.")],
    pretrained: Annotated[
        Path | None, typer.Option(help="The masked-language model it was made from: its vocabulary head is kept.")
    ] = None,
) -> None:
    """Write the encoder of a fine-tuned checkpoint, without its heads, in half precision."""
    from training.encoder_folder import write_encoder

    try:
        write_encoder(checkpoint, target, pretrained)
    except ValueError as error:
        fail(str(error))
    typer.echo(target)


Name = Annotated[str, typer.Option("--name", help="The registered model.")]
Store = Annotated[str, typer.Option("--tracking-uri", help="MLflow store; MLFLOW_TRACKING_URI wins.")]
DEFAULT_NAME, DEFAULT_STORE = "penchant-stance", "sqlite:///mlruns/mlflow.db"


annotate = typer.Typer(
    help="Choose passages worth labelling for Label Studio; turn its answers into corpus rows.", no_args_is_help=True
)
app.add_typer(
    annotate, name="annotate", epilog="Example:\n\n    penchant-train annotate export out --output to-label --count 100"
)


@annotate.command("export", epilog="Example:\n\n    penchant-train annotate export out --output to-label --count 100")
def annotate_export(
    job: Annotated[Path, typer.Argument(help="A folder that penchant score wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for tasks, form and record.")],
    count: Annotated[int, typer.Option(min=1, help="Passages to choose.")] = 200,
    task: Annotated[str | None, typer.Option(help="Task whose uncertainty counts; default: the first.")] = None,
    measure: Annotated[Measure, typer.Option(help="margin (of the best two labels) or entropy (of all).")] = (
        Measure.MARGIN
    ),
    explore: Annotated[float, typer.Option(min=0, max=1, help="Share that is drawn at random instead.")] = 0.2,
    per_article: Annotated[int, typer.Option(min=1, help="Most passages of one article.")] = 2,
    min_words: Annotated[int, typer.Option(min=1, help="Shortest passage.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the draw and the order.")] = 0,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(help="Annotated data, or a former export, whose texts are left out (repeatable)."),
    ] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Do not show annotators the model's answers.")] = False,
) -> None:
    """Choose the passages of a scored job that are most worth a label, for Label Studio."""
    from inference.report_data import ReportError
    from training.annotate import Wishes, export_tasks
    from training.corpus import CorpusError

    wishes = Wishes(count, task, measure.value, explore, per_article, min_words, seed, blind)
    try:
        done = export_tasks(job, output, wishes, exclude or ())
    except (ReportError, CorpusError) as error:
        fail(str(error))
    ways = ", ".join(f"{number:,} by {way}" for way, number in sorted(done.chosen.items()))
    typer.echo(f"{done.chosen.total():,} of {done.looked_at:,} passages ({ways}) of {len(done.sources):,} sources")
    typer.echo(f"form   {done.folder / 'labeling-config.xml'}\ntasks  {done.folder / 'tasks.json'}")


@annotate.command(
    "import", epilog="Example:\n\n    penchant-train annotate import to-label answers.json --output mine.jsonl"
)
def annotate_import(
    exported: Annotated[Path, typer.Argument(help="The folder that annotate export wrote.")],
    answers: Annotated[Path, typer.Argument(help="Label Studio's export of the project, as JSON.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON lines to write, in the corpus's format.")],
    split: Annotated[str | None, typer.Option(help="Split to put the rows into; default: none.")] = None,
    author: Annotated[str, typer.Option(help="Who wrote the texts, as rows name it.")] = "job",
    genre: Annotated[str | None, typer.Option(help="Genre of the rows, where they share one.")] = None,
) -> None:
    """Turn annotators' answers into corpus rows, with their agreement and what they differ on."""
    from training.corpus import CorpusError
    from training.label_studio import import_answers

    try:
        found = import_answers(exported, answers, output, split=split, author=author, genre=genre)
    except CorpusError as error:
        fail(str(error))
    typer.echo(
        f"{len(found.rows):,} rows in {output}; {len(found.open):,} to be settled, {found.unanswered:,} unanswered"
    )
    for name, figures in found.agreement.items():
        if figures["items"]:
            alpha = "undefined" if figures["alpha"] is None else f"{figures['alpha']:.3f}"
            shown = f"Krippendorff's alpha {alpha}, {figures['pairs_agree']:.0%} of pairs agree"
            typer.echo(f"{name}: {shown} on {figures['items']:,} rows with two annotators or more")
    for one in found.disagreements:
        said = ", ".join(f"{who} {label}" for who, label in one["said"].items())
        typer.echo(f"{one['id']}  {one['task']}: {said}; settled {one['settled'] or 'by nobody yet'}")


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


@app.command(epilog="Example:\n\n    penchant-train history --tracking-uri sqlite:///mlruns/mlflow.db")
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


@app.command(epilog="Example:\n\n    source <(penchant-train completion bash)")
def completion(shell: Annotated[Shell, typer.Argument(help="The shell to complete in.")]) -> None:
    """Print a script that completes commands and options on the tab key."""
    print_completion(app, "penchant-train", shell)


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    run_app(app, "penchant-train")


if __name__ == "__main__":
    main()
