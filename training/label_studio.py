"""Label Studio's JSON, out and in: tasks with a model's predictions and the form; annotators' answers to corpus rows.

Format: the import and export of Label Studio 1.x ("JSON", not "JSON-MIN", which drops who answered what).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from inference.writer import atomic
from training.corpus import CorpusError

#: The object that choices are about, and where its text stands.
TEXT = "text"
#: The columns of a task's data that go into the row as they are.
CARRIED = ("topic", "title", "date", "source", "article", "position", "chosen_by")


def text_digest(text: str) -> str:
    """SHA-256 of a text's UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def labeling_config(tasks: Mapping[str, Sequence[str]]) -> str:
    """The form as Label Studio's XML: the title, the passage, one choice a task."""
    lines = ["<View>", '  <Header value="$title"/>', f'  <Text name="{TEXT}" value="$text"/>']
    for task, labels in tasks.items():
        lines.append(f"  <Header value={quoteattr(task)}/>")
        how = f'toName="{TEXT}" choice="single-radio" required="true" showInline="true"'
        lines.append(f"  <Choices name={quoteattr(task)} {how}>")
        lines += [f"    <Choice value={quoteattr(label)}/>" for label in labels]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>", ""])


def choice(task: str, label: str) -> dict[str, Any]:
    """One answer, as predictions and annotations hold it."""
    return {"from_name": task, "to_name": TEXT, "type": "choices", "value": {"choices": [label]}}


def to_task(data: Mapping[str, Any], probabilities: Mapping[str, Mapping[str, float]], model: str) -> dict[str, Any]:
    """A task for Label Studio: the ``data``, and the model's best label of each task as a prediction.

    The prediction's score is the lowest of the labels' probabilities, by which Label Studio can sort.
    """
    best = {task: max(shares, key=shares.__getitem__) for task, shares in probabilities.items()}
    result = [choice(task, label) for task, label in best.items()]
    score = min(probabilities[task][label] for task, label in best.items())
    # The form shows a title, and Label Studio refuses a task that lacks what the form shows.
    return {"data": {"title": "", **data}, "predictions": [{"model_version": model, "score": score, "result": result}]}


@dataclass(frozen=True)
class Imported:
    """Answers as corpus rows.

    ``rows`` have a settled label for every task that anybody answered; ``open`` are rows whose annotators differ with
    no majority and no ground truth, as they are but for the label; ``disagreements`` names every item on which two
    differ, with who said what. ``unanswered`` counts tasks that nobody answered.
    """

    rows: list[dict[str, Any]]
    open: list[dict[str, Any]]
    disagreements: list[dict[str, Any]]
    unanswered: int
    agreement: dict[str, dict[str, Any]]


