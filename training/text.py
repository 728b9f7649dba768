"""Raw text in; a French tokenizer and token shards out: all that pre-training needs before its first step.

Text files hold one paragraph a line and a blank line between documents; ``.xz`` and ``.gz`` are read in place.
``datasets`` streams the documents, so that the text never has to fit in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)
BYTES = tuple(f"<0x{value:02X}>" for value in range(256))

_ELIDED = ("[cdjlmnst]", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu")
# One word, one piece: « l'embargo » is « l' » and « embargo », which then is the word that follows « un » too.
_AFTER_ELISION = "(?i)(?<=" + "|".join(rf"\b{word}'" for word in _ELIDED) + r")(?=[\p{L}\p{N}])"
_WORDS = (
    "▁?(?i:aujourd'hui|(?:" + "|".join(_ELIDED) + "|quelqu|presqu)')"  # elisions keep their apostrophe
    r"|▁?\p{L}+"
    r"|▁?\p{N}"  # digits stand alone, so that no figure is a word of its own
    r"|▁?[^▁\p{L}\p{N}]|▁"
)


@dataclass(frozen=True)
class TextSource:
    """A named source: its files, and how often an epoch reads its windows (0.5: every other one)."""

    name: str
    files: tuple[Path, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Shard:
    """The tokens of one source as little-endian uint16; a document ends with ``[SEP]``."""

    source: str
    file: str
    tokens: int
    words: int
    weight: float
    sha256: str


def stream_documents(source: TextSource) -> Iterator[str]:
    """Yield the documents of a source, paragraphs parted by newlines."""
    from datasets import load_dataset

    rows = load_dataset(
        "text",
        data_files=[str(path) for path in source.files],
        sample_by="paragraph",  # the builder's word for "up to a blank line": a document here
        split="train",
        streaming=True,
    )
    for row in rows:
        text = row["text"].strip()
        if text:
            yield text


def build_tokenizer(documents: Iterable[str], vocabulary: int) -> Tokenizer:
    """Train a byte-pair tokenizer for French (Sennrich et al. 2016) with byte fallback: nothing is unknown.

    Case and accents are kept; curly apostrophes and unbreakable spaces are folded; elisions are split off the
    word that follows; digits stand alone. A piece that begins a word begins with ``▁``.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="[UNK]"))  # noqa: S106  # a token, no password
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(Regex("[’ʼ‘]"), "'"),
            normalizers.Replace(Regex(_AFTER_ELISION), " "),
            normalizers.Replace(Regex(r"\s+"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(replacement="▁")])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[*SPECIALS, *BYTES],
        min_frequency=5,
        limit_alphabet=220,
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    # A mask takes the space before it, as the word that it hides does: « la [MASK] de » has no stray piece in it.
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, special=True, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    return tokenizer


def sample_documents(sources: Sequence[TextSource], characters: int) -> Iterator[str]:
    """Documents for the tokenizer: from each source about ``characters`` × its weight, spread over its files."""
    for source in sources:
        wanted = characters * source.weight
        size = sum(path.stat().st_size for path in source.files) * 4.0  # text is about four times its xz
        stride = max(1, int(size / max(wanted, 1.0)))
        for text in islice(stream_documents(source), 0, None, stride):
            yield text
            wanted -= len(text)
            if wanted <= 0:
                break


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Write ``tokenizer.json`` and the two small files that make ``AutoTokenizer`` of version 4 and 5 open it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "mask_token": "[MASK]",
        **names,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_shards(sources: Sequence[TextSource], tokenizer: Tokenizer, folder: Path) -> list[Shard]:
    """Tokenise every source into ``folder`` and write ``shards.json``; a shard that is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "shards.json"
    known = {shard.source: shard for shard in read_shards(folder)} if index.exists() else {}
    for source in sources:
        if source.name in known:
            continue
        path = folder / f"{source.name}.u16"
        digest, tokens, words = hashlib.sha256(), 0, 0
        with path.open("wb") as out:
            documents = stream_documents(source)
            while batch := list(islice(documents, 500)):
                words += sum(len(text.split()) for text in batch)
                for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                    data = np.asarray([*encoding.ids, SEP], dtype="<u2").tobytes()
                    digest.update(data)
                    out.write(data)
                    tokens += len(data) // 2
        known[source.name] = Shard(source.name, path.name, tokens, words, source.weight, digest.hexdigest())
        index.write_text(json.dumps([asdict(shard) for shard in known.values()], indent=1), encoding="utf-8")
    return list(known.values())


def read_shards(folder: Path) -> list[Shard]:
    """The shards listed in ``folder/shards.json``."""
    return [Shard(**row) for row in json.loads((folder / "shards.json").read_text(encoding="utf-8"))]
