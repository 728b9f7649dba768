"""Inputs and outputs on an S3-compatible server on loopback."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

moto_server = pytest.importorskip(
    "moto.server", reason="moto is not installed; pip install 'moto[server]' to run these"
)
s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed; pip install 'penchant[remote]' to run these")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from inference import remote_output  # noqa: E402
from inference.articles import Article, list_inputs, read_articles  # noqa: E402
from inference.job import JobResult, score_articles  # noqa: E402
from inference.progress import JobRefusedError, Part  # noqa: E402
from inference.records import InputError  # noqa: E402
from inference.remote import StoreError  # noqa: E402
from inference.remote_output import score_to_store  # noqa: E402
from inference.settings import ScoreSettings  # noqa: E402

SETTINGS = ScoreSettings(format="jsonl", part_passages=2, quarantine_share=1.0, threads=1, underlined_passages=0)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    started = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A file system on an empty bucket ``box``."""
    settings = {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    for name, value in {**settings, "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("box")
    yield system
    system.rm("box", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def rows(count: int) -> list[dict[str, str]]:
    return [{"id": f"a{n}", "text": f"Les quotas d'acier pèsent sur l'atelier numéro {n}."} for n in range(count)]


def lines(content: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in content).encode()


def tables(store: Any, root: str) -> dict[str, bytes]:
    names = [name for name in store.find(root) if "/passages/" in name or "/articles/" in name]
    return {name[len(root) :]: store.cat_file(name) for name in [*names, f"{root}/quarantine.jsonl"]}


def test_remote_inputs_read_as_local_ones_do(store: Any, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(rows(3))))
    (tmp_path / "sub" / "b.txt").write_text("Une licence est délivrée lundi.", encoding="utf-8")
    pq.write_table(pa.table({"id": ["p"], "text": ["Un quota est levé."]}), tmp_path / "c.parquet")
    (tmp_path / "photo.jpeg").write_bytes(b"x")
    (tmp_path / ".hidden.txt").write_text("x")
    store.put(str(tmp_path), "box/in", recursive=True)
    local, far = list_inputs([tmp_path]), list_inputs(["s3://box/in"])
    assert sorted(file.name for file in far) == sorted(file.name for file in local)
    assert {file.name: file.sha256() for file in far} == {file.name: file.sha256() for file in local}
    by_id = lambda items: {item.id: item for item in items if isinstance(item, Article)}  # noqa: E731
    assert by_id(read_articles(far)) == by_id(read_articles(local))
    assert {skip.reason[:9] for skip in far.skipped} == {"it is hid", "its suffi"}
    (single,) = list_inputs(["s3://box/in/sub/b.txt"])
    assert (single.name, single.size_now()) == ("b.txt", single.size)


def test_remote_inputs_leave_outputs_of_jobs_out(store: Any) -> None:
    for name in ("in/x.jsonl", "in/old/manifest.json", "in/old/passages/part-00000.jsonl", "in/old/quarantine.jsonl"):
        store.pipe_file(f"box/{name}", lines(rows(1)))
    assert [file.name for file in list_inputs(["s3://box/in"])] == ["x.jsonl"]


def test_remote_inputs_that_are_not_there_are_named(store: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="s3://box/nowhere does not exist"):
        list_inputs(["s3://box/nowhere"])
    with pytest.raises(InputError, match="in two jobs"):
        list_inputs(["s3://box/in", tmp_path])
    with pytest.raises(InputError, match=r"penchant\[remote\]"):
        list_inputs(["nosuch://box/in"])


def test_remote_store_that_fails_stops_the_job_and_blames_no_row(store: Any) -> None:
    store.pipe_file("box/in/x.jsonl", lines(rows(2)))
    files = list_inputs(["s3://box/in"])
    store.rm_file("box/in/x.jsonl")
    with pytest.raises(StoreError, match=r"s3://box/in/x\.jsonl failed"):
        list(read_articles(files))


def test_remote_job_writes_what_a_local_one_does(store: Any, tmp_path: Path) -> None:
    store.pipe_file("box/in/x.jsonl", lines([*rows(7), {"id": "vide", "text": ""}]))
    far = score_to_store(["s3://box/in"], "s3://box/out", settings=SETTINGS)
    assert (far.articles, far.quarantined) == (7, 1)
    score_articles(["s3://box/in"], tmp_path / "out", settings=SETTINGS)
    for name, content in tables(store, "box/out").items():
        assert (tmp_path / "out" / name.lstrip("/")).read_bytes() == content
    assert {"box/out/manifest.json", "box/out/report.html", "box/out/articles.index"} <= set(store.find("box/out"))


@pytest.mark.parametrize("failing", range(1, 14, 2))
def test_remote_job_cut_at_any_object_goes_on_to_the_same_bytes(
    store: Any, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    store.pipe_file("box/in/x.jsonl", lines(rows(6)))
    put, count = remote_output._Store._put, 0

    def breaking(self: Any, path: Path) -> None:
        nonlocal count
        count += 1
        if count == failing:
            raise StoreError("the network is down")
        put(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(remote_output._Store, "_put", breaking)
        with pytest.raises(StoreError, match="network is down"):
            score_to_store(["s3://box/in"], "s3://box/cut", settings=SETTINGS)
    written: list[Part] = []
    result = score_to_store(["s3://box/in"], "s3://box/cut", settings=SETTINGS, on_part=written.append)
    assert result.resumed_parts == max(0, failing - 2) // 5  # the fingerprint, then five objects a part
    assert len(written) + result.resumed_parts == result.manifest["counts"]["parts"]
    score_to_store(["s3://box/in"], "s3://box/whole", settings=SETTINGS)
    assert tables(store, "box/cut") == tables(store, "box/whole")


def test_remote_output_that_is_no_job_is_left_alone(store: Any) -> None:
    store.pipe_file("box/in/x.jsonl", lines(rows(1)))
    store.pipe_file("box/out/thesis.txt", b"dix ans de travail")
    for overwrite in (False, True):
        with pytest.raises(JobRefusedError):
            score_to_store(["s3://box/in"], "s3://box/out", settings=SETTINGS, overwrite=overwrite)
    assert store.cat_file("box/out/thesis.txt") == b"dix ans de travail"


def test_remote_output_is_refused_for_other_settings_and_overwritten_on_demand(store: Any) -> None:
    store.pipe_file("box/in/x.jsonl", lines(rows(5)))
    score_to_store(["s3://box/in"], "s3://box/out", settings=SETTINGS)
    other = SETTINGS.model_copy(update={"unit": "passage", "part_passages": 100})
    with pytest.raises(JobRefusedError, match=r"^s3://box/out .* unit \(article then, passage now\)"):
        score_to_store(["s3://box/in"], "s3://box/out", settings=other)
    score_to_store(["s3://box/in"], "s3://box/out", settings=other, overwrite=True)
    assert [name for name in tables(store, "box/out") if "passages" in name] == ["/passages/part-00000.jsonl"]


@pytest.mark.parametrize("url", ["ftp://host/out", "memory://out", "http://host/out"])
def test_remote_output_is_refused_where_going_on_cannot_be_promised(url: str) -> None:
    def never(*_: object, **__: object) -> JobResult:
        raise AssertionError

    with pytest.raises(JobRefusedError, match="cannot promise to go on"):
        score_to_store(["x"], url, job=never)