def read_record(exported: Path) -> dict[str, Any]:
    """The record of an export. Raises CorpusError."""
    path = exported / "export.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record["tasks"], dict) or not isinstance(record["texts"], dict):
            raise TypeError("tasks or texts")
    except OSError as error:
        raise CorpusError(
            f"{exported} holds no export.json ({error.strerror}); give the folder that annotate export wrote"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{path} is no record of an export ({error!r}); export again") from error
    return record


def read_answers(path: Path) -> list[dict[str, Any]]:
    """The items of a Label Studio export. Raises CorpusError for what is not its JSON."""
    try:
        items: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CorpusError(f"{path} is not JSON ({error}); export from Label Studio as JSON") from error
    shaped = isinstance(items, list) and all(
        isinstance(item, dict)
        and isinstance(item.get("data"), dict)
        and isinstance(item.get("annotations"), list)
        and all(isinstance(one, dict) for one in item["annotations"])
        for item in items
    )
    if not shaped:
        raise CorpusError(f"{path} is no list of annotated tasks; export from Label Studio as JSON, not as JSON-MIN")
    answered: list[dict[str, Any]] = items
    return answered


def import_rows(
    items: Iterable[Mapping[str, Any]],
    record: Mapping[str, Any],
    *,
    split: str | None = None,
    author: str = "job",
    genre: str | None = None,
) -> Imported:
    """Turn answers into corpus rows; ``record`` is that of the export they answer.

    A label is settled where an annotation is marked as ground truth, else by more than half of the annotators. Of two
    annotations by one annotator the later counts; cancelled ones do not. Raises CorpusError for an item that was not
    exported or whose text is not the exported one to the letter, and for a label that the export does not have.
    """
    tasks: Mapping[str, Sequence[str]] = record["tasks"]
    rows: list[dict[str, Any]] = []
    undecided: list[dict[str, Any]] = []
    disagreements: list[dict[str, Any]] = []
    unanswered, seen = 0, set()
    for item in items:
        data = item["data"]
        identity = str(data.get("id"))
        expected = record["texts"].get(identity)
        if expected is None:
            raise CorpusError(f"item {identity!r} was not exported here; give the folder that it was exported to")
        if identity in seen:
            raise CorpusError(f"item {identity!r} stands there twice; merge its annotations in Label Studio")
        seen.add(identity)
        text = data.get("text")
        if not isinstance(text, str) or text_digest(text) != expected:
            raise CorpusError(f"the text of item {identity!r} is not what was exported; put it back, or drop it")
        answers, truth = _answers(item["annotations"], tasks, identity)
        if not answers:
            unanswered += 1
            continue
        row: dict[str, Any] = {"id": identity, "text": text}
        unsettled = False
        for task in tasks:
            given = [answer[task] for answer in answers if task in answer]
            label = truth.get(task) or _majority(given)
            row[task] = label
            if len(set(given)) > 1:
                said = {answer["annotator"]: answer[task] for answer in answers if task in answer}
                disagreements.append({"id": identity, "task": task, "said": said, "settled": label, "text": text})
            unsettled = unsettled or (label is None and bool(given))
        row |= {name: data[name] for name in CARRIED if data.get(name) not in (None, "")}
        row |= {"genre": genre} if genre else {}
        row |= {"source_kind": "article", "author": author, "annotators": answers}
        row["group"] = f"article-{data.get('article', identity)}"
        row |= {"split": split} if split else {}
        (undecided if unsettled else rows).append(row)
    everyone = [*rows, *undecided]
    agreement = {task: agreement_of([row["annotators"] for row in everyone], task) for task in tasks}
    return Imported(rows, undecided, disagreements, unanswered, agreement)


def _answers(
    annotations: Iterable[Mapping[str, Any]], tasks: Mapping[str, Sequence[str]], identity: str
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The labels by annotator, in the order of their names, and those marked as ground truth."""
    kept: dict[str, dict[str, str]] = {}
    truth: dict[str, str] = {}
    later = sorted(annotations, key=lambda one: (str(one.get("updated_at") or ""), str(one.get("id") or "")))
    for annotation in later:
        if annotation.get("was_cancelled"):
            continue
        labels = _labels(annotation.get("result") or [], tasks, identity)
        if not labels:
            continue
        kept[_annotator(annotation.get("completed_by"))] = labels
        if annotation.get("ground_truth"):
            truth |= labels
    return [{"annotator": name, **kept[name]} for name in sorted(kept)], truth


def _annotator(who: Any) -> str:
    """Label Studio gives a number, or with some plans an object with an e-mail address, which stays out of corpora."""
    number = who.get("id") if isinstance(who, Mapping) else who
    return f"annotator-{number}"


def _labels(results: Iterable[Mapping[str, Any]], tasks: Mapping[str, Sequence[str]], identity: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    for result in results:
        task = str(result.get("from_name"))
        chosen = (result.get("value") or {}).get("choices") or []
        if task not in tasks or not chosen:
            continue
        if len(chosen) != 1 or chosen[0] not in tasks[task]:
            raise CorpusError(f"item {identity!r}: {task} is {chosen}, which is not one of {list(tasks[task])}")
        labels[task] = chosen[0]
    return labels


def _majority(labels: Sequence[str]) -> str | None:
    """The label that more than half gave; None where there is none."""
    if not labels:
        return None
    label, count = Counter(labels).most_common(1)[0]
    return label if 2 * count > len(labels) else None


def agreement_of(annotators: Iterable[Sequence[Mapping[str, str]]], task: str) -> dict[str, Any]:
    """Krippendorff's alpha for nominal labels of any number of annotators, and the share of pairs that agree.

    ``items`` counts those that at least two answered; both figures are None without one, and alpha is None where only
    one label was ever given, since chance then explains everything (Krippendorff 2011).
    """
    within, total = 0.0, 0.0
    marginals: Counter[str] = Counter()
    items = 0
    for answers in annotators:
        counts = Counter(answer[task] for answer in answers if task in answer)
        size = counts.total()
        if size < 2:
            continue
        items += 1
        marginals += counts
        total += size
        within += sum(count * (count - 1) for count in counts.values()) / (size - 1)
    if not items:
        return {"items": 0, "alpha": None, "pairs_agree": None}
    by_chance = total * (total - 1) - sum(count * (count - 1) for count in marginals.values())
    alpha = None if not by_chance else 1 - (total - 1) * (total - within) / by_chance
    return {"items": items, "alpha": alpha, "pairs_agree": within / total}


def import_answers(
    exported: Path,
    answers: Path,
    output: Path,
    *,
    split: str | None = None,
    author: str = "job",
    genre: str | None = None,
) -> Imported:
    """Read Label Studio's JSON export, check it against the folder it was ``exported`` to, and write corpus rows.

    Beside ``output`` (``rows.jsonl``) lie ``rows.open.jsonl``, rows to be settled, and ``rows.disagreements.jsonl``.
    Raises CorpusError, and writes nothing then.
    """
    found = import_rows(read_answers(answers), read_record(exported), split=split, author=author, genre=genre)
    files = {"": found.rows, ".open": found.open, ".disagreements": found.disagreements}
    for middle, rows in files.items():
        with atomic(output.with_name(f"{output.stem}{middle}{output.suffix}")) as file:
            file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    return found
