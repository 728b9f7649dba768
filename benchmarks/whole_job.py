"""The whole job (read, split, score, write) against the bare ONNX session on the same, already tokenised batches."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.sample import CLOCKS, best_seconds, parser, passages, print_ratio
from inference.classifier import SHIPPED, Classifier
from inference.job import score_articles
from inference.progress import Part
from inference.settings import ScoreSettings
from inference.writer import read_part

#: Passages joined into one article.
JOINED = 8


def main(arguments: list[str] | None = None) -> None:
    """Print passages/s of both and their ratio."""
    line = parser(__doc__)
    line.set_defaults(passages=2000, rounds=2)
    line.add_argument("--model", type=Path, default=SHIPPED, help="an exported model folder")
    given = line.parse_args(arguments)
    settings = ScoreSettings(threads=given.threads, underlined_passages=0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_articles(folder / "articles.jsonl", passages(given.passages))
        written: list[float] = []
        now = CLOCKS[given.clock]

        def note(_: Part) -> None:
            written.append(now())

        def job() -> None:
            began = now()
            score_articles([source], folder / "out", model=given.model, settings=settings, overwrite=True, on_part=note)
            until_written.append(written[-1] - began)

        until_written: list[float] = []
        job()  # once for its passages, and so that files and modules are in memory for both
        rows = [row for path in sorted((folder / "out" / "passages").iterdir()) for row in read_part(path)]
        texts = [row["text"] for row in rows]
        until_written.clear()
        seconds = best_seconds({"job": job, "bare": bare(given.model, given.threads, texts)}, given.rounds, given.clock)
    print(f"bare session   {len(texts) / seconds['bare']:8.1f} passages/s on {len(texts)} passages")
    print(f"job            {len(texts) / min(until_written):8.1f} passages/s, from the call to the last part")
    print(f"job + report   {len(texts) / seconds['job']:8.1f} passages/s, from the call to its return")
    print_ratio("of the job's rate to the bare session's", seconds["bare"] / min(until_written), "0.85")
    print_ratio("the same with the report", seconds["bare"] / seconds["job"], "-")


def write_articles(path: Path, texts: list[str]) -> Path:
    """Write articles of :data:`JOINED` passages each as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(texts), JOINED):
            row = {"id": f"article-{start}", "text": "\n\n".join(texts[start : start + JOINED])}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def bare(model: Path, threads: int, texts: list[str]) -> Callable[[], object]:
    """A session, as the classifier opens it, on batches that are ready."""
    import onnxruntime

    classifier = Classifier.load(model, threads=threads)
    encoded = classifier.encode(list(dict.fromkeys(texts)))
    feeds = [classifier.feed(encoded, batch) for batch in classifier.batches(encoded)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(classifier.bundle.graph), options, providers=["CPUExecutionProvider"])
    return lambda: np.concatenate([session.run(["logits"], feed)[0] for feed in feeds])


if __name__ == "__main__":
    main()
