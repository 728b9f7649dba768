"""The Containerfile: what a linter would say, and its build steps run as a script, with the dependencies at hand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Where the file's own paths stand for others in the test.
PREFIX, SOURCE = "/opt/penchant", "/src"


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Containerfile with their arguments, comments left out and long lines joined."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage."""
    found: list[list[tuple[str, str]]] = []
    for name, told in instructions():
        if name == "FROM":
            found.append([])
        found[-1].append((name, told))
    return found


def sources(told: str) -> list[str]:
    return [word for word in told.split() if not word.startswith("--")][:-1]


def test_containerfile_keeps_the_rules_of_a_linter() -> None:
    known = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in instructions()} <= known  # among them no ADD, which would fetch and unpack
    for name, told in instructions():
        if name == "FROM":
            assert re.match(r"\S+:3\.11-slim( AS \w+)?$", told), "a base image is pinned to a version"
        if name in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(told), list), "the exec form passes signals on"
        if name == "WORKDIR":
            assert told.startswith("/")
        if "pip install" in told:
            assert "--no-cache-dir" in told
        assert "sudo" not in told
        assert not re.search(r"apt-get|curl|wget|latest", told)
    last = stages()[-1]
    users = [told for name, told in last if name == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert [name for name, _ in last].index("USER") < [name for name, _ in last].index("ENTRYPOINT")


def test_containerfile_copies_what_exists_and_is_not_ignored() -> None:
    lines = (ROOT / ".containerignore").read_text(encoding="utf-8").split()
    assert lines[0] == "*"
    kept = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        name for name, told in instructions() if name == "COPY" for name in sources(told) if not told.startswith("--")
    }
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


def test_containerfile_installs_nothing_that_only_training_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installs = [told for name, told in instructions() if name == "RUN" and "pip install" in told]
    assert [told.split()[-1] for told in installs] == ["."]  # the base install, no extra
    base = {re.split(r"[^\w-]", need)[0].lower() for need in project["dependencies"]}
    assert not base & {"torch", "transformers", "mlflow", "scikit-learn", "datasets", "pandas"}


@pytest.mark.skipif(
    int(version("setuptools").partition(".")[0]) < 77, reason="setuptools is older than 77: pip install 'penchant[dev]'"
)
def test_containerfile_build_steps_make_a_penchant_that_scores(tmp_path: Path) -> None:
    prefix, source = tmp_path / "opt", tmp_path / "src"
    source.mkdir()
    here = sysconfig.get_paths()["purelib"]
    for name, told in stages()[0][2:]:
        if name == "COPY":
            *names, target = [word for word in told.split() if not word.startswith("--")]
            for each in names:
                one = ROOT / each
                skipped = shutil.ignore_patterns("__pycache__")
                if one.is_dir():
                    shutil.copytree(one, source / target, ignore=skipped)
                else:
                    (source / target).mkdir(parents=True, exist_ok=True)
                    shutil.copy(one, source / target)
            continue
        assert name == "RUN"
        # No package index in a test: dependencies and build tool are those of the tests, found through a .pth file.
        step = told.replace(PREFIX, str(prefix)).replace("--no-cache-dir .", "--no-deps --no-build-isolation .")
        step = re.sub(r"^python ", f"{sys.executable} ", step)
        done = subprocess.run(["sh", "-euc", step], cwd=source, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if "-m venv" in told:
            site = next((prefix / "lib").glob("python3.*")) / "site-packages"
            for old in (*site.glob("setuptools*"), *site.glob("pkg_resources*"), *site.glob("_distutils_hack*")):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            (site / "tests-own.pth").write_text(here + "\n", encoding="utf-8")
            (site / "distutils-precedence.pth").unlink(missing_ok=True)
        if "uninstall" in told:
            break
    assert not (prefix / "bin" / "penchant-train").exists()
    penchant = prefix / "bin" / "penchant"
    text = "Le syndicat salue la levée des quotas, qui rendra de l'air à ses ateliers."
    options = ["--output", str(tmp_path / "out"), "--json", "--underline", "1"]
    done = subprocess.run([penchant, "score", "-", *options], input=text, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passages"] == 1
    assert (tmp_path / "out" / "report.html").is_file()
