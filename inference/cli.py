"""``penchant``: the command line of batch scoring. It parses, calls a plain function and prints; no more."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from inference.console import BAD_USAGE, FAILED, INTERRUPTED, QUARANTINED, Shell, print_completion, run_app

if TYPE_CHECKING:
    from inference.job import JobResult
    from inference.progress import Part


class Engine(StrEnum):
    """What runs the steps of a job."""

    LOCAL = "local"
    RAY = "ray"


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

    penchant score wire/ --output tuesday --since-manifest monday/manifest.json

    penchant score /shared/crawl --output /shared/out --engine ray --address auto

    penchant score articles/ --output out --json --underline 0 | jq .passages

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


Underline = typer.Option(
    "--underline",
    min=0,
    help="Underline the words that pull most in up to so many passages of the report (a model row a word); 0: none.",
)


@app.command(epilog=SCORE_EXAMPLES)
def score(
    inputs: Annotated[list[str], typer.Argument(help="Files or folders of articles; - reads standard input.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for rows, manifest and report, or s3://….")],
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
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that score, each with its own model.")] = None,
    engine: Annotated[Engine, typer.Option(help="local (this machine) or ray (a cluster, which sees all paths).")] = (
        Engine.LOCAL
    ),
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster: auto or host:port; default: Ray on this machine alone.")
    ] = None,
    scorers: Annotated[
        int | None, typer.Option(min=1, help="Scoring actors on the cluster; default: seven in eight CPUs.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Clear a former job in the output folder.")] = False,
    since: Annotated[
        Path | None,
        typer.Option("--since-manifest", help="manifest.json of a former job: score only what is new or changed."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON instead of the table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also print the model, the settings and each rejected row.")
    ] = False,
    underlined: Annotated[int | None, Underline] = None,
) -> None:
    """Score articles: passages, articles, a manifest and a report into the output folder."""
    if quiet and verbose:
        fail("--quiet and --verbose contradict each other; give one of them", BAD_USAGE)
    from inference.articles import InputError
    from inference.bundle import ModelError
    from inference.progress import ClusterError, JobRefusedError
    from inference.remote import StoreError
    from inference.settings import SettingsError, load_settings

    try:
        given: dict[str, Any] = {"unit": unit, "format": form, "text_column": text_column, "id_column": id_column}
        settings = load_settings(config, **given, threads=threads, workers=workers, underlined_passages=underlined)
    except SettingsError as error:
        fail(str(error), BAD_USAGE)
    try:
        result = _engine(output, engine, address, scorers)(
            _with_stdin(inputs, output),
            output,
            model=model,
            settings=settings,
            overwrite=overwrite,
            since=since,
            on_part=_progress_printer(quiet=quiet or as_json),
        )
    except (InputError, JobRefusedError) as error:
        fail(str(error), BAD_USAGE)
    except (ModelError, ClusterError, StoreError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail(f"interrupted; the same command goes on from the last finished part in {output}", INTERRUPTED)
    except OSError as error:
        fail(f"{error.strerror or error}: {error.filename or output}; the same command goes on where it stopped")
    _print_end(result, output, as_json=as_json, quiet=quiet, verbose=verbose)
    if result.quarantine_exceeded:
        fail(_quarantine_line(result, output, settings.quarantine_share), QUARANTINED)


def _print_end(result: JobResult, output: str, *, as_json: bool, quiet: bool, verbose: bool) -> None:
    from inference.remote import is_remote

    counts = result.manifest["counts"]
    if as_json:
        typer.echo(json.dumps({"output": output, **counts, "seconds": result.seconds}))
    elif is_remote(output) and not quiet:
        typer.echo(f"{output}: {', '.join(f'{count:,} {name}' for name, count in counts.items())}")
    elif not quiet:
        from inference.terminal import print_result

        print_result(result)
    if verbose and not is_remote(output):
        from inference.terminal import print_details

        print_details(result)


def _engine(output: str, engine: Engine, address: str | None, scorers: int | None) -> Callable[..., JobResult]:
    """The function that runs a job."""
    from inference.remote import is_remote

    if engine is Engine.RAY:
        from inference.cluster import score_on_ray

        return partial(score_on_ray, address=address, scorers=scorers)
    if address is not None or scorers is not None:
        fail("--address and --scorers go with --engine ray", BAD_USAGE)
    if is_remote(output):
        from inference.remote_output import score_to_store

        return score_to_store
    from inference.job import score_articles

    return score_articles


def _quarantine_line(result: JobResult, output: str, share: float) -> str:
    return (
        f"{result.quarantined} of {result.articles + result.quarantined} rows were quarantined, more than {share:.0%}; "
        f"{output}/quarantine.jsonl says which, why and the mend"
    )


def _with_stdin(inputs: list[str], output: str) -> list[str | Path]:
    """Replace ``-`` by a file that holds standard input, so that an interrupted job finds it again."""
    if "-" not in inputs:
        return list(inputs)
    from inference.articles import spool_stdin
    from inference.remote import is_remote

    if is_remote(output):
        fail("standard input goes with an output folder on this machine; save it as a file first", BAD_USAGE)
    folder = Path(output)
    spooled = spool_stdin(sys.stdin.buffer, folder.parent / f".{folder.name}.stdin")
    return [spooled if name == "-" else name for name in inputs]


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
