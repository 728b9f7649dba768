"""Incremental jobs: what is new or changed is scored, all else is passed over, and the index knows both."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.articles import Article, Rejected
from inference.bundle import open_bundle
from inference.classifier import SHIPPED
from inference.job import score_articles
from inference.progress import JobRefusedError
from inference.records import InputError
from inference.settings import ScoreSettings
from inference.since import MAGIC, RECORD, FormerJob, record_of, run_of, write_index
from inference.writer import read_part, write_json

SETTINGS = ScoreSettings(format="jsonl", part_passages=3, quarantine_share=1.0)
BUNDLE = open_bundle(SHIPPED)
FACTS = {"model": {"sha256": BUNDLE.digest, "precision": BUNDLE.precision}, "settings": SETTINGS.model_dump()}


def article(identity: str, text: str = "Un quota est levé.", place: str = "a.jsonl:1", **values: Any) -> Article:
    values = {"title": None, "date": None, "source": None, "topic": None, **values}
    return Article(identity, text, place=place, **values)


def job_of(folder: Path, *parts: list[Article], former: FormerJob | None = None) -> Path:
    """A finished job's index and manifest, without its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = [folder / f"index-{number}.bin" for number in range(len(parts))]
    for run, articles in zip(runs, parts, strict=True):
        run.write_bytes(run_of(articles))
    write_json(folder / "manifest.json", {**FACTS, "index": write_index(folder, runs, former)})
    return folder / "manifest.json"


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def scored(output: Path, table: str = "articles") -> dict[str, dict[str, Any]]:
    return {row["article_id"]: row for part in sorted((output / table).iterdir()) for row in read_part(part)}


def test_since_tells_new_changed_and_unchanged_apart(tmp_path: Path) -> None:
    former = FormerJob(job_of(tmp_path, [article("a"), article("b")], [article("c")]))
    assert former.find(article("a", place="moved.jsonl:7")) == "unchanged"
    assert former.find(article("b", "Un autre texte.")) == "changed"
    assert former.find(article("c", title="Un titre est venu")) == "changed"
    assert former.find(article("d")) == "new"


@given(known=st.sets(st.text(max_size=5)), asked=st.sets(st.text(max_size=5)))
def test_since_finds_exactly_the_ids_that_are_there(
    tmp_path_factory: pytest.TempPathFactory, known: set[str], asked: set[str]
) -> None:
    ids = sorted(known)
    manifest = job_of(
        tmp_path_factory.mktemp("job"), [article(i) for i in ids[::2]], [article(i) for i in ids[1::2]], []
    )
    former = FormerJob(manifest)
    assert {identity for identity in asked if former.find(article(identity)) != "new"} == asked & known
    assert all(former.find(article(identity)) == "unchanged" for identity in known)


def test_since_index_is_sorted_flat_and_carried_on(tmp_path: Path) -> None:
    many = [article(f"n{number}") for number in range(1000)]
    first = FormerJob(job_of(tmp_path / "1", many[:500], many[500:]))
    newer = article("n7", "Réécrit depuis.")
    second = FormerJob(job_of(tmp_path / "2", [newer, article("x")], former=first))
    content = second.index.read_bytes()
    records = [content[at : at + RECORD] for at in range(len(MAGIC), len(content), RECORD)]
    assert records == sorted(records)
    assert set(records) == {record_of(each) for each in [*many[:7], *many[8:], newer, article("x")]}
    assert second.find(newer) == "unchanged"
    assert second.find(many[7]) == "changed"


def test_since_passes_rejected_rows_on_and_counts_articles(tmp_path: Path) -> None:
    former = FormerJob(job_of(tmp_path, [article("a"), article("b")]))
    fault = Rejected("f:1", "empty", "fill it")
    passed = list(former.sift([article("a"), fault, article("b", "Changé."), article("c")]))
    assert passed == [fault, article("b", "Changé."), article("c")]
    assert (former.new, former.changed, former.unchanged) == (1, 1, 1)


