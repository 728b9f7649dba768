"""How faithful `penchant explain` is: leaving out its top words against leaving out as many random ones.

    python benchmarks/faithfulness.py [--data training/corpus/validation.jsonl] [--rows 40] [--seed 0]

Prints, per task and number of words left out, by how much the label's probability falls (comprehensiveness, DeYoung et
al. 2020, "ERASER"), with a 95 % bootstrap interval over passages, and how often the label changes. Random words are the
mean of five draws of as many words. Shares and ratios only: no times.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from inference.classifier import Classifier
from inference.explain import DRAWS, explain, without, word_spans

ROOT = Path(__file__).parents[1]
TOPS = (1, 3, 5)
RESAMPLES = 2_000
#: Columns of what a passage gives: fall and change of label, by the named words and by random ones.
Measured = npt.NDArray[np.float64]


def measure(classifier: Classifier, texts: list[str], task: str, seed: int) -> dict[int, Measured]:
    """Per number of words, an array of shape (texts, 4): fall by named, by random words; label changed by each."""
    random = Random(seed)
    rows: dict[int, list[list[float]]] = {top: [] for top in TOPS}
    for text in texts:
        explanation = explain(classifier, text, task)
        read = text[: explanation.read]
        spans = [(word.start, word.end) for word in explanation.words]
        ranked = [(word.start, word.end) for word in sorted(explanation.words, key=lambda word: -word.pull)]
        variants = [
            without(read, chosen)
            for top in TOPS
            for chosen in (ranked[:top], *(random.sample(spans, top) for _ in range(DRAWS)))
        ]
        told = classifier.predict(variants)
        for place, top in enumerate(TOPS):
            block = told[place * (1 + DRAWS) : (place + 1) * (1 + DRAWS)]
            left = [said.probabilities[task][explanation.label] for said in block]
            changed = [float(said[task] != explanation.label) for said in block]
            falls = [explanation.probability - left[0], explanation.probability - float(np.mean(left[1:]))]
            rows[top].append([*falls, changed[0], float(np.mean(changed[1:]))])
    return {top: np.array(found) for top, found in rows.items()}


def interval(values: Measured, seed: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean."""
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def read_texts(data: Path, rows: int, seed: int) -> list[str]:
    """A sample of the texts of ``data`` that have more words than are ever left out."""
    texts = [json.loads(line)["text"] for line in data.read_text(encoding="utf-8").splitlines()]
    texts = [text for text in texts if len(word_spans(text)) > max(TOPS)]
    return Random(seed).sample(texts, min(rows, len(texts)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None, help="model folder; default: the shipped one")
    parser.add_argument("--data", type=Path, default=ROOT / "training" / "corpus" / "validation.jsonl")
    parser.add_argument("--rows", type=int, default=40, help="passages drawn from the data")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    classifier = Classifier.load(options.model)
    texts = read_texts(options.data, options.rows, options.seed)
    print(f"{classifier.bundle.name}, {len(texts)} passages of {options.data.name}, seed {options.seed}")
    print("| task | words left out | fall, top words | fall, random words | difference | label changes, top / random |")
    print("| --- | --- | --- | --- | --- | --- |")
    for task in classifier.tasks:
        for top, found in measure(classifier, texts, task.name, options.seed).items():
            named, drawn, changed, by_chance = found.mean(axis=0)
            low, high = interval(found[:, 0] - found[:, 1], options.seed)
            difference = f"{named - drawn:.3f} ({low:.3f}–{high:.3f})"
            print(
                f"| {task.name} | {top} | {named:.3f} | {drawn:.3f} | {difference} | {changed:.0%} / {by_chance:.0%} |"
            )


if __name__ == "__main__":
    main()
