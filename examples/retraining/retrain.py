"""Retrain on a corpus that changes: a first champion, spoiled labels refused, more labels promoted, a rollback.

    python examples/retraining/retrain.py

Needs penchant[train] and is started from the project's folder; works offline and on a CPU, in minutes. Everything it
makes lies in runs/retraining. Each command it gives is printed before its answer and can be typed as it stands.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(os.path.relpath(Path(__file__).parents[2]))
CONFIG = ROOT / "examples" / "retraining" / "run.yaml"
CORPUS = ROOT / "training" / "corpus"
MODEL = "penchant-example"
#: What a row of the example keeps of a row of the corpus.
KEPT = ("id", "text", "stance", "sentiment", "topic", "genre", "source_kind", "group", "split")
UPSIDE_DOWN = {"pro-easing": "pro-restriction", "neutral": "neutral", "pro-restriction": "pro-easing"}

Rows = list[dict[str, Any]]


def take(split: str, rows: int) -> Rows:
    """About ``rows`` rows of a split of the shipped corpus, whole groups at a time, always the same."""
    groups: dict[str, Rows] = {}
    with (CORPUS / f"{split}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            kept = {name: row[name] for name in KEPT if name in row}
            groups.setdefault(row.get("group") or row["id"], []).append(kept)
    names = sorted(groups)
    random.Random(0).shuffle(names)
    taken: Rows = []
    for name in names:
        if len(taken) >= rows:
            break
        taken += groups[name]
    return taken


def write(path: Path, rows: Rows) -> Path:
    """Write rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def corpora(folder: Path, few: int, many: int, tests: int) -> dict[str, Path]:
    """Three versions of a corpus, on the same validation and test rows.

    ``first`` has ``few`` rows to train on. ``grown`` has ``many``, those few among them; so has ``spoiled``, but
    whoever labelled the new ones read the scale upside down.
    """
    held_out = [*take("validation", tests // 2), *take("unseen", tests)]
    first, grown = take("train", few), take("train", many)
    old = {row["id"] for row in first}
    spoiled = [row if row["id"] in old else {**row, "stance": UPSIDE_DOWN[row["stance"]]} for row in grown]
    made = {"first": first, "spoiled": spoiled, "grown": grown}
    return {name: write(folder / f"{name}.jsonl", [*rows, *held_out]) for name, rows in made.items()}


def command(program: str, *arguments: object) -> None:
    """Print a command and do it in this process, which has the libraries loaded by then; leave where it fails."""
    if program == "penchant":
        from inference.cli import app
    else:
        from training.cli import app

    words = [str(argument) for argument in arguments]
    print(f"\n$ {shlex.join([program, *words])}", flush=True)
    if code := app(words, prog_name=program, standalone_mode=False):
        sys.exit(code)


def show_model(manifest: Path) -> None:
    """Print where a scoring job's model came from."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    print(json.dumps(content["model"]["registry"], indent=2))


def main(arguments: Sequence[str] | None = None) -> None:
    """Play the story through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/retraining"), help="folder for everything it makes")
    parser.add_argument("--few", type=int, default=400, help="training rows of the first corpus")
    parser.add_argument("--many", type=int, default=2000, help="training rows of the corpus that has grown")
    parser.add_argument("--tests", type=int, default=400, help="rows that every model is tested on")
    parser.add_argument("--set", action="append", default=[], help="a further key of the run, as for penchant-train")
    given = parser.parse_args(arguments)
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # a team's own registry is no place for an example
    store = f"sqlite:///{given.work}/mlflow.db"
    ours = ["--name", MODEL, "--tracking-uri", store]
    files = corpora(given.work, given.few, given.many, given.tests)

    def run(name: str) -> None:
        keys = [f"name={name}", f"work={given.work}", f"data.path={files[name]}", f"registry.tracking_uri={store}"]
        sets = [word for key in (*keys, *given.set) for word in ("--set", key)]
        command("penchant-train", "run", CONFIG, *sets)

    print(f"# A first model, from {given.few} labelled passages. It clears the floors and becomes champion.")
    run("first")
    print(f"\n# There are {given.many} by now, but whoever labelled the new ones read the scale upside down: refused.")
    run("spoiled")
    print("\n# The same passages with their labels put right: better, so promoted.")
    run("grown")
    print("\n# Somebody finds the new champion wrong on their texts. The former one comes back in one command.")
    command("penchant-train", "rollback", "--reason", "wrong on customs texts", *ours)
    print("\n# The ledger has it all.")
    command("penchant-train", "history", *ours)
    print("\n# Scoring asks for the champion by name; the manifest says which version that was.")
    os.environ["MLFLOW_TRACKING_URI"] = store
    articles = ROOT / "examples" / "articles" / "depeches-solaire-et-messageries.csv"
    output = given.work / "scores"
    model = f"models:/{MODEL}@champion"
    command("penchant", "score", articles, "--model", model, "--output", output, "--overwrite", "--underline", "0")
    show_model(output / "manifest.json")


if __name__ == "__main__":
    main()
