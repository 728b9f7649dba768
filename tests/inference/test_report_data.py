"""Reading a job back: a part at a time, in order; what is no job is refused in one line, the old report kept."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from inference.report import ReportError, article_rows, passage_rows, write_report
from tests.inference.report_jobs import make_job


def test_report_reads_one_part_at_a_time(tmp_path: Path) -> None:
    output = make_job(tmp_path, part_stories=1)
    for table in ("articles", "passages"):
        (output / table / "part-00002.parquet").write_bytes(b"no parquet")
    assert [row["article_id"] for row in islice(article_rows(output), 2)] == ["a1", "a2"]
    assert [row["article_id"] for row in islice(passage_rows(output), 5)] == ["a1"] * 4 + ["a2"]
    with pytest.raises(ReportError, match=r"part-00002\.parquet cannot be read .*; score again"):
        list(article_rows(output))


def test_report_reads_parts_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    output = make_job(tmp_path, part_stories=2)
    (output / "articles" / "part-00001.parquet").rename(output / "articles" / "part-100000.parquet")
    (output / "articles" / ".part-00007.parquet.new").write_bytes(b"half")
    assert [row["article_id"] for row in article_rows(output)] == ["a1", "a2", "a3", "a4"]


def break_manifest(output: Path) -> None:
    (output / "manifest.json").write_text('{"model": {}}', encoding="utf-8")


def drop_passages(output: Path) -> None:
    (output / "passages" / "part-00001.parquet").unlink()


def remove_manifest(output: Path) -> None:
    (output / "manifest.json").unlink()


def leave_unfinished(output: Path) -> None:
    remove_manifest(output)
    (output / ".job").mkdir()


def other_tasks(output: Path) -> None:
    content = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    content["model"]["tasks"] = {"genre": ["a", "b"]}
    (output / "manifest.json").write_text(json.dumps(content), encoding="utf-8")


def other_labels(output: Path) -> None:
    content = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    content["model"]["tasks"]["stance"] = ["pro_easing", "neutral", "pro_restriction"]  # the same columns
    (output / "manifest.json").write_text(json.dumps(content), encoding="utf-8")


def break_quarantine(output: Path) -> None:
    (output / "quarantine.jsonl").write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (remove_manifest, r"holds no manifest\.json, so it is no job; give a folder that penchant score wrote"),
        (leave_unfinished, r"is not finished; run the same penchant score command again first"),
        (break_manifest, r"manifest\.json is not a manifest of this version .*; score again with --overwrite"),
        (drop_passages, r"passages holds 0 of the 1 passages of 'a3'; score again with --overwrite"),
        (other_tasks, r"the rows in .*articles lack genre, .*; score again"),
        (
            other_labels,
            r"the rows in .*articles hold 'pro-easing' as stance, which the manifest does not name; score again",
        ),
        (break_quarantine, r"quarantine\.jsonl holds a line that is no JSON"),
    ],
)
def test_report_refuses_what_is_no_job_in_one_line_and_leaves_the_old_report(
    harm: Any, message: str, tmp_path: Path
) -> None:
    output = make_job(tmp_path)
    (output / "report.html").write_text("old", encoding="utf-8")
    harm(output)
    with pytest.raises(ReportError, match=message) as refused:
        write_report(output)
    assert "\n" not in str(refused.value)
    assert (output / "report.html").read_text(encoding="utf-8") == "old"


def test_report_refuses_a_language_it_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no report is written in 'de'; give fr or en"):
        write_report(make_job(tmp_path), lang="de")
