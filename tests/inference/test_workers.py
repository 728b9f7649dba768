"""Workers: the same rows whatever their number, in order, and nothing left of those that were killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inference.job import score_articles
from inference.settings import ScoreSettings
from inference.workers import clear_unfinished, threads_each

SENTENCES = (
    "La fédération des importateurs salue la levée des quotas sur les aciers plats.",
    "Le rapporteur demande que chaque machine exportée soit suivie jusqu'à l'atelier qui la reçoit.",
    "Le décret paraîtra au printemps, après l'avis du comité des normes.",
)


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    path = tmp_path / "articles.jsonl"
    rows = [{"id": f"a{n}", "text": f"{SENTENCES[n % 3]} Dossier numéro {n}, versé au registre."} for n in range(40)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join([*lines[:20], "{cassé", *lines[20:]]) + "\n", encoding="utf-8")
    return path


def rows_of(output: Path) -> dict[str, bytes]:
    files = [path for table in ("passages", "articles") for path in sorted((output / table).iterdir())]
    return {str(path.relative_to(output)): path.read_bytes() for path in [*files, output / "quarantine.jsonl"]}


def settings(workers: int) -> ScoreSettings:
    return ScoreSettings(part_passages=7, threads=1, workers=workers, underlined_passages=0, quarantine_share=0.5)


def test_workers_write_the_same_rows_whatever_their_number(articles: Path, tmp_path: Path) -> None:
    expected = score_articles([articles], tmp_path / "one", settings=settings(1))
    found = score_articles([articles], tmp_path / "two", settings=settings(2))
    assert rows_of(tmp_path / "one") == rows_of(tmp_path / "two")
    assert (found.articles, found.passages, found.quarantined) == (expected.articles, expected.passages, 1)
    assert len(found.manifest["settings"]) == len(expected.manifest["settings"])
    assert found.manifest["counts"]["parts"] == 6


def test_workers_end_with_a_killed_job_and_another_number_goes_on(articles: Path, tmp_path: Path) -> None:
    score_articles([articles], tmp_path / "whole", settings=settings(1))
    output = tmp_path / "killed"
    config = tmp_path / "settings.yaml"
    config.write_text("part_passages: 7\nthreads: 1\nworkers: 2\nunderlined_passages: 0\nquarantine_share: 0.5\n")
    command = [sys.executable, "-m", "inference", "score", str(articles), "-o", str(output), "--config", str(config)]
    job = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    while not (output / ".job" / "part-00000.json").exists() and job.poll() is None:
        time.sleep(0.01)
    job.kill()
    job.wait()
    wait_until_gone(job.pid)
    score_articles([articles], output, settings=settings(1))
    assert rows_of(output) == rows_of(tmp_path / "whole")
    assert not list(output.rglob("*.new"))


def wait_until_gone(group: int, seconds: float = 60) -> None:
    """Wait for the last process of a group; one that outlives its job is a failure (and is ended)."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("a worker outlived its job")


def test_workers_clear_what_was_half_written(tmp_path: Path) -> None:
    (tmp_path / "passages").mkdir()
    whole, half = tmp_path / "passages" / "part-00000.parquet", tmp_path / "passages" / ".part-00001.parquet.77.new"
    whole.write_bytes(b"whole")
    half.write_bytes(b"ha")
    clear_unfinished(tmp_path)
    assert list((tmp_path / "passages").iterdir()) == [whole]


def test_workers_share_the_cores_and_have_one_each() -> None:
    assert threads_each(10_000) == 1
    assert threads_each(1) >= threads_each(2) >= 1
