"""The errors a model is surest of, with their texts: what to read before writing more corpus or changing the model.

Those of the tests are reported and never learnt from; those of validation are there to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.calibrate import Calibration
from training.corpus import Example
from training.evaluate import Report, worst_errors
from training.metrics import Scored

#: Characters of a text that a table shows.
SHOWN = 400


def excerpt(text: str, length: int = SHOWN) -> str:
    """The text on one line, cut at a word with an ellipsis where it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length].rsplit(" ", 1)[0] + " …"


def add_texts(rows: Sequence[dict[str, Any]], examples: Sequence[Example]) -> None:
    """Give each row of errors the excerpt of its example's text, by id."""
    texts = {example.id: example.text for example in examples}
    for row in rows:
        row["text"] = excerpt(texts[row["id"]])


def add_worst_errors(
    report: Report,
    splits: Mapping[str, Sequence[Example]],
    validation: str,
    scored: Scored,
    calibration: Calibration,
) -> None:
    """Texts for the worst errors of the report's splits, and those of validation under ``validation_errors``."""
    for split, content in report["splits"].items():
        for found in content["tasks"].values():
            add_texts(found.get("worst", []), splits[split])
    known = [task for task in scored.tasks if (scored.gold[task] >= 0).any()]
    report["validation_errors"] = {task: worst_errors(scored, task, calibration.temperatures[task]) for task in known}
    for rows in report["validation_errors"].values():
        add_texts(rows, splits[validation])
