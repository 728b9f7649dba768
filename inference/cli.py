"""``penchant``: the command line of batch scoring. It parses, calls a plain function and prints; no more."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from inference.console import BAD_USAGE, Shell, fail, print_completion, run_app
from inference.score_command import SCORE_EXAMPLES, Underline, score

app = typer.Typer(
    name="penchant",
    help="Score French articles for stance and sentiment on trade and technology controls.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


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


app.command(epilog=SCORE_EXAMPLES)(score)


REPORT_EXAMPLES = """
Examples:

    penchant report out --lang en

    penchant report out --underline 200

Words that were found once are kept in highlights.json beside the rows and underlined without the option too.
"""


@app.command(epilog=REPORT_EXAMPLES)
def report(
    output: Annotated[Path, typer.Argument(help="A folder that penchant score wrote.")],
    lang: Annotated[str, typer.Option(help="fr or en: the language the page opens in.")] = "fr",
    underlined: Annotated[int | None, Underline] = None,
    model: Annotated[str | None, typer.Option(help="The model that scored the folder; default: shipped.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the model; default: all cores.")] = None,
) -> None:
    """Write report.html again from a job's rows."""
    from inference.bundle import ModelError
    from inference.classifier import Classifier
    from inference.report import ReportError, write_report

    try:
        classifier = Classifier.load(model, threads=threads) if underlined else None
        typer.echo(write_report(output, lang=lang, classifier=classifier, underlined=underlined))
    except ReportError as error:
        fail(str(error), BAD_USAGE)
    except ModelError as error:
        fail(str(error))


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
        classifier = Classifier.load(model, threads=threads)
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


DOCTOR_EXAMPLES = """
Examples:

    penchant doctor

    penchant doctor --model runs/mini/export --json
"""


@app.command(epilog=DOCTOR_EXAMPLES)
def doctor(
    model: Annotated[str | None, typer.Option(help="Model folder or models:/NAME@ALIAS; default: shipped.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this machine and the model: versions, processor, digests, a self-test. Exit code 1 where a check fails."""
    from inference.bundle import ModelError
    from inference.doctor import examine
    from inference.registered import locate

    try:
        checks = examine(locate(model).folder if model is not None else None)
    except ModelError as error:
        fail(str(error))
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


COMPLETION_EXAMPLES = """
Examples:

    source <(penchant completion bash)

    penchant completion fish > ~/.config/fish/completions/penchant.fish
"""


@app.command(epilog=COMPLETION_EXAMPLES)
def completion(shell: Annotated[Shell, typer.Argument(help="The shell to complete in.")]) -> None:
    """Print a script that completes commands and options on the tab key."""
    print_completion(app, "penchant", shell)


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    run_app(app, "penchant")


if __name__ == "__main__":
    main()
