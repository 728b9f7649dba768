"""What command lines share: exit codes, errors in one line, counts in words, and shell completion."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import NoReturn

import typer

DONE, FAILED, BAD_USAGE, QUARANTINED, INTERRUPTED = 0, 1, 2, 3, 130


class Shell(StrEnum):
    """A shell that completion is written for."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def fail(message: str, code: int = FAILED, program: str = "penchant") -> NoReturn:
    """Print one line on standard error and leave with ``code``."""
    print(f"{program}: {message}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(code)


def counted(number: int, one: str, many: str = "") -> str:
    """A count with its noun: ``1 passage``, ``2,000 passages``; ``many`` where the plural is not ``one`` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def print_completion(app: typer.Typer, program: str, shell: Shell) -> None:
    """Print a script that, sourced in ``shell``, completes the commands and options of ``program`` on the tab key."""
    from typer.completion import shell_complete

    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    shell_complete(typer.main.get_command(app), {}, program, variable, f"source_{shell}")


def run_app(app: typer.Typer, program: str) -> NoReturn:
    """Run a command line and leave with its exit code.

    Bad usage is told in one line that names the help; a reader that closes the pipe early is no error.
    """
    try:
        code = app(prog_name=program, standalone_mode=False)
    except typer.TyperException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", program)
        if message := " ".join(error.format_message().split()).rstrip("."):
            print(f"{program}: {message}; see {command} --help", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(DONE)
    sys.exit(code or DONE)
