import json
from pathlib import Path

import pytest

from inference import jsonlines
from inference.inputs import list_inputs
from inference.jsonlines import read_json, read_json_lines
from inference.records import RawArticle, ReadOptions, Rejected


def read(tmp_path: Path, lines: list[str], options: ReadOptions | None = None) -> list[RawArticle | Rejected]:
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return list(read_json_lines(list_inputs([tmp_path / "a.jsonl"])[0], options or ReadOptions()))


def read_whole(tmp_path: Path, content: str, options: ReadOptions | None = None) -> list[RawArticle | Rejected]:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    return list(read_json(list_inputs([tmp_path / "a.json"])[0], options or ReadOptions()))


def test_json_lines_one_article_a_line(tmp_path: Path) -> None:
    lines = ['{"id": "a", "text": "Un.", "date": "2026-03-12", "autre": 1}', "", '  {"text": "Deux."}  ']
    assert read(tmp_path, lines) == [
        RawArticle("a.jsonl:1", {"id": "a", "text": "Un.", "date": "2026-03-12"}),
        RawArticle("a.jsonl:3", {"text": "Deux."}),
    ]


def test_json_lines_columns_by_other_names(tmp_path: Path) -> None:
    options = ReadOptions(text_column="corps", id_column="clé", title_column="titre")
    line = json.dumps({"corps": "Un.", "clé": 7, "titre": "T", "text": "autre"})
    assert read(tmp_path, [line], options) == [RawArticle("a.jsonl:1", {"text": "Un.", "id": 7, "title": "T"})]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "Un."', "not valid JSON"),
        ('{"text": "Un."} {"text": "Deux."}', "not valid JSON (Extra data at character 17)"),
        ('["Un."]', "is a list, not an object"),
        ('"Un."', "is a text, not an object"),
        ("null", "is null, not an object"),
        ("[" * 100_000, "nested too deep"),
        ('{"text": ' + "9" * 5_000 + "}", "not usable JSON"),
    ],
)
def test_json_lines_bad_line_is_rejected_alone(tmp_path: Path, line: str, reason: str) -> None:
    first, bad, last = read(tmp_path, ['{"text": "Un."}', line, '{"text": "Deux."}'])
    assert isinstance(first, RawArticle)
    assert isinstance(last, RawArticle)
    assert isinstance(bad, Rejected)
    assert bad.place == "a.jsonl:2"
    assert reason in bad.reason
    assert bad.mend == "write one JSON object a line"


def test_json_lines_long_line_is_rejected_alone(tmp_path: Path) -> None:
    lines = ['{"text": "Un."}', json.dumps({"text": "x" * 5_000}), '{"text": "Deux."}']
    items = read(tmp_path, lines, ReadOptions(max_article_bytes=1_000))
    assert [type(item) for item in items] == [RawArticle, Rejected, RawArticle]
    assert items[1] == Rejected(
        "a.jsonl:2", "the line is longer than 1,000 bytes", "cut it into articles, or raise max_article_bytes"
    )


def test_json_lines_row_without_text_among_good_rows(tmp_path: Path) -> None:
    items = read(tmp_path, ['{"id": 1}', '{"text": "Un."}', '{"id": 2}', '{"id": 3}', '{"text": "Deux."}', '{"id": 4}'])
    rejected = [item for item in items if isinstance(item, Rejected)]
    assert [item.place for item in rejected] == ["a.jsonl:1", "a.jsonl:3", "a.jsonl:4", "a.jsonl:6"]
    assert {item.reason for item in rejected} == {"the row has no 'text'"}
    assert [item.place for item in items if isinstance(item, RawArticle)] == ["a.jsonl:2", "a.jsonl:5"]


def test_json_lines_file_without_text_is_told_once(tmp_path: Path) -> None:
    (only,) = read(tmp_path, ['{"corps": "Un.", "no": 1}'] * 3)
    assert isinstance(only, Rejected)
    assert only.place == "a.jsonl"
    assert only.reason == "there is no column 'text' in 3 rows; there are: 'corps', 'no'"
    assert "--text-column" in only.mend


def test_json_lines_file_without_text_is_given_up_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "PATIENCE", 5)
    (only,) = read(tmp_path, ['{"corps": "Un."}'] * 100)
    assert isinstance(only, Rejected)
    assert "in 5 rows" in only.reason


def test_json_lines_encodings_line_by_line(tmp_path: Path) -> None:
    text = "Le ministère a décidé de prolonger le régime des licences, très attendu."
    good, other = json.dumps({"text": "Un été."}, ensure_ascii=False), json.dumps({"text": text}, ensure_ascii=False)
    content = b"\n".join([good.encode(), other.encode("cp1252"), good.encode() + b"\xe9", good.encode("utf-8")])
    (tmp_path / "a.jsonl").write_bytes(content)
    items = list(read_json_lines(list_inputs([tmp_path])[0], ReadOptions()))
    assert items[0] == RawArticle("a.jsonl:1", {"text": "Un été."})
    assert items[1] == RawArticle("a.jsonl:2", {"text": text}, "cp1252")
    assert isinstance(items[2], Rejected)
    assert "mixes UTF-8" in items[2].reason
    assert isinstance(items[3], RawArticle)


def test_json_lines_in_utf16(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Un été."}\n{"text": "Deux."}\n', encoding="utf-16")
    items = list(read_json_lines(list_inputs([tmp_path])[0], ReadOptions()))
    assert items == [
        RawArticle("a.jsonl:1", {"text": "Un été."}, "utf-16"),
        RawArticle("a.jsonl:2", {"text": "Deux."}, "utf-16"),
    ]


def test_json_array_and_object(tmp_path: Path) -> None:
    assert read_whole(tmp_path, '[\n{"text": "Un."},\n3,\n{"text": "Deux."}]') == [
        RawArticle("a.json:1", {"text": "Un."}),
        Rejected("a.json:2", "item 2 is a number, not an object", "write an array of objects"),
        RawArticle("a.json:3", {"text": "Deux."}),
    ]
    assert read_whole(tmp_path, '{\n"text": "Un."\n}') == [RawArticle("a.json", {"text": "Un."})]
    assert read_whole(tmp_path, "[]") == []


def test_json_that_is_json_lines(tmp_path: Path) -> None:
    items = read_whole(tmp_path, '{"text": "Un."}\n' * 100, ReadOptions(max_article_bytes=1_000))
    assert [item.place for item in items] == [f"a.json:{number}" for number in range(1, 101)]


def test_json_that_is_none_or_too_long(tmp_path: Path) -> None:
    (broken,) = read_whole(tmp_path, '[{"text": "Un."}')
    assert isinstance(broken, Rejected)
    assert "not valid JSON" in broken.reason
    for content in (json.dumps([{"text": "x" * 2_000}]), json.dumps([{"text": "x"}] * 200, indent=1)):
        (long,) = read_whole(tmp_path, content, ReadOptions(max_article_bytes=1_000))
        assert isinstance(long, Rejected)
        assert "longer than 1,000 bytes" in long.reason
        assert ".jsonl" in long.mend
