"""Cutting a job for a cluster: each shard read alone gives together what one machine reads in one go."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference import cluster_plan
from inference.articles import Article, ReadOptions, Rejected, list_inputs, read_articles
from inference.cluster_plan import Shard, count_states, group, plan, read_parts, survey
from inference.progress import ClusterError
from inference.since import FormerJob, run_of, write_index
from inference.writer import write_json

OPTIONS = ReadOptions()


def write_files(folder: Path, files: list[list[str]]) -> None:
    for number, ids in enumerate(files):
        lines = [json.dumps({"id": i, "text": f"Le quota {i} est levé." if i != "vide" else " "}) + "\n" for i in ids]
        (folder / f"f{number}.jsonl").write_text("".join(lines), encoding="utf-8")


def planned(folder: Path, former: FormerJob | None = None, passages: int = 2) -> tuple[list[Shard], dict[str, int]]:
    shards = group(list_inputs([folder]))
    surveys = [survey(shard, OPTIONS, former, passages) for shard in shards]
    cut = plan(shards, surveys)
    return cut, count_states(surveys, cut)


def rows_of(shards: list[Shard], former: FormerJob | None = None) -> list[Article | Rejected]:
    parts = [part for shard in shards for part in read_parts(shard, OPTIONS, former)]
    assert [number for number, _ in parts] == list(range(len(parts)))
    return [row for _, rows in parts for row in rows]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e", "vide"]), max_size=7), min_size=1, max_size=5),
    shard_files=st.integers(1, 3),
    passages=st.integers(1, 5),
)
def test_cluster_plan_gives_the_rows_of_one_machine(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    files: list[list[str]],
    shard_files: int,
    passages: int,
) -> None:
    monkeypatch.setattr(cluster_plan, "SHARD_FILES", shard_files)
    folder = tmp_path_factory.mktemp("in")
    write_files(folder, files)
    expected = list(read_articles(list_inputs([folder]), OPTIONS))
    shards, counts = planned(folder, passages=passages)
    assert rows_of(shards) == expected
    assert counts == {"new": sum(isinstance(row, Article) for row in expected), "changed": 0, "unchanged": 0}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "vide"]), max_size=6), min_size=1, max_size=4),
    known=st.sets(st.sampled_from(["a", "b", "z"])),
)
def test_cluster_plan_sifts_as_one_machine_does(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, files: list[list[str]], known: set[str]
) -> None:
    monkeypatch.setattr(cluster_plan, "SHARD_FILES", 1)
    folder, job = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("job")
    write_files(folder, files)
    run = job / "run"
    run.write_bytes(run_of(Article(i, f"Le quota {i} est levé.", None, None, None, None, "") for i in known))
    facts = {"model": {"sha256": "m"}, "settings": {"unit": "article"}, "index": write_index(job, [run])}
    write_json(job / "manifest.json", facts)
    former = FormerJob(job)
    expected = list(former.sift(read_articles(list_inputs([folder]), OPTIONS)))
    shards, counts = planned(folder, FormerJob(job))
    assert rows_of(shards, FormerJob(job)) == expected
    assert counts == {"new": former.new, "changed": former.changed, "unchanged": former.unchanged}


def test_cluster_plan_reads_only_the_parts_that_are_left(tmp_path: Path) -> None:
    write_files(tmp_path, [["a", "b", "c", "d", "e", "f"]])
    (shard,), _ = planned(tmp_path)
    assert len(shard.parts) >= 3
    every = dict(read_parts(shard, OPTIONS, None))
    left = replace(shard, parts=(shard.parts[0], shard.parts[2]))
    assert dict(read_parts(left, OPTIONS, None)) == {number: every[number] for number in (0, 2)}


def test_cluster_plan_groups_small_files_and_leaves_large_ones_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, [["a"], ["b"], ["c"] * 100, ["d"]])
    monkeypatch.setattr(cluster_plan, "SHARD_BYTES", 1000)
    assert [len(shard.files) for shard in group(list_inputs([tmp_path]))] == [3, 1]


def test_cluster_plan_never_takes_a_file_that_a_node_lacks_for_a_bad_one(tmp_path: Path) -> None:
    write_files(tmp_path, [["a"], ["b"]])
    (shard,), _ = planned(tmp_path)
    (tmp_path / "f1.jsonl").unlink()
    with pytest.raises(ClusterError, match=r"f1\.jsonl is not there on a worker"):
        list(read_parts(shard, OPTIONS, None))
    (tmp_path / "f1.jsonl").write_text("{}")
    with pytest.raises(ClusterError, match="has 2 bytes"):
        survey(shard, OPTIONS, None, 3)
