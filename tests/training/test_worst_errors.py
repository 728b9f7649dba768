"""The surest errors come with what a reader needs to learn from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.calibrate import Calibration
from training.corpus import Example
from training.evaluate import evaluate
from training.evaluation_markdown import to_markdown
from training.metrics import Resampling, Scored
from training.worst_errors import add_worst_errors, excerpt

LABELS = ("against", "neutral", "for")


def rows(split: str) -> tuple[list[Example], Scored]:
    """Six rows; row 1 is wrong and sure, row 4 wrong and in doubt."""
    gold = [0, 1, 2, 0, 1, 2]
    logits = np.eye(3)[gold] * 4.0
    logits[1], logits[4] = [6.0, 0.0, 0.0], [0.0, 0.9, 1.0]
    examples = [
        Example(f"{split}{row}", f"Le passage {row}\n de {split}.", None, f"{split}{row}", split, {"stance": code}, {})
        for row, code in enumerate(gold)
    ]
    ids = [example.id for example in examples]
    facets: dict[str, list[str | None]] = {"phenomenon": [None, "irony", None, None, None, None]}
    return examples, Scored(ids, ids, facets, {"stance": np.array(gold)}, {"stance": logits}, {"stance": LABELS})


@pytest.fixture
def report() -> dict[str, object]:
    test, validation = rows("test"), rows("validation")
    calibration = Calibration({"stance": 1.0}, {"stance": 0.0}, 0.2, 0.9, {"stance": 1.0}, {"stance": 0.7})
    found = evaluate({"test": test[1]}, calibration, how=Resampling(resamples=20))
    splits = {"test": test[0], "validation": validation[0]}
    add_worst_errors(found, splits, "validation", validation[1], calibration)
    return found


def test_worst_errors_come_surest_first_with_their_texts(report: dict[str, object]) -> None:
    errors = report["validation_errors"]["stance"]  # type: ignore[index]  # a report is plain nested values
    assert [row["id"] for row in errors] == ["validation1", "validation4"]
    assert errors[0]["text"] == "Le passage 1 de validation."
    assert (errors[0]["gold"], errors[0]["predicted"], errors[0]["phenomenon"]) == ("neutral", "against", "irony")


def test_worst_errors_stand_in_the_markdown(report: dict[str, object]) -> None:
    text = to_markdown(report)
    assert "## validation: stance, most confident errors" in text
    assert "| validation1 | neutral | against | 0.995 | irony | Le passage 1 de validation. |" in text
    assert "Le passage 1 de test." in text


@given(text=st.text(max_size=200), length=st.integers(5, 60))
def test_worst_errors_excerpts_are_one_short_line(text: str, length: int) -> None:
    cut = excerpt(text, length)
    assert len(cut.splitlines()) <= 1
    assert len(cut) <= length + 2
