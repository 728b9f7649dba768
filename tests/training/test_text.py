"""Documents, tokenizer and shards of pre-training."""

import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from training.text import SEP, Shard, TextSource, save_tokenizer, stream_documents, write_shards


def test_text_streams_documents_from_xz(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.xz"
    with lzma.open(path, "wt", encoding="utf-8") as file:
        file.write("Un.\nDeux.\n\nTrois.\n\n\nQuatre.\n")
    assert list(stream_documents(TextSource("a", (path,)))) == ["Un.\nDeux.", "Trois.", "Quatre."]


def test_text_tokenizer_parts_elisions_and_digits_and_keeps_case_and_accents(tokenizer: Tokenizer) -> None:
    pieces = tokenizer.encode("L’embargo qu'un Élu étudie en 2024", add_special_tokens=False).tokens
    assert pieces[0] == "▁L'"
    assert pieces[-4:] == ["▁2", "0", "2", "4"]
    joined = "".join(pieces)
    assert "▁embargo" in joined  # the word after an elision is the word it is elsewhere
    assert "▁qu'▁un" in joined


def test_text_tokenizer_treats_curly_and_straight_apostrophes_alike(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("l’usine d’acier").ids == tokenizer.encode("l'usine d'acier").ids
    assert tokenizer.encode("20\u00a0% « oui\u202f»").ids == tokenizer.encode("20 % « oui »").ids


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40))
def test_text_tokenizer_knows_every_string(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.token_to_id("[UNK]") not in tokenizer.encode(text).ids


def test_text_tokenizer_puts_a_mask_in_the_place_of_a_whole_word(tokenizer: Tokenizer) -> None:
    with_word, masked = tokenizer.encode("Le ministre réclame").tokens, tokenizer.encode("Le [MASK] réclame").tokens
    assert masked == [with_word[0], with_word[1], " [MASK]", *tokenizer.encode("réclame").tokens[1:]]
    assert tokenizer.token_to_id("[MASK]") == 4


def test_text_saved_tokenizer_opens_in_transformers(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    save_tokenizer(tokenizer, tmp_path, 64)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    assert opened("L'embargo.").input_ids == tokenizer.encode("L'embargo.").ids
    assert (opened.mask_token, opened.pad_token_id, opened.model_max_length) == ("[MASK]", 0, 64)


def test_text_shards_hold_every_document_and_their_digest(
    shards: tuple[Path, list[Shard]], sources: list[TextSource], tokenizer: Tokenizer
) -> None:
    import hashlib

    folder, listed = shards
    for shard, source in zip(listed, sources, strict=True):
        data = (folder / shard.file).read_bytes()
        tokens = np.frombuffer(data, dtype="<u2")
        documents = list(stream_documents(source))
        assert hashlib.sha256(data).hexdigest() == shard.sha256
        assert (tokens == SEP).sum() == len(documents)
        first = tokens[: int(np.argmax(tokens == SEP))]
        assert tokenizer.encode(documents[0], add_special_tokens=False).ids == first.tolist()


def test_text_shards_that_are_there_are_kept(
    shards: tuple[Path, list[Shard]], sources: list[TextSource], tokenizer: Tokenizer
) -> None:
    folder, listed = shards
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert write_shards(sources, tokenizer, folder) == listed
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize("weight", [0.25, 0.5, 1.0])
def test_text_windows_read_a_source_by_its_weight(shards: tuple[Path, list[Shard]], weight: float) -> None:
    from training.windows import Windows

    folder, listed = shards
    windows = Windows([("débats", folder / listed[0].file, weight)], 16, 2, seed=0)
    usable = windows.sources[0].windows - windows.sources[0].held_out
    epochs = round(1 / weight)
    seen = windows.places(0, windows.epoch_windows * epochs)[1].tolist()
    assert abs(windows.epoch_windows - usable * weight) <= 1
    assert len(set(seen)) >= usable - epochs
    assert max(seen) < usable  # held-out windows are never read
