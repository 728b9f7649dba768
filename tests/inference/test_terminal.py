"""What the terminal says at the end of a job: counts that agree with their nouns, and what there was to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inference.console import counted
from inference.job import JobResult
from inference.terminal import print_result, summary
from tests.inference.report_jobs import make_job


def result(output: Path = Path("out"), *, resumed: int = 0, parts: int = 1, **given: Any) -> JobResult:
    """The result of a job that took two seconds."""
    counts = {"articles": 3, "passages": 12, "abstained": 0, "quarantined": 0, "flagged": 0} | given
    manifest = {"counts": {**counts, "parts": parts}, "passages_per_second": 6.0, "since": given.get("since")}
    return JobResult(
        output,
        articles=counts["articles"],
        passages=counts["passages"],
        abstained=counts["abstained"],
        quarantined=counts["quarantined"],
        flagged=counts["flagged"],
        seconds=2.0,
        resumed_parts=resumed,
        quarantine_exceeded=False,
        manifest=manifest,
    )


SINCE = {"manifest": "monday/manifest.json", "new": 2, "changed": 1, "unchanged": 1}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (result(), "3 articles, 12 passages in 2.0 s (6 a second)"),
        (
            result(articles=1, passages=1, abstained=1, quarantined=1, flagged=1),
            "1 article, 1 passage in 2.0 s (6 a second), 1 abstained, 1 row quarantined, 1 flagged",
        ),
        (result(quarantined=2000), "3 articles, 12 passages in 2.0 s (6 a second), 2,000 rows quarantined"),
        (result(resumed=1), "already finished, nothing was left to score: 3 articles, 12 passages"),
        (result(resumed=1, parts=2), "3 articles, 12 passages in 2.0 s (6 a second)"),
        (
            result(since=SINCE),
            "3 articles, 12 passages in 2.0 s (6 a second); since monday/manifest.json: 2 new, 1 changed, 1 unchanged",
        ),
        (
            result(articles=0, passages=0, parts=0, since={**SINCE, "new": 0, "changed": 0}),
            "nothing new: 1 article unchanged since monday/manifest.json",
        ),
    ],
)
def test_terminal_says_what_there_was_to_do(told: JobResult, expected: str) -> None:
    assert summary(told) == expected


def test_terminal_counts_with_the_noun_that_fits() -> None:
    assert [counted(number, "row") for number in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [counted(number, "row was", "rows were") for number in (1, 2)] == ["1 row was", "2 rows were"]


def test_terminal_table_shows_doubt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    print_result(result(make_job(tmp_path)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-1] == "abstained"
    assert [line.split()[-3:] for line in lines[1:3]] == [["1", "of", "4"], ["0", "of", "3"]]