def test_since_refuses_what_is_no_finished_job(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no manifest"):
        FormerJob(tmp_path / "manifest.json")
    (tmp_path / ".job").mkdir()
    with pytest.raises(InputError, match="finish first"):
        FormerJob(tmp_path)
    manifest = job_of(tmp_path, [article("a")])
    (tmp_path / "articles.index").write_bytes(MAGIC + bytes(RECORD))
    with pytest.raises(InputError, match="is not the index"):
        FormerJob(manifest)
    (tmp_path / "articles.index").unlink()
    with pytest.raises(InputError, match="keep it beside its manifest"):
        FormerJob(manifest)
    write_json(manifest, FACTS)
    with pytest.raises(InputError, match="tells of no index"):
        FormerJob(manifest)
    manifest.write_text("[]")
    with pytest.raises(InputError, match="not a job's manifest"):
        FormerJob(manifest)


def test_since_refuses_another_model_or_another_split(tmp_path: Path) -> None:
    former = FormerJob(job_of(tmp_path, [article("a")]))
    former.check(BUNDLE, SETTINGS.model_dump())
    with pytest.raises(InputError, match=r"another model \(.* then, n now\), and"):
        former.check(replace(BUNDLE, digest="n"), SETTINGS.model_dump())
    with pytest.raises(InputError, match="another precision"):
        former.check(replace(BUNDLE, precision="int4"), SETTINGS.model_dump())
    with pytest.raises(
        InputError, match=r"another unit \(article then, passage now\), max_passage_words \(80 then, 30 now\)"
    ):
        former.check(BUNDLE, ScoreSettings(unit="passage", max_passage_words=30).model_dump())


def test_since_job_scores_only_what_is_new_or_changed(tmp_path: Path) -> None:
    rows = [{"id": f"a{number}", "text": f"Les quotas d'acier pèsent, dit le numéro {number}."} for number in range(8)]
    source = write(tmp_path / "in.jsonl", rows)
    first = score_articles([source], tmp_path / "1", settings=SETTINGS)
    assert first.manifest["index"]["articles"] == 8
    assert first.manifest["since"] is None
    rows[2]["text"] = "Les quotas d'acier sont levés depuis lundi."
    write(source, [{"id": "neuf", "text": "Une licence est délivrée."}, *rows, {"id": "vide", "text": ""}])
    second = score_articles([source], tmp_path / "2", settings=SETTINGS, since=tmp_path / "1" / "manifest.json")
    assert set(scored(tmp_path / "2")) == {"neuf", "a2"}
    assert second.quarantined == 1
    counts = {name: second.manifest["since"][name] for name in ("new", "changed", "unchanged")}
    assert counts == {"new": 1, "changed": 1, "unchanged": 7}
    whole = score_articles([source], tmp_path / "whole", settings=SETTINGS)
    assert scored(tmp_path / "2").items() <= scored(tmp_path / "whole").items()
    assert second.manifest["index"] == whole.manifest["index"]
    third = score_articles([source], tmp_path / "3", settings=SETTINGS, since=tmp_path / "2")
    assert (third.articles, third.quarantined) == (0, 1)
    write(source, rows)
    nothing = score_articles([source], tmp_path / "4", settings=SETTINGS, since=tmp_path / "3")
    assert (nothing.articles, scored(tmp_path / "4")) == (0, {})
    assert (tmp_path / "4" / "report.html").is_file()


def test_since_job_that_goes_on_refuses_another_former_job(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"id": "a", "text": "Un quota est levé lundi."}])
    score_articles([source], tmp_path / "1", settings=SETTINGS)
    score_articles([source], tmp_path / "2", settings=SETTINGS, since=tmp_path / "1")
    score_articles([source], tmp_path / "2", settings=SETTINGS, since=tmp_path / "1")
    with pytest.raises(JobRefusedError, match="another former job"):
        score_articles([source], tmp_path / "2", settings=SETTINGS)


def test_since_interrupted_job_ends_with_the_same_index(tmp_path: Path) -> None:
    rows = [{"id": f"a{number}", "text": f"Les licences tardent, dit le numéro {number}."} for number in range(9)]
    source = write(tmp_path / "in.jsonl", rows[:3])
    score_articles([source], tmp_path / "1", settings=SETTINGS)
    write(source, rows)

    class StoppedError(Exception):
        pass

    def stop(_: object) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        score_articles([source], tmp_path / "cut", settings=SETTINGS, since=tmp_path / "1", on_part=stop)
    cut = score_articles([source], tmp_path / "cut", settings=SETTINGS, since=tmp_path / "1")
    whole = score_articles([source], tmp_path / "whole", settings=SETTINGS, since=tmp_path / "1")
    assert cut.resumed_parts == 1
    assert (cut.manifest["index"], cut.manifest["since"]) == (whole.manifest["index"], whole.manifest["since"])
    assert scored(tmp_path / "cut") == scored(tmp_path / "whole")
