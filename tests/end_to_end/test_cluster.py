"""The job on a real Ray cluster of separate processes: the rows of one machine, whatever dies on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inference.writer import read_part
from tests.end_to_end.conftest import GOOD, ROOT, Run

pytest.importorskip("ray", reason="ray is not installed; pip install 'penchant[ray]' to run the cluster's tests")

from tests.end_to_end.ray_cluster import Cluster, environment  # imports ray's psutil

SECONDS = 540


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head and two workers, two CPUs each; started one by one, since nodes of one address trip over each other."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        started = Cluster(Path(folder))
        try:
            for nodes in (1, 2, 3):
                started.start()
                started.wait(nodes)
            yield started
        finally:
            started.stop()


@pytest.fixture
def job(tmp_path: Path) -> list[str]:
    """Six files with empty texts, malformed lines and an id that repeats across files; small parts."""
    folder = tmp_path / "in"
    folder.mkdir()
    for file in range(6):
        rows: list[dict[str, Any]] = [{"id": f"f{file}-{n}", "text": f"{GOOD} Dépêche {file}.{n}."} for n in range(25)]
        rows[5]["text"], rows[7]["id"] = " ", "partout"
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"f{file}.jsonl").write_text(lines + "{\n", encoding="utf-8")
    (tmp_path / "settings.yaml").write_text("part_passages: 8\nquarantine_share: 1.0\n", encoding="utf-8")
    return ["score", str(folder), "--config", str(tmp_path / "settings.yaml"), "--json", "--output"]


def contents(output: Path) -> dict[str, Any]:
    """The rows of a job, order aside, and its index."""
    found: dict[str, Any] = {"index": (output / "articles.index").read_bytes()}
    for table in ("passages", "articles"):
        rows = [json.dumps(row) for part in sorted((output / table).iterdir()) for row in read_part(part)]
        found[table] = sorted(rows)
    found["quarantine"] = sorted((output / "quarantine.jsonl").read_text(encoding="utf-8").splitlines())
    return found


def markers(output: Path) -> int:
    return len(list(output.glob(".job/part-*.json")))


def begin(job: list[str], output: Path, cluster: Cluster) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "inference", *job, str(output), "--engine", "ray", "--address", cluster.address]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=pipe, stderr=pipe, text=True)


def wait_for_a_part(process: subprocess.Popen[str], output: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while markers(output) == 0 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


def test_cluster_job_killed_and_resumed_gives_the_rows_of_one_machine(
    penchant: Run, cluster: Cluster, job: list[str], tmp_path: Path
) -> None:
    assert penchant(*job, tmp_path / "one").code == 0
    output = tmp_path / "many"
    first = begin(job, output, cluster)
    wait_for_a_part(first, output)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    again = begin(job, output, cluster)
    out, err = again.communicate(timeout=SECONDS)
    assert again.returncode == 0, err
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["resumed_parts"] >= 1
    assert json.loads(out.splitlines()[-1])["articles"] == 6 * 23 + 1
    assert contents(output) == contents(tmp_path / "one")
    refused = penchant(*job, output)
    assert (refused.code, "another engine" in refused.err) == (2, True)


def test_cluster_job_outlives_a_node(penchant: Run, cluster: Cluster, job: list[str], tmp_path: Path) -> None:
    assert penchant(*job, tmp_path / "one").code == 0
    output = tmp_path / "many"
    process = begin(job, output, cluster)
    wait_for_a_part(process, output)
    cluster.kill(2)
    done_before = markers(output)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    parts = json.loads((output / "manifest.json").read_text(encoding="utf-8"))["counts"]["parts"]
    assert done_before < parts
    assert contents(output) == contents(tmp_path / "one")
    assert not list(output.rglob(".*.new"))
    cluster.wait(2)
