"""Both command lines as a person or a script meets them: pipes, colour, completion, help, errors in one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from inference.cli import app
from inference.console import Shell
from tests.end_to_end.conftest import GOOD, ROOT, Done, Run
from training.cli import app as training_app

APPS = {"penchant": (app, "inference"), "penchant-train": (training_app, "training")}
COMMANDS = [(program, name) for program, (found, _) in APPS.items() for name in typer.main.get_group(found).commands]
ESCAPE, COLOUR = "\x1b[", re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|9[0-7])[;m]")
TEXT = "Le syndicat salue la levée des quotas."


def call(program: str, *arguments: object, stdin: str | None = None, **environment: str) -> Done:
    command = [sys.executable, "-m", APPS[program][1], *map(str, arguments)]
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    whole = {**plain, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environment}
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=whole, cwd=ROOT)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_every_command_has_help_with_an_example(program: str, name: str) -> None:
    command = typer.main.get_group(APPS[program][0]).commands[name]
    assert command.help
    assert re.search(rf"^    .*\b{program} {name}\b", command.epilog or "", re.MULTILINE)
    for option in command.params:
        assert option.name == "help" or getattr(option, "help", None), option.name


@pytest.mark.parametrize(
    ("program", "arguments", "told"),
    [
        ("penchant", ["score"], "penchant: Missing argument 'inputs'; see penchant score --help"),
        ("penchant", ["score", "x"], "penchant: Missing option '--output' / '-o'; see penchant score --help"),
        ("penchant", ["scoer"], "see penchant --help"),
        ("penchant", ["score", "x", "-o", "y", "--bogus"], "No such option: --bogus"),
        ("penchant", ["score", "x", "-o", "y", "-q", "-v"], "--quiet and --verbose contradict each other"),
        ("penchant", ["report", "tests"], "tests holds no manifest.json, so it is no job; give a folder that"),
        ("penchant-train", ["promote", "no-number"], "see penchant-train promote --help"),
        ("penchant-train", ["run", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_bad_usage_is_told_in_one_line(program: str, arguments: list[str], told: str) -> None:
    done = call(program, *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert done.err.count("\n") == 1


def test_no_command_at_all_shows_the_help() -> None:
    done = call("penchant")
    assert "Usage: penchant" in done.out + done.err
    assert done.code == 2


def test_colour_is_for_terminals_that_want_it() -> None:
    assert ESCAPE not in call("penchant", "explain", TEXT).out
    assert COLOUR.search(call("penchant", "explain", TEXT, FORCE_COLOR="1").out)
    assert not COLOUR.search(call("penchant", "explain", TEXT, FORCE_COLOR="1", NO_COLOR="1").out)
    assert ESCAPE not in call("penchant", "--help").out


def test_score_in_a_pipe_says_its_summary_in_json_and_no_more(tmp_path: Path) -> None:
    done = call("penchant", "score", "-", "--output", tmp_path / "out", "--json", "--underline", 0, stdin=GOOD)
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["passages"] == 2
    assert ESCAPE not in done.out


def test_score_quiet_says_nothing_and_verbose_says_what_it_did(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"id": "1", "text": GOOD}) + '\n{"id": "2"}\n', encoding="utf-8")
    settings = tmp_path / "settings.yaml"
    settings.write_text("quarantine_share: 1.0\nunderlined_passages: 0\n", encoding="utf-8")
    options = ("--config", settings)
    quiet = call("penchant", "score", rows, "--output", tmp_path / "quiet", "--quiet", *options)
    assert quiet == Done(0, "", "")
    loud = call("penchant", "score", rows, "--output", tmp_path / "loud", "--verbose", *options)
    assert loud.code == 0
    assert re.search(r"^model     \S+@[0-9a-f]{64}$", loud.err, re.MULTILINE)
    assert "unit=article" in loud.err
    assert re.search(r"^rejected  .*rows\.jsonl.*; ", loud.err, re.MULTILINE)


def test_report_underlines_more_when_asked_and_refuses_another_model(tmp_path: Path, penchant: Run) -> None:
    output = tmp_path / "out"
    assert penchant("score", "-", "--output", output, "--underline", 0, stdin=GOOD).code == 0
    assert not (output / "highlights.json").exists()
    assert penchant("report", output, "--underline", 1).out.strip() == str(output / "report.html")
    assert '<mark class="pull' in (output / "report.html").read_text(encoding="utf-8")
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    manifest["model"]["sha256"] = "0" * 64
    (output / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    refused = penchant("report", output, "--underline", 1)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "give --model the folder that scored it" in refused.err


@pytest.mark.parametrize("program", list(APPS))
@pytest.mark.parametrize("shell", list(Shell))
def test_completion_scripts_are_valid_in_their_shell(program: str, shell: Shell, tmp_path: Path) -> None:
    printed = call(program, "completion", shell)
    assert (printed.code, printed.err) == (0, "")
    assert program in printed.out
    interpreter = shutil.which(shell)
    if interpreter is None:
        pytest.skip(f"{shell} is not installed, so its script cannot be checked: apt-get install {shell}")
    script = tmp_path / "script"
    script.write_text(printed.out, encoding="utf-8")
    checked = subprocess.run([interpreter, "-n", str(script)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("program", "typed", "offered"),
    [
        ("penchant", "sc", "score"),
        ("penchant", "completion z", "zsh"),
        ("penchant", "score --under", "--underline"),
        ("penchant-train", "hist", "history"),
    ],
)
def test_completion_completes_in_bash(program: str, typed: str, offered: str, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed: apt-get install bash")
    command = tmp_path / program
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {APPS[program][1]} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    words = [program, *typed.split(" ")]
    script = call(program, "completion", "bash").out + (
        f"\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        f"_{program.replace('-', '_')}_completion {program}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == [offered], done.stderr
