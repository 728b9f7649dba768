import csv
import gzip
import io
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import tables
from inference.inputs import InputFile, list_inputs
from inference.records import RawArticle, ReadOptions, Rejected
from inference.tables import read_csv, read_parquet

LIMIT = ReadOptions(max_article_bytes=1_000)


def read(tmp_path: Path, content: str | bytes, options: ReadOptions | None = None) -> list[RawArticle | Rejected]:
    (tmp_path / "a.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_csv(list_inputs([tmp_path / "a.csv"])[0], options or ReadOptions()))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_delimiters_and_line_ends(tmp_path: Path, delimiter: str, end: str) -> None:
    rows = [["id", "text", "note"], ["1", 'Un, "deux"; trois\tet | quatre', ""], [], ["2", "Sur\ndeux lignes", "x"]]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    first, second = read(tmp_path, out.getvalue())
    assert isinstance(first, RawArticle)
    assert isinstance(second, RawArticle)
    assert first.values == {"id": "1", "text": 'Un, "deux"; trois\tet | quatre'}
    assert second.values == {"id": "2", "text": "Sur\ndeux lignes"}
    if end != "\r":
        assert (first.place, second.place) == ("a.csv:2", "a.csv:4")


def test_csv_of_one_column_and_a_hint_of_spreadsheets(tmp_path: Path) -> None:
    assert read(tmp_path, "text\nUn.\n") == [RawArticle("a.csv:2", {"text": "Un."})]
    assert read(tmp_path, "\ufeffsep=;\ntext;id\nUn, deux.;7\n") == [
        RawArticle("a.csv:3", {"text": "Un, deux.", "id": "7"})
    ]


def test_csv_without_the_text_column_is_told_once(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "id;Texte\n1;Un.\n2;Deux.\n")
    assert isinstance(only, Rejected)
    assert only.place == "a.csv"
    assert only.reason == "there is no column 'text'; there are: 'id', 'Texte'"
    assert "--text-column" in only.mend


def test_csv_without_a_column_asked_for_is_rejected(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "id,text\n1,Un.\n", ReadOptions(id_column="clé"))
    assert isinstance(only, Rejected)
    assert only.reason == "there is no column 'clé'; there are: 'id', 'text'"


def test_csv_with_a_column_twice_is_rejected(tmp_path: Path) -> None:
    assert read(tmp_path, "text,text\nUn.,Deux.\n") == [
        Rejected("a.csv", "there are 2 columns 'text'", "rename all but one")
    ]


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_csv_that_is_empty_is_rejected(tmp_path: Path, content: str) -> None:
    (only,) = read(tmp_path, content)
    assert isinstance(only, Rejected)
    assert only.reason == "the table is empty"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2,Deux,trois,quatre", "the row has 4 fields under a header of 2"),
        ("2", "the row has 1 fields under a header of 2"),
        ('2,"Deux" trois', "malformed"),
        ('2,Disque de 12" trois', "a quote that has no other"),
        ('2,"Deux, jamais fermé', "malformed"),
    ],
)
def test_csv_bad_row_is_rejected_alone(tmp_path: Path, line: str, reason: str) -> None:
    items = read(tmp_path, f'id,text\n1,Un.\n{line}\n3,Trois.\n4,"Quatre\net demi."\n')
    assert [item.place for item in items] == ["a.csv:2", "a.csv:3", "a.csv:4", "a.csv:5"]
    assert [type(item) for item in items] == [RawArticle, Rejected, RawArticle, RawArticle]
    bad = items[1]
    assert isinstance(bad, Rejected)
    assert reason in bad.reason


def test_csv_unclosed_quote_swallows_nothing_beyond_the_limit(tmp_path: Path) -> None:
    rows = "".join(f"{number},Ligne {number}.\n" for number in range(2, 400))
    items = read(tmp_path, f'id,text\n1,"Jamais fermé\n{rows}', LIMIT)
    assert isinstance(items[0], Rejected)
    assert items[0].reason == "a quote is opened and never closed"
    assert [item.place for item in items[1:]] == [f"a.csv:{number + 1}" for number in range(2, 400)]
    assert all(isinstance(item, RawArticle) for item in items[1:])


