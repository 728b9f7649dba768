import gzip
import itertools
import json
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.articles import Article, DigestSet, ReadOptions, Rejected, list_inputs, read_articles

BODY = "Le ministère a prolongé mardi le régime des licences, que les fabricants attendaient depuis des mois."


def read(*paths: Path, options: ReadOptions | None = None) -> list[Article | Rejected]:
    return list(read_articles(list_inputs(paths), options))


def rows(tmp_path: Path, *contents: dict[str, Any]) -> list[Article | Rejected]:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(content) + "\n" for content in contents), encoding="utf-8")
    return read(path)


def test_articles_of_every_format(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"Titre: Un sursis\nDate: 12 mars 2026\nSource: La Gazette\n\n{BODY}")
    (tmp_path / "b.md").write_text(f"---\ntitle: Un sursis\ndate: 2026-03-12\nsource: La Gazette\n---\n{BODY}")
    (tmp_path / "c.html").write_text(
        f'<title>Un sursis</title><meta name="date" content="2026-03-12"><meta property="og:site_name" '
        f'content="La Gazette"><body><p>{BODY}</p></body>'
    )
    row = {"text": BODY, "title": "Un sursis", "date": "12/03/2026", "source": "La Gazette"}
    (tmp_path / "d.jsonl").write_text(json.dumps(row))
    (tmp_path / "e.json").write_text(json.dumps([row], indent=1))
    (tmp_path / "f.csv").write_text(f'text,title,date,source\n"{BODY}",Un sursis,2026-03-12,La Gazette\n')
    (tmp_path / "g.tsv.gz").write_bytes(
        gzip.compress(f"text\ttitle\tdate\tsource\n{BODY}\tUn sursis\t2026-03-12\tLa Gazette".encode())
    )
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "h.parquet")
    items = read(tmp_path)
    assert [item.place for item in items] == [
        *("a.txt", "b.md", "c.html", "d.jsonl:1", "e.json:1", "f.csv:2", "g.tsv.gz:2", "h.parquet:1")
    ]
    for item in items:
        assert isinstance(item, Article), item
        assert item.text.strip() == BODY
        assert (item.title, item.date, item.source, item.topic) == ("Un sursis", "2026-03-12", "La Gazette", None)
        assert (item.encoding, item.notes) == (None, ())
        assert item.id == item.place


def test_articles_ids_given_and_not(tmp_path: Path) -> None:
    items = rows(
        tmp_path, {"id": " x ", "text": BODY}, {"id": 7, "text": BODY}, {"id": "", "text": BODY}, {"text": BODY}
    )
    assert [item.id for item in items] == ["x", "7", "a.jsonl:3", "a.jsonl:4"]


def test_articles_second_of_one_id_is_rejected_across_files(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(json.dumps({"id": "x", "text": BODY}))
    first, second = read(tmp_path)
    assert isinstance(first, Article)
    assert second == Rejected("b.jsonl:1", "the id 'x' was read before", "give every row its own id", "x")


def test_articles_rejected_row_does_not_take_its_id(tmp_path: Path) -> None:
    items = rows(tmp_path, {"id": "x", "text": ""}, {"id": "x", "text": BODY})
    assert [type(item) for item in items] == [Rejected, Article]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": ""}, "the text is empty"),
        ({"text": " \n\xa0"}, "the text is empty"),
        ({"text": None}, "the text is empty"),
        ({"text": "— … !"}, "the text holds no word"),
        ({"text": 7}, "its 'text' is a number, not text"),
        ({"text": ["Un."]}, "its 'text' is a list, not text"),
        ({"text": "Un\x00deux"}, "the text holds NUL characters: binary"),
        ({"text": "a\x01\x02\x03b"}, "the text is full of control characters: binary"),
        ({"text": BODY, "id": ["x"]}, "its id is a list"),
        ({"text": BODY, "id": True}, "its id is true or false"),
    ],
)
def test_articles_bad_row_is_rejected_and_good_rows_flow(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    first, bad, last = rows(tmp_path, {"text": BODY}, row, {"text": BODY})
    assert isinstance(first, Article)
    assert isinstance(last, Article)
    assert isinstance(bad, Rejected)
    assert (bad.place, bad.reason) == ("a.jsonl:2", reason)
    assert bad.mend


def test_articles_text_is_kept_to_the_letter(tmp_path: Path) -> None:
    text = "  Un\r\ntexte\t« à garder » e\u0301 \u200b 😀 tel quel.\n"
    (item,) = rows(tmp_path, {"text": text})
    assert isinstance(item, Article)
    assert item.text == text


def test_articles_text_beyond_the_limit_is_rejected(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["x" * 1_001, "é" * 501, "é" * 500]}), tmp_path / "a.parquet")
    items = read(tmp_path, options=ReadOptions(max_article_bytes=1_000))
    assert [type(item) for item in items] == [Rejected, Rejected, Article]
    assert [item.reason for item in items if isinstance(item, Rejected)] == ["the text is longer than 1,000 bytes"] * 2


def test_articles_notes_tell_what_was_not_understood(tmp_path: Path) -> None:
    row = {"text": f"{BODY} \ud83d", "date": "au printemps", "title": ["T"], "source": 7, "topic": " deux\n mots "}
    (item,) = rows(tmp_path, row)
    assert isinstance(item, Article)
    assert item.text == f"{BODY} \ufffd"
    assert (item.title, item.date, item.source, item.topic) == (None, None, "7", "deux mots")
    assert item.notes == (
        "lone surrogates replaced",
        "date not understood: au printemps",
        "title not understood: ['T']",
    )


