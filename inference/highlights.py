"""The words that pull most in a job's passages: found once, kept beside the rows, underlined in the report.

The method is :func:`inference.explain.explain`: each word of a passage is left out in turn. It costs one model row a
word, some fifty times as much as scoring the passage did, so that only the passages that carry an article's stance are
explained and a cap bounds their number. What was found lies in ``highlights.json`` beside the rows, which stay as they
are; a passage that is in it is not explained again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inference.report_articles import Entry, own_text
from inference.report_data import Job, ReportError
from inference.writer import Row, atomic

if TYPE_CHECKING:
    from inference.classifier import Classifier
    from inference.explain import Explanation

FILE = "highlights.json"
METHOD = "leave-one-out occlusion, log-odds of the label"
#: At most so many words of a passage are underlined ...
WORDS = 5
#: ... and none whose pull is under this share of the passage's strongest, or under this many log-odds.
FAINT_SHARE, FAINT_PULL = 0.25, 0.1

#: A word of a passage, ``text[start:end]``, and its pull in log-odds: towards the label above 0, away from it below.
Mark = tuple[int, int, float]
#: The underlined words of passages, by :func:`text_key`; a passage in which no word stands out has an empty list.
Highlights = dict[str, list[Mark]]


def text_key(text: str) -> str:
    """What a passage is known by in ``highlights.json``."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def read_highlights(job: Job) -> Highlights:
    """What was found for ``job`` before; nothing where the file is missing, damaged, or of another model."""
    try:
        content: dict[str, Any] = json.loads((job.output / FILE).read_text(encoding="utf-8"))
        if [content["model"], content["task"], content["method"]] != [*_origin(job).values()]:
            return {}
        return {
            key: [(int(start), int(end), float(pull)) for start, end, pull in marks]
            for key, marks in content["passages"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # it can be found again; the report goes without until then


def find_highlights(job: Job, entries: Sequence[Entry], classifier: Classifier, cap: int) -> Highlights:
    """Explain the passages of :func:`choose` that are not known yet, keep what is found, and return all that is known.

    Raises ReportError where ``classifier`` is not the model that scored the job.
    """
    if classifier.bundle.digest != job.manifest["model"]["sha256"]:
        scored = f"{job.manifest['model']['name']}@{job.manifest['model']['sha256'][:12]}"
        raise ReportError(
            f"{job.output} was scored by {scored}, not by {classifier.bundle.name}@{classifier.bundle.digest[:12]}; "
            "give --model the folder that scored it"
        )
    known = read_highlights(job)
    fresh = {
        text_key(text): (text, row[job.main.name])
        for row in choose(job, entries, cap)
        if text_key(text := own_text(row)) not in known
    }
    if fresh:
        known |= {key: _marks(classifier, text, job.main.name, label) for key, (text, label) in fresh.items()}
        content = {**_origin(job), "passages": known}
        with atomic(job.output / FILE) as file:
            file.write(json.dumps(content, separators=(",", ":"), sort_keys=True).encode() + b"\n")
    return known


def choose(job: Job, entries: Sequence[Entry], cap: int) -> list[Row]:
    """Up to ``cap`` passages worth explaining: each article's surest first, then each one's second, and so on.

    Left out are passages that the model abstained on or read only in part, and, where the labels have an axis, those
    off it: a neutral passage pulls nowhere.
    """
    main = job.main
    ends = job.axes.get(main.name, main.labels)
    ranked: list[tuple[int, int, Row]] = []
    for entry in entries:
        fit = [
            row
            for row in entry.passages or []
            if row[main.name] in ends and not row["abstained"] and not row["truncated_tokens"]
        ]
        fit.sort(key=lambda row: (-row[main.column(row[main.name])], row["passage_index"]))
        ranked += [(rank, entry.number, row) for rank, row in enumerate(fit)]
    ranked.sort(key=lambda found: found[:2])
    return [row for _, _, row in ranked[:cap]]


def strongest(explanation: Explanation) -> list[Mark]:
    """The words of an explanation that are worth a line under them, in reading order."""
    words = explanation.strongest(WORDS)
    least = max(FAINT_PULL, FAINT_SHARE * abs(words[0].pull)) if words else 0.0
    return sorted((word.start, word.end, round(word.pull, 2)) for word in words if abs(word.pull) >= least)


def _marks(classifier: Classifier, text: str, task: str, label: str) -> list[Mark]:
    from inference.explain import ExplainError, explain

    try:
        explanation = explain(classifier, text, task)
    except ExplainError:  # a passage of signs alone
        return []
    return strongest(explanation) if explanation.label == label else []


def _origin(job: Job) -> dict[str, str]:
    return {"model": job.manifest["model"]["sha256"], "task": job.main.name, "method": METHOD}