def test_csv_unclosed_quote_in_the_last_row_is_told(tmp_path: Path) -> None:
    first, last = read(tmp_path, 'id,text\n1,Un.\n2,"Jamais fermé')
    assert isinstance(first, RawArticle)
    assert isinstance(last, Rejected)
    assert (last.place, last.reason) == ("a.csv:3", "a quote is opened and never closed")


def test_csv_long_line_is_rejected_alone(tmp_path: Path) -> None:
    items = read(tmp_path, f"id,text\n1,Un.\n2,{'x' * 2_000}\n3,Trois.\n", LIMIT)
    assert [item.place for item in items] == ["a.csv:2", "a.csv:3", "a.csv:4"]
    assert items[1] == Rejected(
        "a.csv:3", "the line is longer than 1,000 bytes", "cut it into articles, or raise max_article_bytes"
    )


def test_csv_field_beyond_the_default_of_the_csv_module_is_read(tmp_path: Path) -> None:
    (item,) = read(tmp_path, f"id,text\n1,{'mot ' * 100_000}\n")
    assert isinstance(item, RawArticle)
    assert len(str(item.values["text"])) == 400_000


def test_csv_encodings(tmp_path: Path) -> None:
    text = "Le ministère a décidé de prolonger le régime des licences, très attendu."
    (detected,) = read(tmp_path, f"id,text\n1,{text}\n".replace(", très", " très").encode("cp1252"))
    assert detected == RawArticle("a.csv:2", {"id": "1", "text": text.replace(", très", " très")}, "cp1252")
    (marked,) = read(tmp_path, f'id,text\n1,"{text}"\n'.encode("utf-16"))
    assert marked == RawArticle("a.csv:2", {"id": "1", "text": text}, "utf-16")


def test_csv_line_that_cannot_be_decoded_spoils_its_row_alone(tmp_path: Path) -> None:
    content = b'id,text\n1,Un.\n2,"Deux\n\xe9\nfin"\n3,Trois.\n'
    first, bad, last = read(tmp_path, content)
    assert isinstance(first, RawArticle)
    assert isinstance(last, RawArticle)
    assert isinstance(bad, Rejected)
    assert bad.place == "a.csv:3"
    assert "certainty" in bad.reason
    (header,) = read(tmp_path, b"id,text,\xe9\n1,Un.,x\n")
    assert isinstance(header, Rejected)
    assert "header" in header.reason


FIELDS = st.text(st.sampled_from('aé ,;\t|"\n\r'), max_size=12)


@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=12), st.sampled_from([",", ";", "\t", "|"]))
def test_csv_reads_what_the_csv_module_writes(
    tmp_path_factory: Any, rows: list[tuple[str, str]], delimiter: str
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("id", "text"), *rows])
    items = read(tmp_path_factory.getbasetemp(), out.getvalue())
    assert [item.values for item in items if isinstance(item, RawArticle)] == [
        {"id": identity, "text": text} for identity, text in rows
    ]
    assert len(items) == len(rows)


@given(st.lists(st.sampled_from(["1,Un.\n", '2,"Deux\n', 'x"\n', '"\n', "3\n", '4,"a""b"\n', '5,"a"b\n']), max_size=20))
def test_csv_puts_every_line_somewhere(tmp_path_factory: Any, lines: list[str]) -> None:
    items = read(tmp_path_factory.getbasetemp(), "id,text\n" + "".join(lines))
    places = [int(item.place.rpartition(":")[2]) for item in items]
    assert places == sorted(set(places))
    told = set(places)
    for item in items:
        if isinstance(item, RawArticle):
            breaks = str(item.values["text"]).count("\n")
            told |= {int(item.place.rpartition(":")[2]) + line for line in range(breaks + 1)}
        elif extent := re.match(r"the row of lines (\d+) to (\d+)", item.reason):
            told |= set(range(int(extent[1]), int(extent[2]) + 1))
    assert told == set(range(2, len(lines) + 2))


