"""``penchant``: the command line of batch scoring. It parses, calls a plain function and prints; no more."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from inference.job import JobResult
    from inference.progress import Part

DONE, FAILED, BAD_USAGE, QUARANTINED = 0, 1, 2, 3

app = typer.Typer(
    name="penchant",
    help="Score French articles for stance and sentiment on trade and technology controls.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

SCORE_EXAMPLES = """
Examples:

    penchant score articles/ --output out

    penchant score wire.jsonl.gz --text-column body --id-column uid --output out --format jsonl

    cat article.txt | penchant score - --output out

Exit code: 0 done, 1 failed, 2 bad usage, 3 done but too many rows were quarantined. The same command on the same output
folder goes on where an interrupted one stopped.
"""


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print one line on standard error and leave with ``code``."""
    print(f"penchant: {message}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        from inference import __version__

        typer.echo(f"penchant {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Score French articles for stance and sentiment on trade and technology controls."""


@app.command(epilog=SCORE_EXAMPLES)
def score(
    inputs: Annotated[list[str], typer.Argument(help="Files or folders of articles; - reads standard input.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for rows, manifest and report.")],
    unit: Annotated[str | None, typer.Option(help="article (split into passages) or passage (each row whole).")] = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder or models:/NAME@ALIAS; default: the shipped one.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help="parquet, jsonl or csv.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text in tables and JSON lines.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the id.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML of settings; configs/score/default.yaml lists them.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the model; default: all cores.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Clear a former job in the output folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON instead of the table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Score articles: passages, articles, a manifest and a report into the output folder."""
    from inference.articles import InputError
    from inference.bundle import ModelError
    from inference.job import score_articles
    from inference.progress import JobRefusedError
    from inference.settings import SettingsError, load_settings

    try:
        given: dict[str, Any] = {"unit": unit, "format": form, "text_column": text_column}
        settings = load_settings(config, **given, id_column=id_column, threads=threads)
    except SettingsError as error:
        fail(str(error), BAD_USAGE)
    try:
        result = score_articles(
            _with_stdin(inputs, output),
            output,
            model=_model_folder(model),
            settings=settings,
            overwrite=overwrite,
            on_part=_progress_printer(quiet=quiet or as_json),
        )
    except (InputError, JobRefusedError) as error:
        fail(str(error), BAD_USAGE)
    except ModelError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail(f"interrupted; the same command goes on from the last finished part in {output}", 130)
    except OSError as error:
        fail(f"{error.strerror or error}: {error.filename or output}; the same command goes on where it stopped")
    if as_json:
        typer.echo(json.dumps({"output": str(result.output), **result.manifest["counts"], "seconds": result.seconds}))
    elif not quiet:
        from inference.terminal import print_result

        print_result(result)
    if result.quarantine_exceeded:
        fail(_quarantine_line(result, settings.quarantine_share), QUARANTINED)


def _quarantine_line(result: JobResult, share: float) -> str:
    return (
        f"{result.quarantined} of {result.articles + result.quarantined} rows were quarantined, more than {share:.0%}; "
        f"{result.output / 'quarantine.jsonl'} says which, why and the mend"
    )


def _with_stdin(inputs: list[str], output: Path) -> list[str | Path]:
    """Replace ``-`` by a file that holds standard input, so that an interrupted job finds it again."""
    if "-" not in inputs:
        return list(inputs)
    from inference.articles import spool_stdin

    spooled = spool_stdin(sys.stdin.buffer, output.parent / f".{output.name}.stdin")
    return [spooled if name == "-" else name for name in inputs]


def _model_folder(model: str | None) -> str | None:
    """A folder for ``--model``; a registry address is fetched by the training package, when it is installed."""
    if model is None or not model.startswith("models:/"):
        return model
    try:
        from importlib import import_module

        registry = import_module("training.registry")
    except ImportError:
        fail(f"{model} lies in a registry; install penchant[train] to reach it", BAD_USAGE)
    folder: str = str(registry.fetch_model(model))
    return folder


def _progress_printer(*, quiet: bool) -> Any:
    began = time.perf_counter()
    total = 0

    def show(part: Part) -> None:
        nonlocal total
        total += part.passages
        if not quiet:
            rate = total / max(time.perf_counter() - began, 1e-9)
            line = f"part {part.number}: {total:,} passages, {rate:,.0f} a second"
            print(line, file=sys.stderr)  # noqa: T201

    return show


@app.command()
def report(
    output: Annotated[Path, typer.Argument(help="A folder that penchant score wrote.")],
    lang: Annotated[str, typer.Option(help="fr or en: the language the page opens in.")] = "fr",
) -> None:
    """Write report.html again from a job's rows."""
    from inference.report import ReportError, write_report

    try:
        typer.echo(write_report(output, lang=lang))
    except ReportError as error:
        fail(str(error), BAD_USAGE)


EXPLAIN_EXAMPLES = """
Examples:

    penchant explain "Le syndicat salue la levée des quotas."

    penchant explain --file passage.txt --task sentiment --limit 5 --json

The model is run once a word, and once more for the whole passage.
"""


@app.command(epilog=EXPLAIN_EXAMPLES)
def explain(
    text: Annotated[str | None, typer.Argument(help="A passage; - reads standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A UTF-8 text file that holds it instead.")] = None,
    task: Annotated[str | None, typer.Option(help="Task to explain; default: the model's first.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Keep only the strongest words.")] = None,
    model: Annotated[str | None, typer.Option(help="Model folder or models:/NAME@ALIAS; default: shipped.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the model; default: all cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the words, their offsets and pulls as JSON.")] = False,
) -> None:
    """Show which words of a passage pull it towards its label, and which pull away from it."""
    from inference.bundle import ModelError
    from inference.classifier import Classifier
    from inference.explain import ExplainError, render
    from inference.explain import explain as explain_passage

    passage = _passage(text, file)
    try:
        classifier = Classifier.load(_model_folder(model), threads=threads)
        explanation = explain_passage(classifier, passage, task, limit)
    except ExplainError as error:
        fail(str(error), BAD_USAGE)
    except ModelError as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(explanation.as_dict(), ensure_ascii=False))
        return
    from rich.console import Console

    Console().print(render(explanation), soft_wrap=True)


def _passage(text: str | None, file: Path | None) -> str:
    if (text is None) == (file is None):
        fail("give a passage, or --file F, and not both", BAD_USAGE)
    try:
        if file is not None:
            return file.read_text(encoding="utf-8-sig")
        return sys.stdin.buffer.read().decode("utf-8-sig") if text == "-" else str(text)
    except OSError as error:
        fail(f"{file}: {error.strerror or error}; give a text file that can be read", BAD_USAGE)
    except UnicodeDecodeError:
        fail(f"{file or 'standard input'} is not UTF-8; save it as UTF-8, or use penchant score", BAD_USAGE)


@app.command()
def doctor(
    model: Annotated[str | None, typer.Option(help="Model folder or models:/NAME@ALIAS; default: shipped.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this machine and the model: versions, processor, digests, a self-test. Exit code 1 where a check fails."""
    from inference.doctor import examine

    folder = _model_folder(model)
    checks = examine(Path(folder) if folder is not None else None)
    if as_json:
        typer.echo(json.dumps([check.as_dict() for check in checks]))
    else:
        from rich.console import Console

        from inference.doctor import render

        if isinstance(sys.stdout, io.TextIOWrapper):
            # A terminal that cannot show one sign of a path must still show the rest.
            sys.stdout.reconfigure(errors="backslashreplace")
        Console().print(render(checks), soft_wrap=True)
    failed = [check.name for check in checks if check.state == "fail"]
    if failed:
        fail(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def main() -> None:
    """Run the command line; a reader that closes the pipe early is no error."""
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(DONE)


if __name__ == "__main__":
    main()
