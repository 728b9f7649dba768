"""``penchant score`` from outside: rows, exit codes, resuming, and every case of bad input."""

from __future__ import annotations

import csv
import gzip
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from inference.classifier import SHIPPED
from inference.score_command import score
from inference.settings import ScoreSettings
from inference.writer import read_part
from tests.end_to_end.conftest import GOOD, ROOT, Run, write_jsonl

EXAMPLES = ROOT / "examples" / "articles"


def rows_of(output: Path, table: str = "articles") -> list[dict[str, Any]]:
    return [row for part in sorted((output / table).iterdir()) for row in read_part(part)]


def quarantine_of(output: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (output / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()]


def tables_of(output: Path) -> dict[str, bytes]:
    files = [path for table in ("articles", "passages") for path in (output / table).iterdir()]
    return {str(path.relative_to(output)): path.read_bytes() for path in [*files, output / "quarantine.jsonl"]}


def test_score_examples_give_rows_manifest_and_report(penchant: Run, tmp_path: Path) -> None:
    done = penchant("score", EXAMPLES, "--output", tmp_path / "out")
    assert done.code == 0, done.err
    articles, passages = rows_of(tmp_path / "out"), rows_of(tmp_path / "out", "passages")
    assert len(articles) >= 12
    assert sum(row["n_passages"] for row in articles) == len(passages)
    for row in articles:
        assert -1 <= row["stance_index_low"] <= row["stance_index"] <= row["stance_index_high"] <= 1
        assert row["title"][:20] in done.out
    for row in passages:
        assert row["end"] - row["start"] == len(row["text"])
        assert row["truncated_tokens"] == 0
        shares = [row[f"stance_{label}"] for label in ("pro_easing", "neutral", "pro_restriction")]
        assert sum(shares) == pytest.approx(1, abs=2e-4)
        assert row["confidence"] == max(shares)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["counts"]["articles"] == len(articles)
    assert manifest["model"]["sha256"].startswith(articles[0]["model"].split("@")[1])
    assert "<html" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert str(tmp_path / "out" / "report.html") in done.out


def test_score_passage_offsets_slice_the_article(penchant: Run, tmp_path: Path) -> None:
    text = "Un titre\n\n" + GOOD.replace("mardi", "mardi « 3,5 % » — l'été") + "\n\nFin."
    source = write_jsonl(tmp_path / "in.jsonl", [{"id": "x", "text": text}])
    assert penchant("score", source, "--output", tmp_path / "out").code == 0
    rows = rows_of(tmp_path / "out", "passages")
    assert rows
    for row in rows:
        assert text[row["start"] : row["end"]] == row["text"]


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_score_writes_the_same_rows_in_every_format(
    penchant: Run, tmp_path: Path, good_rows: list[dict[str, Any]], form: str
) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", good_rows)
    assert penchant("score", source, "--output", tmp_path / form, "--format", form).code == 0
    assert penchant("score", source, "--output", tmp_path / "other", "--format", "jsonl").code == 0
    assert rows_of(tmp_path / form, "passages") == rows_of(tmp_path / "other", "passages")


def test_score_unit_passage_takes_rows_whole(penchant: Run, tmp_path: Path, good_rows: list[dict[str, Any]]) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", good_rows)
    assert penchant("score", source, "--output", tmp_path / "out", "--unit", "passage").code == 0
    assert [row["text"] for row in rows_of(tmp_path / "out", "passages")] == [row["text"] for row in good_rows]


def test_score_reads_standard_input(penchant: Run, tmp_path: Path) -> None:
    done = penchant("score", "-", "--output", tmp_path / "out", stdin=GOOD)
    assert done.code == 0, done.err
    assert rows_of(tmp_path / "out")[0]["n_passages"] >= 1


def test_score_leaves_nothing_of_standard_input_beside_the_output(penchant: Run, tmp_path: Path) -> None:
    command = ["score", "-", "--underline", 0, "--output", tmp_path / "out"]
    assert penchant(*command, stdin=GOOD).code == 0
    tables = tables_of(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    again = penchant(*command, stdin=GOOD)
    assert (again.code, "already finished" in again.out) == (0, True)
    other = penchant(*command, stdin=GOOD + " Et plus.")
    assert (other.code, "changed: stdin.txt" in other.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert tables_of(tmp_path / "out") == tables


def test_score_from_standard_input_goes_on_where_it_was_killed(penchant: Run, tmp_path: Path) -> None:
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in many_rows(80))
    command = ["score", "-", "--config", small_parts(tmp_path), "--quiet", "--output"]
    assert penchant(*command, tmp_path / "whole", stdin=rows).code == 0
    arguments = [sys.executable, "-m", "inference", *map(str, command), str(tmp_path / "killed")]
    with subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(rows)
        process.stdin.close()
        while process.poll() is None and not list((tmp_path / "killed").glob(".job/part-*.json")):
            time.sleep(0.002)
        process.kill()
    assert not (tmp_path / "killed" / "manifest.json").exists()
    assert penchant(*command, tmp_path / "killed", stdin=rows).code == 0
    assert tables_of(tmp_path / "killed") == tables_of(tmp_path / "whole")
    assert json.loads((tmp_path / "killed" / "manifest.json").read_text("utf-8"))["resumed_parts"] >= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "settings.yaml", "whole"]


def test_score_repeated_says_so_and_keeps_what_the_manifest_says_of_the_run(
    penchant: Run, tmp_path: Path, good_rows: list[dict[str, Any]]
) -> None:
    source, out = write_jsonl(tmp_path / "in.jsonl", good_rows), tmp_path / "out"
    assert penchant("score", source, "--output", out, "--underline", 0).code == 0
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    done = penchant("score", source, "--output", out, "--underline", 0)
    assert (
        f"already finished, nothing was left to score: 3 articles, {manifest['counts']['passages']} passages"
        in done.out
    )
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8")) == manifest
    new = penchant("score", source, "--output", tmp_path / "new", "--since-manifest", out, "--underline", 0)
    assert f"nothing new: 3 articles unchanged since {out / 'manifest.json'}" in new.out
    assert "Rien de nouveau" in (tmp_path / "new" / "report.html").read_text(encoding="utf-8")


def test_score_flags_articles_of_a_few_words(penchant: Run, tmp_path: Path) -> None:
    texts = {"titre": "Commerce extérieur", "bref": "Paris lève l'embargo sur les puces.", "long": GOOD}
    source = write_jsonl(tmp_path / "in.jsonl", [{"id": key, "text": text} for key, text in texts.items()])
    assert penchant("score", source, "--output", tmp_path / "out", "--underline", 0).code == 0
    flags = {row["article_id"]: row["flags"] for row in rows_of(tmp_path / "out")}
    assert flags == {"titre": "a few words only", "bref": "", "long": ""}
    assert "quelques mots seulement" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_score_summary_as_json(penchant: Run, tmp_path: Path, good_rows: list[dict[str, Any]]) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", good_rows)
    done = penchant("score", source, "--output", tmp_path / "out", "--json")
    assert json.loads(done.out)["articles"] == 3


# -- resuming ----------------------------------------------------------------------------------------------------------


def small_parts(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text("part_passages: 4\nquarantine_share: 1.0\n", encoding="utf-8")
    return path


def many_rows(count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"id": f"r{number}", "text": f"{GOOD} Numéro {number}."} for number in range(count)]
    rows[5] = {"id": "vide", "text": "  "}
    return rows


def test_score_killed_at_any_instant_ends_with_the_same_bytes(penchant: Run, tmp_path: Path) -> None:
    source, settings = write_jsonl(tmp_path / "in.jsonl", many_rows(120)), small_parts(tmp_path)
    command = ["score", source, "--config", settings, "--quiet", "--output"]
    assert penchant(*command, tmp_path / "whole").code == 0
    whole = tables_of(tmp_path / "whole")
    chance, output, kills = random.Random(4), tmp_path / "killed", 0
    for _ in range(12):
        arguments = [sys.executable, "-m", "inference", *map(str, command), str(output)]
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = len(list(output.glob(".job/part-*.json")))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(output.glob(".job/part-*.json"))) > before:
                time.sleep(chance.random() * 0.05)
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait()
    assert kills >= 5
    assert penchant(*command, output).code == 0
    assert tables_of(output) == whole
    assert penchant(*command, output).code == 0  # a finished job is found finished
    assert tables_of(output) == whole


