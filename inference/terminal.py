"""What a person sees at the end of a job: a table of articles, and where everything lies."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inference.console import counted
from inference.report import article_rows
from inference.report_data import quarantined_rows

if TYPE_CHECKING:
    from inference.job import JobResult

#: More rows than this are in the report; a terminal is not the place for them.
SHOWN = 30
#: Rejected rows that are listed one by one.
LISTED = 20
#: What the columns beside the title take at most, gaps included.
OTHER_COLUMNS = 56
STYLES = {"pro-easing": "cyan", "pro-restriction": "magenta", "mixed": "yellow", "neutral": "dim"}


def print_result(result: JobResult) -> None:
    """Print the articles of a job (the first :data:`SHOWN`) and its folder; colour only where a terminal shows it."""
    console = Console()
    rows = list(islice(article_rows(result.output), SHOWN))
    if rows and "stance_index" in rows[0]:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("article", no_wrap=True)
        table.add_column("stance", no_wrap=True)
        for name in ("index", "95 % interval", "abstained"):
            table.add_column(name, justify="right", no_wrap=True)
        room = min(60, max(16, console.width - OTHER_COLUMNS))
        for row in rows:
            style = STYLES.get(row["stance"], "")
            interval = f"{row['stance_index_low']:+.2f} … {row['stance_index_high']:+.2f}"
            name = str(row["title"] or row["article_id"])
            name = name if len(name) <= room else f"{name[: room - 1]}…"
            unsure = f"{round(row['share_abstained'] * row['n_passages'])} of {row['n_passages']}"
            index, stance = f"{row['stance_index']:+.2f}", f"[{style}]{row['stance']}[/]" if style else row["stance"]
            table.add_row(Text(name), stance, index, interval, unsure)
        console.print(table)
        if result.articles > len(rows):
            console.print(f"… and {result.articles - len(rows):,} more", style="dim")
        console.print("abstained: passages of which the model is too unsure, of all", style="dim")
    console.print(f"\n{summary(result)}", highlight=False, soft_wrap=True, markup=False)
    for name, what in (("report.html", "report"), ("articles", "articles"), ("passages", "passages")):
        console.print(f"{what:>9}  {result.output / name}", highlight=False, soft_wrap=True)
    if result.quarantined:
        console.print(f"{'rejected':>9}  {result.output / 'quarantine.jsonl'}", highlight=False, soft_wrap=True)


def summary(result: JobResult) -> str:
    """What a job did, in one line: how much, how fast, and whether there was anything to do at all."""
    since = result.manifest["since"]
    counts = f"{counted(result.articles, 'article')}, {counted(result.passages, 'passage')}"
    if since and not result.articles:
        told = f"nothing new: {counted(since['unchanged'], 'article')} unchanged since {since['manifest']}"
    elif result.already_finished:
        told = f"already finished, nothing was left to score: {counts}"
    else:
        told = f"{counts} in {result.seconds:.1f} s ({result.manifest['passages_per_second']:,.0f} a second)"
    if result.abstained:
        told += f", {result.abstained:,} abstained"
    if result.quarantined:
        told += f", {counted(result.quarantined, 'row')} quarantined"
    if result.flagged:
        told += f", {result.flagged:,} flagged"
    if since and result.articles:
        told += f"; since {since['manifest']}: {since['new']:,} new, {since['changed']:,} changed"
        told += f", {since['unchanged']:,} unchanged"
    return told


def print_details(result: JobResult) -> None:
    """Print, on standard error, what a job was made with, the files that it passed over, and the rows it rejected."""
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    model = result.manifest["model"]
    console.print(f"model     {model['name']}@{model['sha256']}")
    console.print("settings  " + ", ".join(f"{key}={value}" for key, value in result.manifest["settings"].items()))
    for entry in result.manifest["skipped"]:
        console.print(f"skipped   {entry['name']}: {entry['reason']}")
    for row in islice(quarantined_rows(result.output), LISTED):
        console.print(f"rejected  {row['place']}: {row['reason']}; {row['mend']}")
    if result.quarantined > LISTED:
        console.print(f"rejected  … and {result.quarantined - LISTED:,} more, in {result.output / 'quarantine.jsonl'}")
