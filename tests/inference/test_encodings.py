import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.encodings import detect, french_share, has_controls, is_mixture

FRENCH = "Le ministère a décidé de prolonger le régime des licences. L'été à Nîmes fut sec ; où va-t-on ?"


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman", "cp850"])
def test_encodings_of_french_are_told_apart(encoding: str) -> None:
    assert detect(FRENCH.encode(encoding)) == encoding


def test_encodings_differ_by_a_single_letter() -> None:
    text = f"{FRENCH} Le cœur du débat."
    assert detect(text.encode("cp1252")) == "cp1252"
    assert detect(text.encode("iso8859_15")) == "iso8859_15"


def test_encodings_of_utf8_are_not_detected() -> None:
    assert detect(FRENCH.encode()) is None
    assert detect(b"plain") is None


@pytest.mark.parametrize("content", [b"\xe9", b"Caf\xe9 ou caf\x8e", b"\x81\x8d\x8f\x90"])
def test_encodings_that_are_not_certain_are_none(content: bytes) -> None:
    assert detect(content) is None


def test_encodings_only_foreign_lines_tell() -> None:
    assert detect("Été, ünïcödé.\n".encode() + FRENCH.encode("cp1252")) == "cp1252"


def test_encodings_capital_after_a_small_letter_is_not_french() -> None:
    assert french_share("Café À Évry") == 1
    assert french_share("CafÈ") == 0


def test_encodings_signs_of_a_wrong_reading() -> None:
    assert has_controls("cÅur\x9c")
    assert not has_controls("cœur")
    assert is_mixture("é".encode() + b"\xe9")
    assert not is_mixture("où l'été".encode("cp1252"))


@given(st.text(st.sampled_from("abcéèàùçê ’«»\n"), min_size=30), st.sampled_from(["cp1252", "mac_roman"]))
def test_encodings_detected_are_the_right_ones(text: str, encoding: str) -> None:
    found = detect(text.encode(encoding))
    assert found is None or text.encode(encoding).decode(found) == text
