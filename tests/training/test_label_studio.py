"""Label Studio's answers become corpus rows: every text to the letter, every annotator kept, no disagreement hidden."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import Columns, TaskConfig
from training.corpus import CorpusError, to_examples
from training.label_studio import (
    agreement_of,
    choice,
    import_answers,
    import_rows,
    labeling_config,
    read_answers,
    text_digest,
    to_task,
)

TASKS = {"stance": ["pro-easing", "neutral", "pro-restriction"], "ton": ["sec", "chaud"]}
TEXT = "Le syndicat juge les quotas « inutiles » ;\nil le répète — sans détour."


def record_of(texts: dict[str, str]) -> dict[str, Any]:
    return {"tasks": TASKS, "texts": {name: text_digest(text) for name, text in texts.items()}}


def answer(who: Any, labels: dict[str, str], **more: Any) -> dict[str, Any]:
    result = [choice(task, label) for task, label in labels.items()]
    return {"id": 1, "completed_by": who, "was_cancelled": False, "result": result, **more}


def item(*answers: dict[str, Any], identity: str = "a1#0", text: str = TEXT, **data: Any) -> dict[str, Any]:
    return {"id": 7, "data": {"id": identity, "text": text, **data}, "annotations": list(answers), "predictions": []}


def labels(stance: str, tone: str = "sec") -> dict[str, str]:
    return {"stance": stance, "ton": tone}


ONE = record_of({"a1#0": TEXT})

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
answers_of_one = st.fixed_dictionaries({task: st.sampled_from(names) for task, names in TASKS.items()})


@given(st.lists(st.tuples(texts, answers_of_one, st.integers(1, 4)), min_size=1, max_size=8))
def test_label_studio_round_trip_keeps_text_and_labels(made: list[tuple[str, dict[str, str], int]]) -> None:
    known = {f"a{number}#0": text for number, (text, _, _) in enumerate(made)}
    shares = {task: {name: 1 / len(names) for name in names} for task, names in TASKS.items()}
    tasks = [to_task({"id": name, "text": text}, shares, "petit@1") for name, text in known.items()]
    sent = json.loads(json.dumps(tasks, ensure_ascii=False))
    for task, (_, said, annotators) in zip(sent, made, strict=True):
        task["annotations"] = [answer(who, said) for who in range(annotators)]
    found = import_rows(json.loads(json.dumps(sent)), record_of(known), split="train")
    assert [row["text"] for row in found.rows] == [text for text, _, _ in made]
    assert [{task: row[task] for task in TASKS} for row in found.rows] == [said for _, said, _ in made]
    assert [len(row["annotators"]) for row in found.rows] == [annotators for _, _, annotators in made]
    assert (found.open, found.disagreements, found.unanswered) == ([], [], 0)
    tasks_of = {task: TaskConfig(labels=names) for task, names in TASKS.items()}
    examples = to_examples(found.rows, tasks_of, Columns(), [], "ici")
    assert [row.text for row in examples] == [text for text, _, _ in made]
    assert {row.split for row in examples} == {"train"}


@given(st.dictionaries(texts, st.lists(texts, min_size=2, unique=True), min_size=1, max_size=3))
def test_label_studio_form_is_xml_whatever_the_labels(tasks: dict[str, list[str]]) -> None:
    def printable(name: str) -> bool:
        return all(sign in "\t\n\r" or " " <= sign <= "\ud7ff" or "\ue000" <= sign <= "\ufffd" for sign in name)

    kept = {task: names for task, names in tasks.items() if printable(task) and all(printable(name) for name in names)}
    found = ET.fromstring(labeling_config(kept)).iter("Choices")
    assert {one.get("name"): [label.get("value") for label in one] for one in found} == kept


def test_label_studio_majority_settles_and_the_rest_stays_open() -> None:
    two_of_three = item(answer(1, labels("neutral")), answer(2, labels("pro-easing")), answer(3, labels("neutral")))
    found = import_rows([two_of_three], ONE)
    assert found.rows[0]["stance"] == "neutral"
    assert [one["annotator"] for one in found.rows[0]["annotators"]] == ["annotator-1", "annotator-2", "annotator-3"]
    (differ,) = found.disagreements
    said = {"annotator-1": "neutral", "annotator-2": "pro-easing", "annotator-3": "neutral"}
    assert differ == {"id": "a1#0", "task": "stance", "said": said, "settled": "neutral", "text": TEXT}
    level = import_rows([item(answer(1, labels("neutral")), answer(2, labels("pro-easing")))], ONE)
    assert level.rows == []
    assert level.open[0]["stance"] is None
    assert level.open[0]["ton"] == "sec"
    assert level.disagreements[0]["settled"] is None


def test_label_studio_ground_truth_settles() -> None:
    answers = [answer(1, labels("neutral")), answer(2, labels("neutral")), answer(9, labels("pro-easing"))]
    answers[2]["ground_truth"] = True
    found = import_rows([item(*answers)], ONE)
    assert found.rows[0]["stance"] == "pro-easing"
    assert found.disagreements[0]["settled"] == "pro-easing"


def test_label_studio_cancelled_and_corrected_answers_do_not_count() -> None:
    answers = [
        answer(1, labels("pro-easing"), updated_at="2026-03-02T10:00:00Z"),
        answer(1, labels("neutral"), updated_at="2026-03-01T10:00:00Z"),
        answer(2, labels("neutral"), was_cancelled=True),
        answer({"id": 3, "email": "quelqu.un@exemple.fr"}, {"stance": "pro-easing"}),
    ]
    found = import_rows([item(*answers), item(identity="a2#0")], record_of({"a1#0": TEXT, "a2#0": TEXT}))
    assert found.rows[0]["annotators"] == [
        {"annotator": "annotator-1", "stance": "pro-easing", "ton": "sec"},
        {"annotator": "annotator-3", "stance": "pro-easing"},
    ]
    assert "exemple.fr" not in json.dumps(found.rows)
    assert found.unanswered == 1


def test_label_studio_row_carries_what_the_task_knew() -> None:
    data = {
        "article": "a1",
        "position": 0,
        "title": "Titre",
        "source": "Agence Bleue",
        "chosen_by": "margin",
        "topic": "",
    }
    (row,) = import_rows([item(answer(1, labels("neutral")), **data)], ONE, genre="agency", split="train").rows
    assert (row["group"], row["article"], row["position"], row["source"]) == ("article-a1", "a1", 0, "Agence Bleue")
    assert (row["genre"], row["split"], row["chosen_by"], row["source_kind"]) == (
        "agency",
        "train",
        "margin",
        "article",
    )
    assert "topic" not in row


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([item(answer(1, labels("neutral")), text=TEXT.replace("—", "-"))], "is not what was exported"),
        ([item(answer(1, labels("neutral")), identity="a9#0")], "was not exported here"),
        ([item(answer(1, labels("neutral")))] * 2, "stands there twice"),
        ([item(answer(1, {"stance": "easing"}))], "stance is ['easing'], which is not one of"),
    ],
)
def test_label_studio_answers_to_something_else_are_refused(items: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(CorpusError) as caught:
        import_rows(items, ONE)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ('{"data": 1}', "not as JSON-MIN"),
        ('[{"text": "x", "stance": "neutral"}]', "not as JSON-MIN"),
        ('[{"data": {}, "annotations": [3]}]', "not as JSON-MIN"),
        (None, "cannot be read"),
    ],
)
def test_label_studio_file_of_another_form_is_one_line(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "answers.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=said):
        read_answers(path)


def test_label_studio_import_needs_the_record(tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text("[]", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"holds no export\.json"):
        import_answers(tmp_path, tmp_path / "answers.json", tmp_path / "rows.jsonl")
    (tmp_path / "export.json").write_text('{"tasks": {}}', encoding="utf-8")
    with pytest.raises(CorpusError, match="is no record of an export"):
        import_answers(tmp_path, tmp_path / "answers.json", tmp_path / "rows.jsonl")
    assert not (tmp_path / "rows.jsonl").exists()


def test_label_studio_alpha_is_krippendorffs() -> None:
    """The worked example of "Computing Krippendorff's Alpha-Reliability" (2011): nominal data, four observers."""
    observers = ["123321412***", "1233224125*3", "*3332342251*", "12332441251*"]
    assert figure(observers) == pytest.approx(0.743, abs=5e-4)


def figure(observers: Sequence[str]) -> float:
    units = [
        [{"annotator": str(who), "t": value} for who, value in enumerate(unit) if value != "*"]
        for unit in zip(*observers, strict=True)
    ]
    alpha: float = agreement_of(units, "t")["alpha"]
    return alpha


def test_label_studio_agreement_without_pairs_or_variety() -> None:
    one = [{"annotator": "1", "t": "a"}]
    assert agreement_of([one], "t") == {"items": 0, "alpha": None, "pairs_agree": None}
    both = [{"annotator": "1", "t": "a"}, {"annotator": "2", "t": "a"}]
    assert agreement_of([both, one], "t") == {"items": 1, "alpha": None, "pairs_agree": 1.0}
    assert figure(["ab", "ba"]) < 0
    assert figure(["ab", "ab"]) == 1
