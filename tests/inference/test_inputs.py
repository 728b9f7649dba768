import gzip
import hashlib
import io
import json
from pathlib import Path

import pytest

from inference.inputs import InputList, format_of, list_inputs, spool_stdin
from inference.records import InputError


def names(files: InputList) -> list[str]:
    return [file.name for file in files]


def write(path: Path, content: str = "Un texte.") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", ("txt", None)),
        ("a.MD", ("md", None)),
        ("a.htm", ("html", None)),
        ("a.ndjson", ("jsonl", None)),
        ("a.json", ("json", None)),
        ("a.tsv.gz", ("csv", "gzip")),
        ("a.b.jsonl.xz", ("jsonl", "xz")),
        ("a.parquet.bz2", ("parquet", "bz2")),
        ("a.txt.zst", ("txt", "zstd")),
        ("a.docx", (None, None)),
        ("a", (None, None)),
    ],
)
def test_inputs_format_by_suffix(name: str, expected: tuple[str | None, str | None]) -> None:
    assert format_of(Path(name)) == expected


def test_inputs_folder_is_walked_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "sub/c.md", "sub/deep/d.csv.gz", "another/e.html"):
        write(tmp_path / name)
    files = list_inputs([tmp_path])
    assert names(files) == ["a.txt", "b.txt", "another/e.html", "sub/c.md", "sub/deep/d.csv.gz"]
    assert [(file.format, file.compression) for file in files][-1] == ("csv", "gzip")
    assert files[0].size == len("Un texte.")
    assert files.skipped == ()


def test_inputs_skipped_are_told(tmp_path: Path) -> None:
    write(tmp_path / "a.txt")
    write(tmp_path / ".hidden.txt")
    write(tmp_path / ".cache" / "b.txt")
    write(tmp_path / "photo.jpeg")
    (tmp_path / "lost.txt").symlink_to(tmp_path / "nowhere.txt")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    files = list_inputs([tmp_path])
    assert names(files) == ["a.txt"]
    told = {skipped.path.name: skipped.reason for skipped in files.skipped}
    assert set(told) == {".hidden.txt", ".cache", "photo.jpeg", "lost.txt", "again"}
    assert "suffix" in told["photo.jpeg"]


def test_inputs_outputs_of_a_job_are_not_read_again(tmp_path: Path) -> None:
    write(tmp_path / "a.txt")
    write(tmp_path / "out" / "manifest.json")
    write(tmp_path / "out" / "quarantine.jsonl")
    write(tmp_path / "out" / "articles" / "part-0.jsonl")
    write(tmp_path / "out" / "passages" / "part-0.jsonl")
    files = list_inputs([tmp_path])
    assert names(files) == ["a.txt"]
    assert [skipped.reason for skipped in files.skipped] == ["it holds the outputs of a job"]


def test_inputs_are_taken_once_and_in_the_order_given(tmp_path: Path) -> None:
    write(tmp_path / "a.txt")
    write(tmp_path / "b.txt")
    assert names(list_inputs([tmp_path / "b.txt", tmp_path, str(tmp_path / "a.txt")])) == ["b.txt", "a.txt"]


def test_inputs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "east" / "news.txt")
    write(tmp_path / "west" / "news.txt")
    files = list_inputs([tmp_path / "east", tmp_path / "west" / "news.txt"])
    assert names(files) == ["east/news.txt", "west/news.txt"]


def test_inputs_missing_one_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"absent\.txt does not exist"):
        list_inputs([tmp_path, tmp_path / "absent.txt"])


def test_inputs_with_nothing_to_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no input was given"):
        list_inputs([])
    with pytest.raises(InputError, match=r"nothing to read .* 1 skipped .*letter\.docx"):
        list_inputs([write(tmp_path / "letter.docx")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"nothing to read in .*empty: it holds no file; what is read ends in \.txt, "):
        list_inputs([tmp_path / "empty"])
    write(tmp_path / "empty" / ".hidden.txt")
    with pytest.raises(InputError, match=r"1 skipped .*it is hidden\); what is read ends in \.txt, .*\.gz"):
        list_inputs([tmp_path / "empty"])


def test_inputs_name_that_is_no_utf8_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "\udce9t\udce9.txt"
    try:
        path.write_text("Un texte.", encoding="utf-8")
    except OSError:
        pytest.skip("this file system holds only UTF-8 names")
    assert names(list_inputs([tmp_path])) == ["\ufffdt\ufffd.txt"]


def test_inputs_digest_is_of_the_file_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"Un texte."))
    (file,) = list_inputs([path])
    assert file.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    assert file.sha256() == ""


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b'{"text": "Un texte."}\n{"text": "Un autre."}\n', "stdin.jsonl"),
        (b'\xef\xbb\xbf\n {"text": "Un texte."}', "stdin.jsonl"),
        (json.dumps({"text": "long " * 300_000}).encode(), "stdin.jsonl"),
        (b"Un texte.\n\nSur deux paragraphes.", "stdin.txt"),
        (b"{Une note entre accolades}\n", "stdin.txt"),
        (b'["une", "liste"]\n', "stdin.txt"),
        (b"", "stdin.txt"),
    ],
)
def test_inputs_standard_input_is_set_down_whole(tmp_path: Path, content: bytes, name: str) -> None:
    path = spool_stdin(io.BytesIO(content), tmp_path / ".spool")
    assert path.name == name
    assert path.read_bytes() == content
    assert names(list_inputs([path])) == [name]