def test_score_refuses_a_folder_of_another_job(penchant: Run, tmp_path: Path, good_rows: list[dict[str, Any]]) -> None:
    source, out = write_jsonl(tmp_path / "in.jsonl", good_rows), tmp_path / "out"
    assert penchant("score", source, "--output", out).code == 0
    other = penchant("score", source, "--output", out, "--unit", "passage")
    assert (other.code, "unit (article then, passage now)" in other.err, "--overwrite" in other.err) == (2, True, True)
    write_jsonl(source, good_rows[:2])
    changed = penchant("score", source, "--output", out)
    assert (changed.code, "another input (changed: in.jsonl)" in changed.err) == (2, True)
    assert "--since-manifest" in changed.err
    assert penchant("score", source, "--output", out, "--overwrite").code == 0
    assert len(rows_of(out)) == 2


def test_score_never_clears_a_folder_that_is_not_a_job(penchant: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("dix ans de travail")
    done = penchant("score", EXAMPLES, "--output", tmp_path / "out", "--overwrite")
    assert done.code == 2
    assert (tmp_path / "out" / "thesis.txt").read_text() == "dix ans de travail"


# -- bad input: one line that says what, where and the mend; the good rows come out ---------------------------------


def spoil_bad_line(folder: Path, rows: list[dict[str, Any]]) -> None:
    path = write_jsonl(folder / "rows.jsonl", rows)
    path.write_text(path.read_text() + '{"id": "x", "text": \n', encoding="utf-8")


def spoil_empty(folder: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(folder / "rows.jsonl", [*rows, {"id": "vide", "text": " \n "}])


def spoil_duplicate(folder: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(folder / "rows.jsonl", [*rows, {"id": "a1", "text": GOOD + " Autre."}])


def spoil_column(folder: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(folder / "rows.jsonl", rows)
    with (folder / "other.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "corps"], ["z", GOOD]])


def spoil_binary(folder: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(folder / "rows.jsonl", rows)
    (folder / "photo.txt").write_bytes(bytes(range(256)) * 40)


def spoil_long_line(folder: Path, rows: list[dict[str, Any]]) -> None:
    path = write_jsonl(folder / "rows.jsonl", rows)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "énorme", "text": "mot " * 12_500_000}) + "\n")


def spoil_gzip(folder: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(folder / "rows.jsonl", rows)
    whole = gzip.compress(json.dumps({"id": "g", "text": GOOD}).encode())
    (folder / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])


def spoil_type(folder: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(folder / "rows.jsonl", [*rows, {"id": "n", "text": 12}])


CASES: list[tuple[Callable[[Path, list[dict[str, Any]]], None], str]] = [
    (spoil_bad_line, "rows.jsonl:4"),
    (spoil_empty, "rows.jsonl:4"),
    (spoil_duplicate, "rows.jsonl:4"),
    (spoil_column, "other.csv"),
    (spoil_binary, "photo.txt"),
    (spoil_long_line, "rows.jsonl:4"),
    (spoil_gzip, "cut.jsonl.gz"),
    (spoil_type, "rows.jsonl:4"),
]


@pytest.mark.parametrize(("spoil", "place"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_score_quarantines_bad_rows_and_scores_the_good_ones(
    penchant: Run,
    tmp_path: Path,
    good_rows: list[dict[str, Any]],
    spoil: Callable[[Path, list[dict[str, Any]]], None],
    place: str,
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    spoil(folder, good_rows)
    done = penchant("score", folder, "--output", tmp_path / "out")
    assert done.code == 3, done.err  # one of four is more than the default share
    assert "1 of 4 rows were quarantined" in done.err
    (row,) = quarantine_of(tmp_path / "out")
    assert row["place"].startswith(place)
    assert row["reason"]
    assert row["mend"]
    assert "\n" not in row["reason"] + row["mend"]
    assert {row["article_id"] for row in rows_of(tmp_path / "out")} == {"a0", "a1", "a2"}


def test_score_flags_another_language_and_another_encoding(penchant: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    english = "The ministry said on Tuesday that the export licences would be granted again, which the firms welcomed. "
    (folder / "english.txt").write_text(english * 4, encoding="utf-8")
    (folder / "latin.txt").write_bytes(
        (GOOD + " Les élus s'inquiètent déjà, à l'évidence, d'une hâte excessive.").encode("cp1252")
    )
    done = penchant("score", folder, "--output", tmp_path / "out")
    assert done.code == 0, done.err
    flags = {row["article_id"]: row["flags"] for row in rows_of(tmp_path / "out")}
    assert "not French" in flags["english.txt"]
    assert "read as" in flags["latin.txt"]
    assert "2 flagged" in done.out


def test_score_names_an_input_that_is_not_there(penchant: Run, tmp_path: Path) -> None:
    done = penchant("score", tmp_path / "nulle-part", "--output", tmp_path / "out")
    assert done.code == 2
    assert "nulle-part" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_score_refuses_a_spoiled_model(penchant: Run, tmp_path: Path, good_rows: list[dict[str, Any]]) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", good_rows)
    model = Path(shutil.copytree(SHIPPED, tmp_path / "model"))
    with (model / "model.onnx").open("ab") as file:
        file.write(b"x")
    done = penchant("score", source, "--output", tmp_path / "out", "--model", model)
    assert done.code == 1
    assert "does not match the digest" in done.err
    (model / "config.json").unlink()
    assert "lacks config.json" in penchant("score", source, "--output", tmp_path / "o2", "--model", model).err


def test_score_names_a_bad_setting(penchant: Run, tmp_path: Path, good_rows: list[dict[str, Any]]) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", good_rows)
    done = penchant("score", source, "--output", tmp_path / "out", "--unit", "phrase")
    assert (done.code, "unit" in done.err) == (2, True)
    (tmp_path / "s.yaml").write_text("part_pasages: 3\n")
    done = penchant("score", source, "--output", tmp_path / "out", "--config", tmp_path / "s.yaml")
    assert (done.code, "part_pasages" in done.err) == (2, True)


def test_score_version_and_help(penchant: Run) -> None:
    assert penchant("--version").out.startswith("penchant 0.")
    shown = penchant("score", "--help")
    assert shown.code == 0
    assert "penchant score articles/ --output out" in shown.out
    assert "<parquet|jsonl|csv>" in shown.out
    assert "<article|passage>" in shown.out
    assert "penchant completion" in shown.out


def test_score_offers_the_choices_that_the_settings_take() -> None:
    hints = get_type_hints(score)
    for option, field in (("unit", "unit"), ("form", "format")):
        choices = next(kind for kind in get_args(hints[option]) if get_args(kind))
        assert choices == ScoreSettings.model_fields[field].annotation


def test_score_refuses_a_format_that_is_none(penchant: Run, tmp_path: Path) -> None:
    done = penchant("score", EXAMPLES, "--output", tmp_path / "out", "--format", "xml")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "'parquet', 'jsonl', 'csv'" in done.err
