"""Where a run comes from: who started it, from which commit, in which environment. Nothing here ever fails."""

from __future__ import annotations

import getpass
import os
import platform
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from importlib.metadata import distributions as installed

from inference import __version__

PACKAGES = ("mlflow", "numpy", "onnx", "onnxruntime", "scikit-learn", "tokenizers", "torch", "transformers")


def user() -> str:
    """The user name of this process, or its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def this_process() -> str:
    """This process among all machines: ``host:pid``."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_running(process: str) -> bool | None:
    """Whether a process that :func:`this_process` named still runs; None where it was on another machine."""
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def git_state() -> dict[str, str]:
    """``git.commit`` and ``git.dirty`` of the working folder; empty outside a checkout or before a commit."""
    commit = _git("rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return {}
    changed = _git("status", "--porcelain")
    return {"git.commit": commit, "git.dirty": "unknown" if changed is None else str(bool(changed)).lower()}


def _git(*arguments: str) -> str | None:
    """The output of git, None where it fails."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20, check=True)  # noqa: S603, S607
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def environment() -> dict[str, str]:
    """Versions of Python, of this project and of the packages that shape a model, and the machine."""
    found = {"version.penchant": __version__, "version.python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[f"version.{name}"] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"}


def distributions() -> list[str]:
    """Every installed distribution as ``name==version``, sorted."""
    return sorted({f"{one.metadata['Name']}=={one.version}" for one in installed()}, key=str.lower)
