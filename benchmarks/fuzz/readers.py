"""Coverage-guided fuzzing of the readers and the splitter (atheris, libFuzzer).

    pip install atheris
    python benchmarks/fuzz/readers.py -max_total_time=300 -max_len=4096 -print_final_stats=1 CORPUS_FOLDER

CORPUS_FOLDER keeps what reached new code; it is seeded with one small file of each format where it is empty. An input
is one byte that chooses the format and the packing, and the file's content. Broken is: any exception from the readers
(bad input must come out as Rejected), a text that cannot be written as UTF-8 or lacks a word, a passage that is not
its slice of the text, passages that overlap or leave a character out.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["inference"]):
    from inference.articles import Article, ReadOptions, read_articles
    from inference.inputs import InputFile
    from inference.passages import split_article

FORMATS = ("txt", "md", "html", "jsonl", "json", "csv", "parquet")
PACKERS = {None: bytes, "gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
#: As the fuzzer made it, so mostly damaged; or packed by us, so that it gets past the unpacker.
WAYS = [(name, packed) for name in PACKERS for packed in (False, True) if name or not packed]
OPTIONS = ReadOptions(max_article_bytes=20_000)
SEEDS = {
    0: b"Titre : Un quota\nDate : 12 mars 2026\n\nLe quota est lev\xc3\xa9. M. Roux s'en r\xc3\xa9jouit.\n",
    1: b"---\ntitle: Un quota\n---\n# Titre\n\n- un\n- deux\n\n> Le quota est lev\xc3\xa9.\n",
    2: b"<html><head><title>T</title></head><body><p>Le quota <b>est</b> lev&eacute;.</p></body></html>",
    3: b'{"id": "a", "text": "Le quota est lev\\u00e9.", "date": "2026-03-12"}\n{"id": 2, "text": ""}\n',
    4: b'[{"id": "a", "text": "Le quota est lev\xc3\xa9."}, 3]',
    5: b'id;text;date\na;"Le ""quota""\nest lev\xe9.";12/03/2026\n',
}


def count_tokens(texts: Sequence[str]) -> list[int]:
    """A stand-in for the tokenizer: two special tokens, and one for each four characters of a word."""
    return [2 + sum(1 + len(word) // 4 for word in text.split()) for text in texts]


def check_passages(text: str, max_words: int) -> None:
    """Offsets are exact, in order and complete; limits hold."""
    end = 0
    for passage in split_article(text, count_tokens, 40, max_words=max_words, min_words=3):
        assert text[passage.start : passage.end] == passage.text
        assert passage.start >= end
        assert not text[end : passage.start].strip()
        assert passage.truncated_tokens == 0
        end = passage.end
    assert not text[end:].strip()


def one_input(data: bytes) -> None:
    """Read one input as a file, and split what comes out."""
    if not data:
        return
    form = FORMATS[data[0] % len(FORMATS)]
    packing, pack = WAYS[data[0] // len(FORMATS) % len(WAYS)]
    content = PACKERS[packing](data[1:]) if pack else data[1:]
    PATH.write_bytes(content)
    file = InputFile(PATH, "f", form, packing, len(content))
    for item in read_articles([file], OPTIONS):
        if isinstance(item, Article):
            item.text.encode()
            "".join(filter(None, (item.id, item.title, item.source, item.topic, *item.notes))).encode()
            assert item.text.strip()
            check_passages(item.text, 12)
        else:
            assert item.reason
            assert item.mend
            assert "\n" not in item.reason


def seed(folder: Path) -> None:
    """Give an empty corpus one file of each format."""
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        for number, content in SEEDS.items():
            (folder / f"seed-{number}").write_bytes(bytes([number]) + content)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            seed(Path(argument))
    with tempfile.NamedTemporaryFile(prefix="fuzz-") as scratch:
        PATH = Path(scratch.name)
        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()