def test_articles_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(f"{BODY} L'été fut très sec à Créteil.".encode("cp1252"))
    (tmp_path / "b.txt").write_bytes(b"Caf\xe9 ou caf\x8e : deux encodages, une ligne.")
    good, bad = read(tmp_path)
    assert isinstance(good, Article)
    assert good.encoding == "cp1252"
    assert good.text.startswith(BODY)
    assert isinstance(bad, Rejected)
    assert (bad.place, bad.mend) == ("b.txt", "save it as UTF-8")


def test_articles_bad_files_are_rejected_and_good_files_flow(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\x00\x01\x02" * 100)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing more")
    (tmp_path / "c.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "d.jsonl").write_text(json.dumps({"text": BODY}))
    (tmp_path / "e.txt").write_text("x")
    (tmp_path / "f.txt").write_bytes(b"%PDF-1.7")
    (tmp_path / "g.html").write_text("<script>rien</script>")
    (tmp_path / "h.jsonl").write_text("")
    files = list_inputs([tmp_path])
    (tmp_path / "e.txt").unlink()
    items = list(read_articles(files))
    assert [item.place for item in items if isinstance(item, Article)] == ["d.jsonl:1"]
    rejected = {item.place: item for item in items if isinstance(item, Rejected)}
    assert set(rejected) == {"a.txt", "b.parquet", "c.csv.gz", "e.txt", "f.txt", "g.html"}
    assert "NUL" in rejected["a.txt"].reason
    assert "cannot be read" in rejected["b.parquet"].reason or "Parquet" in rejected["b.parquet"].reason
    assert "gzip data is damaged" in rejected["c.csv.gz"].reason
    assert "No such file" in rejected["e.txt"].reason
    assert "PDF" in rejected["f.txt"].reason
    assert rejected["g.html"].reason == "the text is empty"
    assert all(item.mend for item in rejected.values())


def test_articles_packed_file_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": f"{BODY} {number * 7919}"}) + "\n" for number in range(2_000))
    whole = gzip.compress(lines.encode())
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    *good, last = read(tmp_path)
    assert len(good) > 100
    assert all(isinstance(item, Article) for item in good)
    assert isinstance(last, Rejected)
    assert last.place == "a.jsonl.gz"
    assert f"damaged after {good[-1].place}" in last.reason


def test_articles_packed_bomb_is_rejected_unread(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a" * 40_000_000))
    (tmp_path / "b.jsonl.gz").write_bytes(
        gzip.compress(b"a" * 40_000_000 + b"\n" + json.dumps({"text": BODY}).encode())
    )
    tracemalloc.start()
    items = read(tmp_path, options=ReadOptions(max_article_bytes=1_000_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(item) for item in items] == [Rejected, Rejected, Article]
    assert [item.place for item in items] == ["a.txt.gz", "b.jsonl.gz:1", "b.jsonl.gz:2"]
    assert peak < 20_000_000


def test_articles_fifty_megabyte_line_is_not_held(tmp_path: Path) -> None:
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.write(json.dumps({"text": BODY}).encode() + b'\n{"text": "')
        for _ in range(50):
            file.write(b"mots " * 200_000)
        file.write(b'"}\n' + json.dumps({"text": BODY}).encode())
    tracemalloc.start()
    items = read(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(item) for item in items] == [Article, Rejected, Article]
    assert items[1].place == "a.jsonl:2"
    assert peak < 30_000_000


def test_articles_are_streamed(tmp_path: Path) -> None:
    line = json.dumps({"text": BODY * 20}) + "\n"
    (tmp_path / "a.jsonl").write_text(line * 5_000)
    tracemalloc.start()
    count = sum(1 for _ in read_articles(list_inputs([tmp_path])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 5_000
    assert peak < 4_000_000 < len(line) * 5_000


def test_articles_do_not_depend_on_where_they_lie(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(BODY)
    assert read(tmp_path / "here") == read(tmp_path / "there")


def test_articles_reading_loads_nothing_it_does_not_need(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "a.jsonl").write_text(json.dumps({"text": BODY}))
    code = (
        "import sys; from inference.articles import list_inputs, read_articles; "
        f"print(len(list(read_articles(list_inputs([{str(tmp_path)!r}]))))); "
        "print(*({'pyarrow', 'yaml', 'charset_normalizer', 'trafilatura', 'numpy'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.split() == ["1"]


SUFFIXES = [
    "txt",
    "md",
    "html",
    "jsonl",
    "json",
    "csv",
    "parquet",
    "txt.gz",
    "jsonl.gz",
    "csv.xz",
    "json.zst",
    "md.bz2",
]
BYTES = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from(
            [b'{"text": "Un."}', b"\n", b"text,id\n", b'"', b",", b"\xe9", b"\xff\xfe", b"---\n", b"<p>", b"["]
        )
    ).map(b"".join),
)


@given(BYTES, st.sampled_from(SUFFIXES))
def test_articles_any_bytes_are_read_or_rejected(tmp_path_factory: Any, content: bytes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(content)
    for item in read(path):
        assert item.place.startswith(f"any.{suffix}")
        assert isinstance(item, Article) or (item.reason and item.mend and "\n" not in item.reason)
        json.dumps([getattr(item, name) for name in item.__slots__]).encode()


def texts_with_repeats() -> Iterator[str]:
    return itertools.chain((str(number) for number in range(5_000)), (str(number) for number in range(0, 6_000, 7)))


def test_digest_set_is_a_set() -> None:
    digests, known = DigestSet(), set[str]()
    for text in texts_with_repeats():
        assert digests.add(text) is (text not in known)
        known.add(text)
