"""The documentation builds without a warning, and what it builds asks nothing of any network."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from inference.cli import app
from tests.end_to_end.conftest import ROOT
from training.cli import app as training_app

MISSING = [name for name in ("mkdocs", "material", "mkdocstrings") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"{', '.join(MISSING)} not installed: pip install 'penchant[docs]'"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a broken link, anchor or reference is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_site_loads_nothing_from_a_network(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?(https?:)?//|<link[^>]*(?:stylesheet|preconnect|icon)[^>]*//"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    assert [str(page) for page in pages if loads.search(page.read_text(encoding="utf-8"))] == []
    styles = [path for path in site.rglob("*.css") if re.search(r"url\(['\"]?(https?:)?//", path.read_text("utf-8"))]
    assert styles == []


def test_site_describes_every_command_and_option(site: Path) -> None:
    text = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    for found in (app, training_app):
        for name, command in typer.main.get_group(found).commands.items():
            assert f"{name}</code></h" in text or f"{name}</code>" in text
            for option in command.params:
                assert all(flag in text for flag in option.opts if flag.startswith("--"))


def test_site_describes_the_python_interface_from_its_docstrings(site: Path) -> None:
    text = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in ("Classifier", "predict", "score_articles", "write_report", "explain", "RunConfig"):
        assert name in text
    assert "without the option too" not in text
    assert "carries the model&#39;s card" not in text
    assert "penchant-stance" in (site / "reference" / "model-card.html").read_text(encoding="utf-8")
