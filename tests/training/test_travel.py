"""Shards and weights in pieces: whatever the cut, the same bytes come out; damage is named."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from training.text import Shard
from training.travel import TravelError, assemble, pack, split, unpack


def written(folder: Path, sizes: list[int]) -> Path:
    """A folder of shards of random tokens, hard to compress."""
    rows = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(sizes):
        data = np.random.default_rng(number).integers(0, 16_384, size, dtype=np.uint16).astype("<u2").tobytes()
        (folder / f"s{number}.u16").write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        rows.append({"source": f"s{number}", "file": f"s{number}.u16", "tokens": size, "words": 1, "weight": 1.0,
                     "sha256": sha256})  # fmt: skip
    (folder / "shards.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    return folder


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=4), limit=st.integers(3000, 30_000), seed=st.integers()
)
def test_travel_restores_every_shard_from_pieces_in_any_order(
    tmp_path: Path, sizes: list[int], limit: int, seed: int
) -> None:
    for name in ("shards", "pieces", "restored", "carried"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    shards = written(tmp_path / "shards", sizes)
    pieces = pack(shards, shards / "tokenizer.json", tmp_path / "pieces", limit)
    assert all((tmp_path / "pieces" / piece.file).stat().st_size == piece.bytes <= limit for piece in pieces)
    order = np.random.default_rng(abs(seed)).permutation(len(pieces))
    for number in order:  # one call a piece
        carried = tmp_path / "carried"
        shutil.rmtree(carried, ignore_errors=True)
        carried.mkdir()
        for name in ("pieces.json", "tokenizer.json", pieces[number].file):
            shutil.copy(tmp_path / "pieces" / name, carried / name)
        assert (tmp_path / "restored" / "shards.json").exists() is False
        missing = unpack(carried, tmp_path / "restored")
    assert missing == []
    for name in [path.name for path in shards.glob("*.u16")]:
        assert (tmp_path / "restored" / name).read_bytes() == (shards / name).read_bytes()


def test_travel_saves_two_thirds_of_a_regular_text(
    tokenizer: Tokenizer, shards: tuple[Path, list[Shard]], tmp_path: Path
) -> None:
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    pieces = pack(shards[0], tmp_path / "tokenizer.json", tmp_path / "pieces", 1_000_000)
    assert len(pieces) == 1
    assert pieces[0].bytes < sum(shard.tokens for shard in shards[1]) * 2 / 3


def test_travel_names_a_damaged_piece_and_a_damaged_shard(tmp_path: Path) -> None:
    shards = written(tmp_path / "shards", [4000])
    piece = pack(shards, shards / "tokenizer.json", tmp_path / "pieces", 50_000)[0]
    path = tmp_path / "pieces" / piece.file
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(TravelError, match=r"text-00\.xz is damaged: send it again"):
        unpack(tmp_path / "pieces", tmp_path / "restored")
    (shards / "s0.u16").write_bytes(b"zz")
    with pytest.raises(TravelError, match="missing or damaged"):
        pack(shards, shards / "tokenizer.json", tmp_path / "pieces", 50_000)


def test_travel_puts_weights_together_or_says_which_part_is_wrong(tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    data = np.random.default_rng(1).bytes(10_001)
    (encoder / "model.safetensors").write_bytes(data)
    (encoder / "config.json").write_text('{"max_position_embeddings": 64}', encoding="utf-8")
    assert split(encoder, tmp_path / "home", 3000, {"step": 3}) == 4
    assert split(encoder, tmp_path / "home", 3000, {"step": 4}) == 4  # the next checkpoint takes the place of the last
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "home"]
    whole, content = assemble(tmp_path / "home")
    assert whole == data
    assert content["progress"] == {"step": 4}
    (tmp_path / "home" / "weights-2.part").write_bytes(b"x")
    with pytest.raises(TravelError, match=r"weights-2\.part is damaged or of another checkpoint"):
        assemble(tmp_path / "home")
    (tmp_path / "home" / "weights-2.part").unlink()
    with pytest.raises(TravelError, match="4 parts belong together"):
        assemble(tmp_path / "home")