def write_parquet(path: Path, columns: dict[str, Any], **options: Any) -> InputFile:
    pq.write_table(pa.table(columns), path, **options)
    return list_inputs([path])[0]


def test_parquet_rows(tmp_path: Path) -> None:
    days = [date(2026, 3, 12), None, date(2026, 3, 13)]
    columns = {"text": ["Un.", None, "Trois."], "id": [7, 8, 9], "date": days, "unused": [[1], [2], [3]]}
    items = list(read_parquet(write_parquet(tmp_path / "a.parquet", columns), ReadOptions()))
    assert items == [
        RawArticle("a.parquet:1", {"text": "Un.", "id": 7, "date": days[0]}),
        RawArticle("a.parquet:2", {"text": None, "id": 8, "date": None}),
        RawArticle("a.parquet:3", {"text": "Trois.", "id": 9, "date": days[2]}),
    ]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_kinds_of_text(tmp_path: Path, kind: Any) -> None:
    file = write_parquet(tmp_path / "a.parquet", {"text": pa.array(["Un.", "Un."]).cast(kind)})
    assert [item.values["text"] for item in read_parquet(file, ReadOptions()) if isinstance(item, RawArticle)] == [
        "Un."
    ] * 2


def test_parquet_timestamps_become_dates(tmp_path: Path) -> None:
    stamp = pa.array([datetime(2026, 3, 12, 8, tzinfo=UTC)], pa.timestamp("ns", "UTC"))
    (item,) = read_parquet(write_parquet(tmp_path / "a.parquet", {"text": ["Un."], "date": stamp}), ReadOptions())
    assert isinstance(item, RawArticle)
    assert item.values["date"] == date(2026, 3, 12)


def test_parquet_more_rows_than_a_batch(tmp_path: Path) -> None:
    texts = [f"Ligne {number}." for number in range(3 * tables.PARQUET_ROWS + 1)]
    items = list(
        read_parquet(write_parquet(tmp_path / "a.parquet", {"text": texts}, row_group_size=100), ReadOptions())
    )
    assert [item.values["text"] for item in items if isinstance(item, RawArticle)] == texts


def test_parquet_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "a.parquet", {"text": ["Un."]})
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    (file,) = list_inputs([tmp_path / "b.parquet.gz"])
    assert list(read_parquet(file, ReadOptions())) == [RawArticle("b.parquet.gz:1", {"text": "Un."})]
    monkeypatch.setattr(tables, "MAX_UNPACKED_PARQUET", 100)
    (bomb,) = read_parquet(file, ReadOptions())
    assert isinstance(bomb, Rejected)
    assert "unpacks to over 100 bytes" in bomb.reason


def test_parquet_without_text_is_told_once(tmp_path: Path) -> None:
    (missing,) = read_parquet(write_parquet(tmp_path / "a.parquet", {"corps": ["Un."]}), ReadOptions())
    assert isinstance(missing, Rejected)
    assert missing.reason == "there is no column 'text'; there are: 'corps'"
    (numbers,) = read_parquet(write_parquet(tmp_path / "b.parquet", {"text": [1, 2]}), ReadOptions())
    assert isinstance(numbers, Rejected)
    assert numbers.reason == "column 'text' holds int64, not text"


def test_parquet_value_that_is_no_utf8_spoils_its_row_alone(tmp_path: Path) -> None:
    broken = pa.array([b"Un.", b"\xff\xfe", b"Trois."]).view(pa.string())
    items = list(read_parquet(write_parquet(tmp_path / "a.parquet", {"text": broken}), ReadOptions()))
    assert [type(item) for item in items] == [RawArticle, Rejected, RawArticle]
    assert items[1].place == "a.parquet:2"
