"""Real argument as a teacher: annotated paragraphs of public debates, kept as digests and labels, never as text.

``debates/labels.tsv`` holds, for each paragraph, the first 16 hexadecimal digits of the SHA-256 of its text (UTF-8, no
line end), its stance and its sentiment, and ``?`` where the annotator hesitated. The text stays where it was published;
:func:`join_debates` finds it again in a copy of the sources.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from training.corpus import CorpusError

if TYPE_CHECKING:
    from training.metrics import Estimate

LABELS = Path(__file__).parent / "debates" / "labels.tsv"
SECOND = Path(__file__).parent / "debates" / "second-reading.tsv"
DIGITS = 16

_OPENERS: dict[str, Callable[..., IO[str]]] = {".xz": lzma.open, ".gz": gzip.open}


def paragraph_digest(text: str) -> str:
    """The digest by which a paragraph is found again."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def read_labels(path: Path = LABELS) -> dict[str, tuple[str, str, bool]]:
    """Digest to (stance, sentiment, whether the annotator hesitated)."""
    labels = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        digest, stance, sentiment, *doubt = line.split("\t")
        labels[digest] = (stance, sentiment, doubt == ["?"])
    return labels


def debates_agreement() -> dict[str, Estimate]:
    """Cohen's kappa, a task, between the annotator and the blind second reader of a tenth of the paragraphs."""
    from training.agreement import kappa

    first, second = read_labels(), read_labels(SECOND)
    shared = sorted(set(first) & set(second))
    return {
        task: kappa([str(first[digest][place]) for digest in shared], [str(second[digest][place]) for digest in shared])
        for place, task in enumerate(("stance", "sentiment"))
    }


def paragraphs(folder: Path) -> Iterator[str]:
    """The lines of every .txt, .txt.xz and .txt.gz file of a folder, stripped, blank ones left out."""
    files = sorted(path for path in folder.iterdir() if ".txt" in path.suffixes)
    if not files:
        raise CorpusError(f"{folder} holds no .txt, .txt.xz or .txt.gz file; give the folder of the debates' text")
    for path in files:
        with _OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                if text := line.strip():
                    yield text


def join_debates(folder: Path, target: Path, labels: Path = LABELS, doubtful: bool = False) -> int:
    """Write the labelled paragraphs found in ``folder`` as corpus rows (JSON lines) and return their number.

    Rows that the annotator hesitated on are left out unless ``doubtful``. Every twelfth row, by digest, validates.
    """
    known = read_labels(labels)
    found = 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8") as file:
        for text in paragraphs(folder):
            digest = paragraph_digest(text)
            label = known.pop(digest, None)
            if label is None or (label[2] and not doubtful):
                continue
            split = "validation" if int(digest, 16) % 12 == 0 else "train"
            row = {"id": digest, "text": text, "stance": label[0], "sentiment": label[1], "split": split}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            found += 1
    return found
