import bz2
import codecs
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import decoding
from inference.decoding import (
    UNPACK_ERRORS,
    UnreadableTextError,
    bounded_lines,
    decode_document,
    decode_line,
    open_text_stream,
    open_unpacked,
)
from inference.inputs import list_inputs

FRENCH = (
    "Le ministère a décidé de prolonger le régime des licences, très attendu par les fabricants. "
    "Ça n'a pas suffi : l'Île-de-France s'inquiète déjà, où l'on chôme à cause des pièces qui manquent."
)
TYPOGRAPHIC = FRENCH + " Le cœur du débat, c’est « l’accès » aux pièces à 5 € – et à leurs réparations…"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman"])
@pytest.mark.parametrize("text", [FRENCH, TYPOGRAPHIC], ids=["letters", "typography"])
def test_decoding_french_encodings_are_detected(text: str, encoding: str) -> None:
    assert decode_document(text.encode(encoding)) == (text, encoding)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(FRENCH, "cp850"), (FRENCH, "latin_1"), (FRENCH.replace("pièces", "œuvres à 5 €"), "iso8859_15")],
)
def test_decoding_other_french_encodings_give_the_text(text: str, encoding: str) -> None:
    found, detected = decode_document(text.encode(encoding))
    assert found == text
    assert detected in {encoding, "cp1252"}


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_decoding_utf8_needs_no_name(mark: bytes) -> None:
    assert decode_document(mark + TYPOGRAPHIC.encode()) == (TYPOGRAPHIC, None)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_decoding_marked_encodings(encoding: str) -> None:
    assert decode_document(TYPOGRAPHIC.encode(encoding)) == (TYPOGRAPHIC, encoding)


def test_decoding_another_language_is_recognised() -> None:
    text = (
        "Президент заявил о новых санкциях против компаний, работающих в области полупроводников. Рынок отреагировал."
    )
    assert decode_document(text.encode("cp1251")) == (text, "cp1251")


@pytest.mark.parametrize("content", [b"\xe9", b"Le caf\x8e", b"\x80\x81\x82\x83\x84\x85", bytes(range(128, 256))])
def test_decoding_what_is_not_certain_is_refused(content: bytes) -> None:
    if content == b"Le caf\x8e":  # one reading only has a French letter there
        assert decode_document(content) == ("Le café", "mac_roman")
        return
    with pytest.raises(UnreadableTextError, match="certainty; save it as UTF-8"):
        decode_document(content)


def test_decoding_mixture_is_refused() -> None:
    with pytest.raises(UnreadableTextError, match="mixes UTF-8"):
        decode_document(FRENCH.encode() + b"\n" + FRENCH.encode("cp1252"))
    with pytest.raises(UnreadableTextError, match="cut inside a letter"):
        decode_document(FRENCH.encode() + b"\xc3")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"%PDF-1.7 ...", "a PDF"),
        (b"PK\x03\x04...", "office document"),
        (b"{\\rtf1\\ansi}", "RTF"),
        (gzip.compress(b"x"), "packed with gzip"),
        (b"\x89PNG\r\n", "an image"),
        (b"texte\x00texte", "NUL"),
        ("texte".encode("utf-16-le"), "UTF-16 without its mark"),
        (b"\xff\xfea", "marked as utf-16"),
    ],
)
def test_decoding_binary_is_refused_by_name(content: bytes, what: str) -> None:
    with pytest.raises(UnreadableTextError, match=what):
        decode_document(content)


def test_decoding_declared_encoding_is_believed_where_it_fits() -> None:
    text = "Łódź i Gdańsk : deux ports sans ambiguïté."
    assert decode_document("Łódź".encode("cp1250"), declared="cp1250") == ("Łódź", "cp1250")
    assert decode_document(text.encode(), declared="cp1250") == (text, None)
    assert decode_document(FRENCH.encode("cp1252"), declared="ascii") == (FRENCH, "cp1252")


