"""Passages worth labelling: where the model is unsure, of every source, no two alike, the same ones each time."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from inference.report_data import ReportError
from tests.inference.report_jobs import TASKS, Story, Told, make_job
from tests.training.learnable_corpus import SYLLABLES
from training.annotate import Passage, Wishes, choose, export_tasks, uncertainty
from training.cli import app
from training.corpus import CorpusError
from training.label_studio import text_digest

SOURCES = ["Le Journal du Zinc", "Agence Bleue", "La Gazette du Quai", None]


def sentence(random: Random, words: int = 14) -> str:
    """Words of no language: no two are alike."""
    return " ".join("".join(random.choice(SYLLABLES) for _ in range(3)) for _ in range(words)).capitalize() + "."


def stories(count: int = 24, seed: int = 0) -> list[Story]:
    """Articles of three passages; the first source has half of them, some have none; each less sure than the last."""
    random = Random(seed)
    made = []
    for number in range(count):
        sure = 0.95 - 0.45 * number / count
        rest = 1 - sure
        passages = [Told(sentence(random), ((sure, rest * 0.9, rest * 0.1), (0.2, 0.6, 0.2))) for _ in range(3)]
        source = SOURCES[0] if number % 2 else SOURCES[number // 2 % 4]
        made.append(Story(f"a{number}", passages, f"Titre {number}", "2026-01-02", source))
    return made


def passage(identity: str, text: str, sure: float = 0.5, source: str = "s", article: str | None = None) -> Passage:
    facts: dict[str, str | None] = {"source": source}
    return Passage(identity, text, article or identity, 0, facts, {"t": {"a": sure, "b": 1 - sure}}, 1 - sure, 7)


def read(folder: Path, name: str = "tasks.json") -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_annotate_export_is_what_label_studio_takes(tmp_path: Path, form: str) -> None:
    job = make_job(tmp_path / "job", stories(), form=form)
    done = export_tasks(job, tmp_path / "out", Wishes(count=10, seed=3))
    tasks, record = read(tmp_path / "out"), read(tmp_path / "out", "export.json")
    texts = {f"{story.id}#{n}": told.text for story in stories() for n, told in enumerate(story.passages)}
    assert len(tasks) == done.chosen.total() == 10
    assert done.looked_at == 72
    assert done.chosen == {"random": 2, "margin": 8}
    for task in tasks:
        data, (said,) = task["data"], task["predictions"]
        assert data["text"] == texts[data["id"]]
        assert data["sha256"] == record["texts"][data["id"]] == text_digest(data["text"])
        assert data["title"].startswith("Titre")
        assert said["model_version"] == "petit@abababababab"
        assert {(one["from_name"], one["to_name"], one["type"]) for one in said["result"]} == {
            ("stance", "text", "choices"),
            ("sentiment", "text", "choices"),
        }
        assert 0 < said["score"] <= 1
    assert record["tasks"] == {task.name: list(task.labels) for task in TASKS}
    form_tree = ET.parse(tmp_path / "out" / "labeling-config.xml").getroot()
    shown = {one.get("name"): [label.get("value") for label in one] for one in form_tree.iter("Choices")}
    assert shown == record["tasks"]
    assert {one.get("toName") for one in form_tree.iter("Choices")} == {form_tree.find("Text").get("name")}  # type: ignore[union-attr]  # the form has a text
    named = {one.get("value") for one in form_tree if str(one.get("value")).startswith("$")}
    assert all(value[1:] in task["data"] for value in named if value for task in tasks)


def test_annotate_export_goes_where_the_model_is_unsure(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", [Story(s.id, s.passages, s.title, s.date, "une") for s in stories()])
    export_tasks(job, tmp_path / "out", Wishes(count=8, explore=0))
    chosen = {task["data"]["article"] for task in read(tmp_path / "out")}
    assert chosen == {"a20", "a21", "a22", "a23"}  # the least sure four, two passages each


def test_annotate_sources_take_turns_and_flow_over(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", stories())
    few = export_tasks(job, tmp_path / "few", Wishes(count=8, explore=0))
    assert few.sources == {"Le Journal du Zinc": 2, "Agence Bleue": 2, "La Gazette du Quai": 2, "": 2}
    many = export_tasks(job, tmp_path / "many", Wishes(count=60, explore=0, per_article=3))
    assert many.sources == {"Le Journal du Zinc": 33, "Agence Bleue": 9, "La Gazette du Quai": 9, "": 9}


def test_annotate_random_share_is_no_worse_than_chance(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", stories())
    export_tasks(job, tmp_path / "out", Wishes(count=20, explore=0.5, seed=1))
    ways: dict[str, list[int]] = {"random": [], "margin": []}
    for task in read(tmp_path / "out"):
        ways[task["data"]["chosen_by"]].append(int(task["data"]["article"][1:]))
    assert len(ways["random"]) == 10
    assert min(ways["random"]) < 8  # surest third: no measure would have gone there


def test_annotate_choice_is_a_function_of_the_seed(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", stories())
    folders = [tmp_path / name for name in ("1", "2", "3")]
    for folder, seed in zip(folders, (5, 5, 6), strict=True):
        export_tasks(job, folder, Wishes(count=10, seed=seed))
    first, second, third = [(folder / "tasks.json").read_bytes() for folder in folders]
    assert first == second != third


@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_annotate_choice_does_not_depend_on_order(random: Any, count: int) -> None:
    made = Random(2)
    passages = [
        Passage(f"{n}", sentence(made), f"a{n // 3}", n, {"source": f"s{n % 3}"}, {"t": {}}, made.random(), n * 7919)
        for n in range(40)
    ]
    expected = choose(passages, Wishes(count=count))
    assert Counter(one.article for one, _ in expected).most_common(1)[0][1] <= 2
    random.shuffle(passages)
    assert choose(passages, Wishes(count=count)) == expected


def test_annotate_copies_and_near_copies_are_chosen_once() -> None:
    text = "Le port de Sète attend un arrêté sur les licences de transport de vin depuis trois semaines."
    alike = [
        passage("a", text),
        passage("b", text.replace("trois", "quatre")),
        passage("c", text.replace("'", "’").upper()),
        passage("d", "Tout autre chose : la députée a demandé un rapport chiffré sur les câbles sous la mer."),
        passage("e", "Trop court pour une lecture."),
    ]
    wishes = Wishes(count=5, explore=0, min_words=8)
    assert sorted(one.id for one, _ in choose(alike, wishes)) in (["a", "d"], ["b", "d"])
    assert [one.id for one, _ in choose(alike, wishes, known=[text, text.replace("trois", "quatre")])] == ["d"]


def test_annotate_leaves_out_what_was_labelled_or_exported_before(tmp_path: Path) -> None:
    told = stories()
    job = make_job(tmp_path / "job", told)
    corpus = tmp_path / "known.jsonl"
    known = told[23].passages[0].text
    corpus.write_text(json.dumps({"text": known, "stance": "neutral"}) + "\n", encoding="utf-8")
    export_tasks(job, tmp_path / "1", Wishes(count=10), [corpus])
    export_tasks(job, tmp_path / "2", Wishes(count=62, per_article=3), [corpus, tmp_path / "1"])
    first, second = ({task["data"]["text"] for task in read(tmp_path / name)} for name in "12")
    assert (len(first), len(second)) == (10, 61)
    assert not first & second
    assert known not in first | second


def test_annotate_blind_tasks_hold_no_answers(tmp_path: Path) -> None:
    export_tasks(make_job(tmp_path / "job", stories()), tmp_path / "out", Wishes(count=5, blind=True))
    assert all(set(task) == {"data"} for task in read(tmp_path / "out"))
    assert "pro-easing" not in (tmp_path / "out" / "tasks.json").read_text(encoding="utf-8")


def test_annotate_says_why_nothing_can_be_exported(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", stories())
    export_tasks(job, tmp_path / "out", Wishes(count=5))
    with pytest.raises(CorpusError, match="holds an export"):
        export_tasks(job, tmp_path / "out", Wishes(count=5))
    with pytest.raises(CorpusError, match="none of the 72 passages"):
        export_tasks(job, tmp_path / "none", Wishes(min_words=99))
    assert not (tmp_path / "none").exists()
    with pytest.raises(ReportError, match="no task 'ton'; it has stance, sentiment"):
        export_tasks(job, tmp_path / "none", Wishes(task="ton"))
    with pytest.raises(ReportError, match="is no job"):
        export_tasks(tmp_path, tmp_path / "none", Wishes())


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=6), st.sampled_from(["margin", "entropy"]))
def test_annotate_uncertainty_lies_between_sure_and_level(weights: list[float], measure: Any) -> None:
    shares = [weight / sum(weights) for weight in weights]
    level = [1 / len(weights)] * len(weights)
    sure = [1.0, *[0.0] * (len(weights) - 1)]
    assert uncertainty(sure, measure) == 0
    assert uncertainty(level, measure) == pytest.approx(1)
    assert 0 <= uncertainty(shares, measure) <= 1 + 1e-9


def test_annotate_commands_go_the_whole_way(tmp_path: Path) -> None:
    job, runner = make_job(tmp_path / "job", stories()), CliRunner()
    out = tmp_path / "to-label"
    done = runner.invoke(app, ["annotate", "export", str(job), "-o", str(out), "--count", "6", "--measure", "entropy"])
    assert done.exit_code == 0, done.output
    assert "6 of 72 passages (5 by entropy, 1 by random)" in done.stdout
    answered = [{**task, "annotations": [annotation(task, who) for who in (1, 2)]} for task in read(out)]
    answered[0]["annotations"][1]["result"][0]["value"]["choices"] = ["pro-restriction"]
    (tmp_path / "answers.json").write_text(json.dumps(answered), encoding="utf-8")
    rows = tmp_path / "mine.jsonl"
    command = ["annotate", "import", str(out), str(tmp_path / "answers.json"), "-o", str(rows), "--split", "train"]
    done = runner.invoke(app, command)
    assert done.exit_code == 0, done.output
    assert f"5 rows in {rows}; 1 to be settled, 0 unanswered" in done.stdout
    assert "stance: Krippendorff's alpha" in done.stdout
    assert "annotator-1 neutral, annotator-2 pro-restriction; settled by nobody yet" in done.stdout
    assert len(rows.read_text(encoding="utf-8").splitlines()) == 5
    assert len((tmp_path / "mine.open.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    assert len((tmp_path / "mine.disagreements.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    answered[1]["data"]["text"] += " "
    (tmp_path / "answers.json").write_text(json.dumps(answered), encoding="utf-8")
    before = rows.read_bytes()
    done = runner.invoke(app, command)
    assert done.exit_code == 1
    assert "is not what was exported" in done.stderr
    assert rows.read_bytes() == before


def annotation(task: dict[str, Any], who: int) -> dict[str, Any]:
    """An annotator who finds everything neutral."""
    result = [
        {"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": ["neutral"]}}
        for name in ("stance", "sentiment")
    ]
    return {"id": who, "completed_by": who, "was_cancelled": False, "result": result}
