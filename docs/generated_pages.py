"""Pages that MkDocs makes from the code itself: the command line's reference and the model's card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: A link of Markdown that is no address: its text and its target.
LINK = re.compile(r"\[([^\]]+)\]\((?!\w+:|#)([^)\s]+)\)")
MARKER = "<!-- commands of {} -->"


def commands(program: str) -> str:
    """The reference of one command line, as Markdown, from the definitions that the command line itself is made of."""
    import typer
    from typer.cli import get_docs_for_click

    from inference.cli import app as scoring
    from training.cli import app as training

    group = typer.main.get_group({"penchant": scoring, "penchant-train": training}[program])
    context = typer.Context(group, info_name=program, resilient_parsing=True)
    text: str = get_docs_for_click(obj=group, ctx=context, name=program, indent=1)
    for name, command in group.commands.items():  # the list cuts their descriptions short
        told = (command.help or "").partition("\n")[0]
        text = re.sub(rf"^\* `{name}`: .*$", f"* `{name}`: {told}", text, flags=re.MULTILINE)
    return text


def inside(markdown: str, page: Path) -> str:
    """Write links to files outside ``docs/``, which the site does not have, as the text and the file's path."""

    def told(link: re.Match[str]) -> str:
        text, target = link.groups()
        place = (page.parent / target.partition("#")[0]).resolve()
        outside = place.is_relative_to(ROOT) and not place.is_relative_to(ROOT / "docs")
        return f"{text} (`{place.relative_to(ROOT)}`)" if outside else link[0]

    return LINK.sub(told, markdown)


def on_config(config: Any) -> Any:
    """List the pages that lie in ``docs/`` itself and that the navigation does not name: notes on measurements."""
    named = str(config.nav)
    rest = sorted(path.name for path in (ROOT / "docs").glob("*.md") if f"'{path.name}'" not in named)
    if rest:
        config.nav.append({"Notes": rest})
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the reference of a command line where a page asks for it; mend links that leave the site."""
    markdown = inside(markdown, ROOT / "docs" / page.file.src_uri)
    for program in ("penchant", "penchant-train"):
        marker = MARKER.format(program)
        if marker in markdown:
            markdown = markdown.replace(marker, commands(program))
    return markdown


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the shipped model's card, which lies with the model."""
    from mkdocs.structure.files import File

    card = ROOT / "inference" / "model" / "README.md"
    files.append(File.generated(config, "reference/model-card.md", content=card.read_text(encoding="utf-8")))
    return files
