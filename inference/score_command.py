"""``penchant score``: its options, what it prints, and how standard input becomes a file that a job can read."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from inference.console import BAD_USAGE, INTERRUPTED, QUARANTINED, counted, fail

if TYPE_CHECKING:
    from inference.job import JobResult, OnPart
    from inference.progress import Part

SCORE_EXAMPLES = """
Examples:

    penchant score articles/ --output out

    penchant score wire.jsonl.gz --text-column body --id-column uid --output out --format jsonl

    cat article.txt | penchant score - --output out

    penchant score wire/ --output tuesday --since-manifest monday/manifest.json

    penchant score /shared/crawl --output /shared/out --engine ray --address auto

    penchant score articles/ --output out --json --underline 0 | jq .passages

Exit code: 0 done, 1 failed, 2 bad usage, 3 done but too many rows were quarantined. The same command on the same output
folder goes on where an interrupted one stopped. For completion on the tab key see `penchant completion --help`.
"""

Underline = typer.Option(
    "--underline",
    min=0,
    help="Underline the words that pull most in up to so many passages of the report (a model row a word); 0: none.",
)


def score(
    inputs: Annotated[list[str], typer.Argument(help="Files or folders of articles; - reads standard input.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for rows, manifest and report, or s3://….")],
    unit: Annotated[
        Literal["article", "passage"] | None,
        typer.Option(help="article (split into passages; the default) or passage (each row whole)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder or models:/NAME@ALIAS; default: the shipped one.")
    ] = None,
    form: Annotated[
        Literal["parquet", "jsonl", "csv"] | None,
        typer.Option("--format", help="Of the rows; default: parquet. In csv, formulas are made harmless."),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text in tables and JSON lines.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the id.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML of settings; configs/score/default.yaml lists them.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the model; default: all cores.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that score, each with its own model.")] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="local (this machine) or ray (a cluster, which sees all paths).")
    ] = "local",
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
    job = _engine(output, engine, address, scorers)
    try:
        with _standard_input(inputs, output) as files:
            result = job(
                files,
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


def _engine(output: str, engine: str, address: str | None, scorers: int | None) -> Callable[..., JobResult]:
    """The function that runs a job."""
    from inference.remote import is_remote

    if engine == "ray":
        from inference.cluster import score_on_ray

        return partial(score_on_ray, address=address, scorers=scorers)
    if address is not None or scorers is not None:
        fail("--address and --scorers go with --engine ray", BAD_USAGE)
    if is_remote(output):
        from inference.remote_output import score_to_store

        return score_to_store
    from inference.job import score_articles

    return score_articles


@contextmanager
def _standard_input(inputs: Sequence[str], output: str) -> Iterator[list[str | Path]]:
    """Replace ``-`` by a file that holds standard input for as long as the job runs.

    It lies beside the output, where a cluster sees it and there is room. Nothing of it needs to stay: a job that goes
    on is given the same standard input again, and knows it by its digest.
    """
    if "-" not in inputs:
        yield list(inputs)
        return
    from inference.articles import spool_stdin
    from inference.remote import is_remote

    if is_remote(output):
        fail("standard input goes with an output folder on this machine; save it as a file first", BAD_USAGE)
    place = Path(output).resolve()
    folder = place.parent / f".{place.name}.stdin"
    try:
        spooled = spool_stdin(sys.stdin.buffer, folder)
        yield [spooled if name == "-" else name for name in inputs]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _progress_printer(*, quiet: bool) -> OnPart:
    began = time.perf_counter()
    total = 0

    def show(part: Part) -> None:
        nonlocal total
        total += part.passages
        if not quiet:
            rate = total / max(time.perf_counter() - began, 1e-9)
            line = f"part {part.number}: {counted(total, 'passage')}, {rate:,.0f} a second"
            print(line, file=sys.stderr)  # noqa: T201

    return show


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


def _quarantine_line(result: JobResult, output: str, share: float) -> str:
    rows = counted(result.articles + result.quarantined, "row was", "rows were")
    return (
        f"{result.quarantined:,} of {rows} quarantined, more than {share:.0%}; "
        f"{output}/quarantine.jsonl says which, why and the mend"
    )
