"""Refusals of another job: what differs, what it was and is, and the mend that fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inference.progress import JobRefusedError, Progress

FINGERPRINT: dict[str, Any] = {
    "model": "a" * 64,
    "configuration": {"unit": "article", "format": "parquet", "max_passage_words": 80},
    "input": [["a.txt", "1"], ["b.txt", "2"]],
    "former job": None,
    "version": "0.1.0",
}


def refused(tmp_path: Path, *, finished: bool = True, **changes: Any) -> str:
    """What is said where a job that was begun with FINGERPRINT is asked for with ``changes``."""
    Progress(tmp_path, FINGERPRINT, overwrite=False)
    if finished:
        (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(JobRefusedError) as error:
        Progress(tmp_path, FINGERPRINT | changes, overwrite=False)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{tmp_path} holds a job with another ")


def test_progress_names_the_settings_that_differ_then_and_now(tmp_path: Path) -> None:
    other = {"unit": "passage", "format": "parquet", "max_passage_words": 60}
    assert refused(tmp_path, configuration=other) == (
        "configuration: max_passage_words (80 then, 60 now), unit (article then, passage now); "
        "give another --output, or --overwrite to start again"
    )


def test_progress_names_models_and_versions(tmp_path: Path) -> None:
    told = refused(tmp_path, model="b" * 64 + " int8", version="0.2.0", engine="ray")
    assert f"engine (none then, ray now); another model ({'a' * 12} then, {'b' * 12} int8 now)" in told
    assert "another version (0.1.0 then, 0.2.0 now); give another --output" in told


def test_progress_tells_how_to_score_what_was_added(tmp_path: Path) -> None:
    files = [["a.txt", "1"], ["b.txt", "9"], *([f"n{number}.txt", "3"] for number in range(5))]
    told = refused(tmp_path, input=files)
    assert told.startswith(
        "input (added: n0.txt, n1.txt, n2.txt and 2 more; changed: b.txt); to score only what is new"
    )
    assert "--since-manifest" in told
    assert "--overwrite" in told


@pytest.mark.parametrize(
    ("changes", "finished", "what"),
    [
        ({"input": [["a.txt", "1"], ["b.txt", "2"], ["c.txt", "3"]]}, False, "added: c.txt"),
        ({"input": [["a.txt", "1"]]}, True, "removed: b.txt"),
        ({"input": [["b.txt", "2"], ["a.txt", "1"]]}, True, "files in another order"),
        ({"input": [["a.txt", "0"], ["b.txt", "2"]], "version": "2"}, True, "changed: a.txt"),
    ],
)
def test_progress_speaks_of_former_jobs_only_where_one_helps(
    changes: dict[str, Any], finished: bool, what: str, tmp_path: Path
) -> None:
    told = refused(tmp_path, finished=finished, **changes)
    assert f"input ({what})" in told
    assert "--since-manifest" not in told
