"""Every command of the README and of docs/ is parsed against the command line, and runs unless a reason stands here."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from inference.cli import app
from tests.end_to_end.conftest import GOOD, ROOT, write_jsonl
from training.cli import app as training_app

APPS = {"penchant": (app, "inference"), "penchant-train": (training_app, "training")}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

NAVIGATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
#: Notes on measurements, which the navigation does not name: their commands take hours, a cluster or an accelerator.
NOTES = {page.name for page in (ROOT / "docs").glob("*.md") if f" {page.name}\n" not in NAVIGATION}

#: Commands that are parsed but not run, each with the reason; a pattern that matches none is an error.
NOT_RUN = {
    r"^make (score|test)": "builds a virtual environment from the package index",
    r"pip install|-m venv|^source \.venv": "needs the package index; tests/test_containerfile.py installs a wheel",
    r"penchant-train run configs/train/": "trains for minutes; tests/training/test_run.py runs small ones",
    r"penchant-train pretrain configs/train/pretrain-adapt": "reads an archive; test_pretrain_job.py adapts one",
    r"penchant-train (compose|encoder) ": "follows on a run of minutes; test_composition.py, test_encoder_folder.py",
    r"run urgency\.yaml$|runs/urgency-model": "fine-tunes for minutes; tests/training/test_run.py does small ones",
    r"penchant-train (history|promote|rollback)": "needs versions in a registry; see tests/training/test_promotion.py",
    r"models:/": "needs a registry with a champion; tests/end_to_end/test_served_model.py has one",
    r"^mlflow server|^export MLFLOW": "serves until it is stopped",
    r"--engine ray": "needs a cluster; tests of inference/cluster.py run Ray where it is installed",
    r"^(podman|docker|systemctl)": "needs a container engine or systemd",
    r"learning-curve": "trains a model a share for minutes; tests/training/test_learning_curve.py draws small ones",
    r"--against": "compares with a model of a run that takes minutes; tests/training/test_compare.py does it",
    r"^penchant-train check-corpus training/corpus$": "takes a minute; own-labels.md runs the check on few rows",
    r"evaluate inference/model --data mine\.jsonl": "bootstraps for a minute; explanation/calibration.md runs the like",
}


@dataclass(frozen=True)
class Command:
    """One command line of a page."""

    page: str
    line: str

    @property
    def reason(self) -> str | None:
        """Why it is not run; None where it is."""
        if Path(self.page).name in NOTES:
            return "a note on a measurement"
        return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, self.line)), None)


def commands_of(page: Path) -> list[Command]:
    """The commands of a page: lines after ``$`` in console blocks, and the lines of blocks without a language."""
    found = []
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            told = line.removeprefix("$ ") if language == "console" and line.startswith("$ ") else ""
            if language in ("", "sh", "bash"):
                told = line
            if told := re.sub(r"\s{2,}#.*", "", told).strip():
                found.append(Command(str(page.relative_to(ROOT)), told))
    return found


COMMANDS = [command for page in PAGES for command in commands_of(page)]


def calls_of(line: str) -> list[list[str]]:
    """The calls of this project's commands in a shell line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    calls: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;()<>"):
            calls.append([])
        else:
            calls[-1].append(word)
    return [call for call in calls if call and call[0].rpartition("/")[2] in APPS]


def parse(call: list[str]) -> None:
    """Parse a call as the command line would, without running it."""
    program = call[0].rpartition("/")[2]
    group = typer.main.get_group(APPS[program][0])
    context = group.make_context(program, list(call[1:]), resilient_parsing=True)
    command = group.get_command(context, call[1])
    assert command is not None, f"{program} has no command {call[1]!r}"
    command.make_context(call[1], list(call[2:]), parent=context)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.page}: {command.line}")
def test_documented_commands_are_ones_that_the_command_line_takes(command: Command) -> None:
    calls = calls_of(command.line)
    assert calls or command.reason or not re.search(r"\bpenchant\b", command.line)
    for call in calls:
        parse(call)


def test_documented_commands_are_parsed_in_earnest() -> None:
    for line in ("penchant score x --no-such-flag", "penchant bogus", "penchant-train promote seven --reason x"):
        with pytest.raises((typer.TyperException, AssertionError)):
            parse(calls_of(line)[0])
    assert calls_of("cat a | penchant score - --output 'b c' && penchant-train history") == [
        ["penchant", "score", "-", "--output", "b c"],
        ["penchant-train", "history"],
    ]


def test_reasons_not_to_run_a_command_are_all_in_use() -> None:
    lines = [command.line for command in COMMANDS]
    idle = [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in lines)]
    assert idle == []
    assert sum(command.reason is None for command in COMMANDS) >= 12


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed: apt-get install make")
def test_make_says_first_that_it_installs_and_last_where_the_report_is(tmp_path: Path) -> None:
    command = ["make", "--dry-run", "score", f"VENV={tmp_path / 'venv'}", "OUT=out/here"]
    # Under `make test` this is a make within a make, which would announce its folder first.
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    told = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0].startswith('echo "Installing what scoring needs')
    assert told[-1].startswith('echo "Open out/here/report.html')
    assert any("pip install" in line for line in told[1:-1])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with what the pages talk about, small, and both commands on its PATH."""
    folder = tmp_path / "copy"
    for name in ("articles", "bin"):
        (folder / name).mkdir(parents=True)
    (folder / "examples" / "articles").mkdir(parents=True)
    for path in sorted((ROOT / "examples" / "articles").glob("*.txt"))[:2]:
        shutil.copy(path, folder / "examples" / "articles")
    for name in ("inference", "training", "configs", "docs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "articles" / "a.txt").write_text(GOOD, encoding="utf-8")
    (folder / "article.txt").write_text(GOOD, encoding="utf-8")
    with gzip.open(folder / "wire.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"uid": "w1", "body": GOOD}, ensure_ascii=False) + "\n")
    page = (ROOT / "docs" / "how-to" / "own-labels.md").read_text(encoding="utf-8")
    blocks = dict(FENCE.findall(page))
    (folder / "urgency.yaml").write_text(blocks["yaml"], encoding="utf-8")
    pattern = [json.loads(line) for line in blocks["json"].splitlines()]
    things = ["la facture", "le colis", "le devis", "la réponse", "le plan", "le contrat", "la pièce", "le rapport"]
    things += ["la clé", "le badge"]
    days = ("lundi", "mardi", "jeudi", "samedi", "demain", "midi")
    rows = []
    for number, thing in enumerate(f"{thing} de {day}" for thing in things for day in days):
        row = {**pattern[number % 2], "id": f"r{number}", "story": f"s{number // 2}"}
        told = ("Il faut livrer {} tout de suite.", "On peut garder {} sans se presser.")[number % 2]
        rows.append({**row, "text": told.format(thing)})
    write_jsonl(folder / "mine.jsonl", rows)
    lines = (ROOT / "training" / "corpus" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    write_jsonl(folder / "mine-stance.jsonl", [json.loads(line) for line in lines[:24]])
    for program, (_, package) in APPS.items():
        script = folder / "bin" / program
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {package} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documented_commands_run(page: Path, workspace: Path) -> None:
    told = [command for command in commands_of(page) if command.reason is None]
    if not told:
        pytest.skip("no command of this page is run; the reasons stand in NOT_RUN")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    environment |= {"PATH": f"{workspace / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    for command in told:
        shutil.rmtree(workspace / "out", ignore_errors=True) if page.name == "README.md" else None
        script = ["bash", "-euo", "pipefail", "-c", command.line]
        done = subprocess.run(script, cwd=workspace, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command.line}\n{done.stdout}\n{done.stderr}"
