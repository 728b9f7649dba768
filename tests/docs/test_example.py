"""The example page runs block by block in one process and prints what stands under each block."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.end_to_end.conftest import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```\n\n^```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGE = ROOT / "docs" / "example.md"
RULE = "-" * 20


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What each block prints."""
    blocks = [code for code, _ in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
    script = f"\nprint({RULE!r})\n".join(blocks)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(f"{RULE}\n")


def test_example_prints_what_the_page_shows(printed: list[str]) -> None:
    assert printed == [output for _, output in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


def test_example_shows_the_output_of_every_block() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("```python") == len(BLOCK.findall(text)) >= 5
