"""Annotated debates are found again by their digests, in plain and compressed text."""

import json
import lzma
from pathlib import Path

import pytest

from training.corpus import CorpusError
from training.debates import debates_agreement, join_debates, paragraph_digest, read_labels

TEXTS = ["Monsieur le Président, ce quota étrangle nos ports.", "La séance est levée.", "Il faut tenir l'embargo."]


def test_debates_join_labels_to_a_copy_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text(f"{TEXTS[0]}\n\nAutre chose.\n", encoding="utf-8")
    with lzma.open(tmp_path / "text" / "b.txt.xz", "wt", encoding="utf-8") as file:
        file.write(f"{TEXTS[1]}\n{TEXTS[2]}\n{TEXTS[2]}\n")
    lines = [
        f"{paragraph_digest(TEXTS[0])}\tpro-easing\tnegative",
        f"{paragraph_digest(TEXTS[1])}\tneutral\tneutral\t?",
        f"{paragraph_digest(TEXTS[2])}\tpro-restriction\tneutral",
        "0000000000000000\tneutral\tneutral",
    ]
    labels = tmp_path / "labels.tsv"
    labels.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert join_debates(tmp_path / "text", tmp_path / "out.jsonl", labels) == 2
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["text"]: row["stance"] for row in rows} == {TEXTS[0]: "pro-easing", TEXTS[2]: "pro-restriction"}
    assert join_debates(tmp_path / "text", tmp_path / "out.jsonl", labels, doubtful=True) == 3


def test_debates_shipped_labels_are_digests_and_labels_alone() -> None:
    labels = read_labels()
    assert len(labels) > 5000
    for digest, (stance, sentiment, _) in labels.items():
        assert len(digest) == 16
        assert int(digest, 16) >= 0
        assert stance in ("pro-easing", "neutral", "pro-restriction")
        assert sentiment in ("negative", "neutral", "positive")


def test_debates_name_a_folder_without_text(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"holds no \.txt"):
        join_debates(tmp_path, tmp_path / "out.jsonl")


def test_debates_two_readings_agree_as_the_card_asks() -> None:
    agreement = debates_agreement()
    assert agreement["stance"]["n"] >= 800
    assert agreement["stance"]["value"] is not None
    assert agreement["stance"]["value"] > 0.8
