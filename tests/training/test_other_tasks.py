"""Other people's tasks by configuration alone: each shipped YAML is run on small invented data, to the scored rows."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from inference.classifier import Classifier
from inference.job import score_articles
from inference.settings import ScoreSettings
from inference.writer import read_part
from tests.training.learnable_corpus import corpus_rows, write_corpus
from training.config import RunConfig, load_run_config
from training.corpus import load_examples
from training.run import run

CONFIGS = Path(__file__).parents[2] / "configs" / "train"
ROWS = 198
TEXTS = ["La filière réclame les quotas mardi.", "Un armateur dénonce l'embargo avec colère."]
SPLITS = {"unseen": "test", "seen": "train", "contrast": "train"}

Row = dict[str, Any]


def rows_for_tests() -> list[Row]:
    """The learnable corpus with the one test split that most people have."""
    return [{**row, "split": SPLITS.get(row["split"], row["split"])} for row in corpus_rows(ROWS)]


def targets(folder: Path) -> Path:
    """A target and a text that is for it or against it."""
    made = []
    for row in rows_for_tests():
        verdict = "contre" if row["stance"] == "pro-restriction" else "pour"
        text = f"{row['text']} Verdict de {row['id']} : {'rejet' if verdict == 'contre' else 'accord'}."
        target, story = f"la licence {row['group']}", row["id"].partition("-")[0]
        kept = {"id": row["id"], "text": text, "target": target, "avis": verdict}
        made.append({**kept, "story": story, "split": row["split"]})
    return write_corpus(folder / "targets.jsonl", made)


def spreadsheet(folder: Path) -> Path:
    """Quotation marks in every text."""
    path = folder / "courriers.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["n°", "corps du message", "priorité", "dossier", "service"])
        priorities = {"pro-easing": "basse", "neutral": "normale", "pro-restriction": "haute"}
        for row in corpus_rows(ROWS):
            text = f'{row["text"]} Objet : « réponse, dit "{row["id"]}" »'
            writer.writerow([row["id"], text, priorities[row["stance"]], row["group"], row["genre"]])
    return path


def saved(folder: Path) -> Path:
    """Class numbers in an order that is not the configuration's."""
    names = ["for", "neither", "against"]
    classes = {"pro-easing": 0, "neutral": 1, "pro-restriction": 2}
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=names), "story": Value("string")})
    parts: dict[str, list[Row]] = {}
    for row in rows_for_tests():
        content = {"sentence": row["text"], "label": classes[row["stance"]], "story": row["group"]}
        parts.setdefault(row["split"], []).append(content)
    parts["train"].append({"sentence": "Sans avis, le port attend un dossier de plus.", "label": -1, "story": "seul"})
    whole = DatasetDict({split: Dataset.from_list(rows, features=features) for split, rows in parts.items()})
    whole.save_to_disk(str(folder / "saved-dataset"))
    return folder / "saved-dataset"


def our_columns(folder: Path) -> Path:
    """The corpus contract's columns."""
    return write_corpus(folder / "corpus.jsonl", corpus_rows(ROWS))


CASES: dict[str, tuple[Callable[[Path], Path], dict[str, list[str]]]] = {
    "target-stance": (targets, {"position": ["against", "for"]}),
    "sentiment": (our_columns, {"sentiment": ["negative", "neutral", "positive"]}),
    "camembert": (
        our_columns,
        {"stance": ["pro-easing", "neutral", "pro-restriction"], "sentiment": ["negative", "neutral", "positive"]},
    ),
    "other-columns": (spreadsheet, {"urgency": ["calm", "urgent"]}),
    "datasets-folder": (saved, {"stance": ["against", "neither", "for"]}),
}


def configure(name: str, folder: Path, encoder: Path) -> RunConfig:
    """The shipped YAML with what a test must change: data, encoder, place, size."""
    changes = {
        "data.path": CASES[name][0](folder),
        "model.encoder": encoder,
        "model.max_length": 48,
        "work": folder / "runs",
        "threads": 1,
        "train.epochs": 1,
        "train.bf16": "false",
        "registry.tracking_uri": f"sqlite:///{folder}/mlflow.db",
        "registry.register_model": "false",
    }
    return load_run_config(CONFIGS / f"{name}.yaml", [f"{key}={value}" for key, value in changes.items()])


@pytest.mark.parametrize("name", CASES)
def test_other_task_labels_are_its_own_in_every_row(name: str, small_encoder: Path, tmp_path: Path) -> None:
    tasks = CASES[name][1]
    result = run(configure(name, tmp_path, small_encoder), lambda line: None)
    assert result.bundle is not None
    for file in ("config.json", "penchant.json"):
        assert "LABEL_" not in (result.bundle / file).read_text(encoding="utf-8")
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    settings = ScoreSettings(unit="passage", format="jsonl", threads=1, underlined_passages=0)
    job = score_articles([source], tmp_path / "out", model=result.bundle, settings=settings)
    assert job.manifest["model"]["tasks"] == tasks
    for table, prefix in (("passages", ""), ("articles", "share_")):
        rows = read_part(job.output / table / "part-00000.jsonl")
        assert len(rows) == len(TEXTS)
        for row in rows:
            for task, labels in tasks.items():
                assert row[task] in (*labels, "mixed")
                shares = [row[f"{prefix}{task}_{label.replace('-', '_')}"] for label in labels]
                assert sum(shares) == pytest.approx(1, abs=1e-3)
        assert "LABEL_" not in json.dumps(rows)
    assert "LABEL_" not in (job.output / "report.html").read_text(encoding="utf-8")
    pairs = ["les quotas"] * len(TEXTS) if name == "target-stance" else None
    for prediction in Classifier.load(result.bundle, threads=1).predict(TEXTS, pairs):
        assert {task: list(found) for task, found in prediction.probabilities.items()} == tasks


def test_other_task_gold_is_what_the_data_says(small_encoder: Path, tmp_path: Path) -> None:
    """Renamed values, class numbers in another order, a row without a label."""
    stances = Counter(row["stance"] for row in corpus_rows(ROWS))
    easing, neutral, restriction = (stances[label] for label in ("pro-easing", "neutral", "pro-restriction"))
    expected = {
        "target-stance": {"against": restriction, "for": easing + neutral},
        "other-columns": {"urgent": restriction, "calm": easing + neutral},
        "datasets-folder": {"for": easing, "neither": neutral, "against": restriction, None: 1},
    }
    for name, counts in expected.items():
        config = configure(name, tmp_path, small_encoder)
        ((task, content),) = config.tasks.items()
        rows = [row for part in load_examples(config).values() for row in part]
        found = Counter(None if row.gold[task] < 0 else content.labels[row.gold[task]] for row in rows)
        assert found == counts
        assert all((row.pair is not None) == (name == "target-stance") for row in rows)