def test_decoding_line_follows_its_file_where_it_does_not_tell_itself() -> None:
    assert decode_line("São Paulo".encode("cp1252"), "cp1252") == ("São Paulo", "cp1252")
    assert decode_line("Été".encode(), "cp1252") == ("Été", None)
    assert decode_line(FRENCH.encode("mac_roman"), "cp1252") == (FRENCH, "mac_roman")
    with pytest.raises(UnreadableTextError, match="certainty"):
        decode_line(b"\xe9", None)


@pytest.mark.parametrize("suffix", PACKERS)
def test_decoding_unpacks(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(PACKERS[suffix](FRENCH.encode()) + PACKERS[suffix](b" Fin."))
    with open_unpacked(list_inputs([path])[0]) as stream:
        assert stream.read() == FRENCH.encode() + b" Fin."


@pytest.mark.parametrize("suffix", PACKERS)
def test_decoding_damaged_packing_is_an_error(tmp_path: Path, suffix: str) -> None:
    whole = PACKERS[suffix](b"".join(f"{number * 7919} lignes\n".encode() for number in range(20_000)))
    path = tmp_path / f"a.txt{suffix}"
    for content in (whole[: len(whole) // 2], b"nothing of the kind"):
        path.write_bytes(content)
        with pytest.raises(UNPACK_ERRORS), open_unpacked(list_inputs([path])[0]) as stream:
            while stream.read(1 << 16):
                pass


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (codecs.BOM_UTF8 + FRENCH.encode(), None),
        (FRENCH.encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + FRENCH.encode("utf-16-be"), "utf-16"),
        (FRENCH.encode("utf-32"), "utf-32"),
    ],
)
def test_decoding_stream_loses_its_mark(tmp_path: Path, content: bytes, encoding: str | None) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with open_text_stream(list_inputs([tmp_path])[0]) as (stream, found, fallback):
        assert stream.read() == FRENCH.encode()
        assert (found, fallback) == (encoding, None)


def test_decoding_stream_knows_the_encoding_of_its_first_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"plain\n" + FRENCH.encode("cp1252") + b"\n")
    with open_text_stream(list_inputs([tmp_path])[0]) as (_, found, fallback):
        assert (found, fallback) == (None, "cp1252")


def test_decoding_stream_that_breaks_off_in_its_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(FRENCH.encode("utf-16")[:-1])
    with (
        pytest.raises(UnreadableTextError, match="marked as utf-16"),
        open_text_stream(list_inputs([tmp_path])[0]) as (stream, _, _),
    ):
        stream.read()


def test_decoding_long_line_is_passed_over() -> None:
    stream = io.BytesIO(b"short\n" + b"x" * 200_000 + b"\nlast")
    assert list(bounded_lines(stream, 10)) == [(1, b"short\n"), (2, None), (3, b"last")]


def test_decoding_line_at_its_limit_is_kept() -> None:
    assert list(bounded_lines(io.BytesIO(b"0123456789\n0123456789"), 10)) == [(1, b"0123456789\n"), (2, b"0123456789")]


def test_decoding_endless_line_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "ENDLESS_LINE", 300_000)
    with pytest.raises(UnreadableTextError, match="line 1 goes on"):
        list(bounded_lines(io.BytesIO(b"x" * 1_000_000), 10))


@given(st.binary(max_size=400))
def test_decoding_any_bytes_are_text_or_refused(content: bytes) -> None:
    try:
        text, encoding = decode_document(content)
    except UnreadableTextError:
        pass
    else:
        assert text.encode(encoding or "utf-8").removeprefix(codecs.BOM_UTF8) == content.removeprefix(
            codecs.BOM_UTF8
        ) or (encoding in {"utf-16", "utf-32"})


@given(st.text(st.sampled_from("abcéèàùçê ’«»\n"), min_size=30))
def test_decoding_detected_text_is_never_another(text: str) -> None:
    try:
        found, _ = decode_document(text.encode("cp1252"))
    except UnreadableTextError:
        return
    assert found == text
