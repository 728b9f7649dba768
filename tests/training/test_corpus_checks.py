from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.training.small_corpus import clean_rows, write_rows
from training.check_report import CheckReport, Finding
from training.cli import app
from training.config import DataConfig, ModelConfig, RunConfig, SplitConfig, TaskConfig
from training.corpus import CorpusError, load_examples
from training.corpus_checks import check_examples, check_path, default_config

Rows = list[dict[str, Any]]

ENGLISH = (
    "The ministry said on Tuesday that the new licence rules would not apply to the machines which had been ordered "
    "before the end of the year, and that it would publish a list of them."
)


@pytest.fixture(scope="module")
def clean() -> Rows:
    """Too few groups for the fitting, which takes most of the time."""
    return clean_rows()


@pytest.fixture(scope="module")
def larger() -> Rows:
    return clean_rows(size=4)


def of_split(rows: Rows, split: str) -> Rows:
    return [row for row in rows if row["split"] == split]


def spoil_copy_across_splits(rows: Rows) -> None:
    of_split(rows, "seen")[0] |= {
        "text": of_split(rows, "train")[0]["text"].upper().replace(" ", "\u00a0"),
        "stance": of_split(rows, "train")[0]["stance"],
        "sentiment": of_split(rows, "train")[0]["sentiment"],
    }


def spoil_copy_within_split(rows: Rows) -> None:
    first, second = of_split(rows, "train")[:2]
    second |= {key: first[key] for key in ("text", "stance", "sentiment")}


def spoil_copy_in_group(rows: Rows) -> None:
    first, second = of_split(rows, "contrast")[:2]
    second |= {key: first[key] for key in ("text", "stance", "sentiment")}


def spoil_near_copy_across_splits(rows: Rows) -> None:
    words = of_split(rows, "train")[0]["text"].split()
    of_split(rows, "unseen")[0]["text"] = " ".join([*words[:12], "désormais", *words[13:]])


def spoil_near_copy_within_split(rows: Rows) -> None:
    words = of_split(rows, "train")[0]["text"].split()
    of_split(rows, "train")[1]["text"] = " ".join([*words[:12], "désormais", *words[13:]])


def spoil_label_conflict(rows: Rows) -> None:
    first, second = of_split(rows, "train")[:2]
    first["stance"], second["stance"] = "neutral", "pro-easing"
    second["text"] = first["text"].replace("'", "’")


def spoil_group(rows: Rows) -> None:
    of_split(rows, "train")[0]["group"] = of_split(rows, "validation")[0]["group"] = "fait-1"


def spoil_article(rows: Rows) -> None:
    of_split(rows, "train")[0]["article"] = of_split(rows, "validation")[0]["article"] = "article-1"


def spoil_story(rows: Rows) -> None:
    of_split(rows, "train")[0]["story"] = of_split(rows, "seen")[0]["story"] = "histoire-1"


def spoil_unknown_label(rows: Rows) -> None:
    rows[3]["stance"] = "pro-esaing"


def spoil_empty_text(rows: Rows) -> None:
    rows[3]["text"] = " \u00a0\n"


def spoil_missing_text(rows: Rows) -> None:
    del rows[3]["text"]


def spoil_id(rows: Rows) -> None:
    rows[3]["id"] = rows[4]["id"]


def spoil_augmented(rows: Rows) -> None:
    of_split(rows, "unseen")[0]["source_kind"] = "augmented"


def spoil_topic(rows: Rows) -> None:
    of_split(rows, "train")[0]["topic"] = "space"


def spoil_topic_of_validation(rows: Rows) -> None:
    of_split(rows, "validation")[0]["topic"] = "space"


def spoil_lost_topic(rows: Rows) -> None:
    of_split(rows, "unseen")[0]["topic"] = None


def spoil_task(rows: Rows) -> None:
    for row in rows:
        del row["sentiment"]


def spoil_language(rows: Rows) -> None:
    rows[3]["text"] = ENGLISH


def spoil_encoding(rows: Rows) -> None:
    rows[3]["text"] = ("À l'été, " + rows[3]["text"]).encode().decode("latin-1")


def spoil_short(rows: Rows) -> None:
    rows[3]["text"] = "Trop court."


def spoil_long(rows: Rows) -> None:
    rows[3]["text"] = " ".join(row["text"] for row in rows[3:12])
    del rows[4:12]


def spoil_corner(rows: Rows) -> None:
    for row in of_split(rows, "train"):
        if row["stance"] == "neutral":
            row["sentiment"] = "neutral"


def spoil_test_labels(rows: Rows) -> None:
    for row in of_split(rows, "seen"):
        row["stance"] = "neutral"


def spoil_openings(rows: Rows) -> None:
    for row in of_split(rows, "train")[:9]:
        row["text"] = "Ce lundi encore, " + row["text"]


def spoil_word_runs(rows: Rows) -> None:
    for row in of_split(rows, "train")[:9]:
        row["text"] += " Nul ne sait ce que la suite réserve."


def spoil_genre(rows: Rows) -> None:
    genres = {"pro-easing": "editorial", "neutral": "agency", "pro-restriction": "statement"}
    for row in rows:
        row["genre"] = genres[row["stance"]]


def spoil_length(rows: Rows) -> None:
    for row in rows:
        if row["stance"] == "neutral":
            row["text"] = row["text"].partition(". ")[0] + "."


def spoil_punctuation(rows: Rows) -> None:
    for row in rows:
        if row["sentiment"] == "negative":
            row["text"] = row["text"].removesuffix(".") + " !"


def spoil_first_words(rows: Rows) -> None:
    openings = {"pro-easing": "Hélas,", "neutral": "Hier,", "pro-restriction": "Attention,"}
    for row in rows:
        row["text"] = f"{openings[row['stance']]} {row['text']}"


def spoil_words(rows: Rows) -> None:
    words = {"pro-easing": "assouplit", "neutral": "observe", "pro-restriction": "verrouille"}
    for row in rows:
        row["text"] = row["text"].replace(" et ", f" et {words[row['stance']]} ", 1)


def spoil_split(rows: Rows) -> None:
    of_split(rows, "seen")[0]["split"] = ""


SPOILED: list[tuple[Callable[[Rows], None], str, str]] = [
    (spoil_copy_across_splits, "fail", "copy-leak"),
    (spoil_near_copy_across_splits, "fail", "near-copy-leak"),
    (spoil_label_conflict, "fail", "label-conflict"),
    (spoil_group, "fail", "broken-group"),
    (spoil_article, "fail", "broken-article"),
    (spoil_story, "fail", "broken-story"),
    (spoil_unknown_label, "fail", "unknown-label"),
    (spoil_empty_text, "fail", "empty-text"),
    (spoil_missing_text, "fail", "no-text"),
    (spoil_id, "fail", "id-twice"),
    (spoil_augmented, "fail", "augmented-outside"),
    (spoil_topic, "fail", "seen-topic"),
    (spoil_lost_topic, "fail", "no-topic"),
    (spoil_task, "fail", "no-label"),
    (spoil_copy_within_split, "warn", "copy"),
    (spoil_near_copy_within_split, "warn", "near-copy"),
    (spoil_topic_of_validation, "warn", "seen-topic"),
    (spoil_language, "warn", "not-french"),
    (spoil_encoding, "warn", "damaged-text"),
    (spoil_short, "warn", "short-text"),
    (spoil_long, "warn", "long-text"),
    (spoil_corner, "warn", "rare-corner"),
    (spoil_test_labels, "warn", "label-absent"),
    (spoil_openings, "warn", "overused-opening"),
    (spoil_word_runs, "warn", "overused-ngram"),
    (spoil_split, "warn", "idle-split"),
    (spoil_copy_in_group, "info", "copy-in-group"),
]


def test_corpus_checks_find_nothing_in_a_clean_corpus(larger: Rows, tmp_path: Path) -> None:
    report = check_path(write_rows(larger, tmp_path))
    assert report.findings == ()
    assert not report.failed
    report.raise_if_failed()


@pytest.mark.parametrize(("spoil", "severity", "code"), SPOILED, ids=[spoil.__name__[6:] for spoil, _, _ in SPOILED])
def test_corpus_checks_find_what_was_spoiled_and_nothing_graver(
    clean: Rows, tmp_path: Path, spoil: Callable[[Rows], None], severity: str, code: str
) -> None:
    rows = deepcopy(clean)
    spoil(rows)
    report = check_path(write_rows(rows, tmp_path))
    assert code in {finding.code for finding in report.findings if finding.severity == severity}
    assert report.codes("fail") <= {code}
    assert report.failed == (severity == "fail")


@pytest.mark.parametrize(
    ("spoil", "evidence", "task"),
    [
        (spoil_genre, "genre", "stance"),
        (spoil_length, "length", "stance"),
        (spoil_punctuation, "punctuation", "sentiment"),
        (spoil_first_words, "first words", "stance"),
        (spoil_words, "words (TF-IDF)", "stance"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_corpus_checks_name_the_evidence_that_gives_a_label_away(
    larger: Rows, tmp_path: Path, spoil: Callable[[Rows], None], evidence: str, task: str
) -> None:
    rows = deepcopy(larger)
    spoil(rows)
    report = check_path(write_rows(rows, tmp_path))
    told = [finding.what for finding in report.findings if finding.code == "giveaway"]
    assert any(what.startswith(f"{evidence} alone gives {task} away") for what in told)
    assert not any("gives " + other in what for what in told for other in {"stance", "sentiment"} - {task})
    assert not report.failed


def test_corpus_checks_find_a_broken_contrast_group_to_be_a_leak_too(clean: Rows, tmp_path: Path) -> None:
    rows = deepcopy(clean)
    of_split(rows, "contrast")[0]["split"] = "train"
    assert check_path(write_rows(rows, tmp_path)).codes("fail") == {"broken-group", "near-copy-leak"}


def test_corpus_checks_name_the_rows_and_the_mend(clean: Rows, tmp_path: Path) -> None:
    rows = deepcopy(clean)
    spoil_augmented(rows)
    spoil_unknown_label(rows)
    report = check_path(write_rows(rows, tmp_path))
    assert {finding.code: finding.where for finding in report.findings if finding.severity == "fail"} == {
        "augmented-outside": ("unseen-0 (unseen)",),
        "unknown-label": ("train-3",),
    }
    with pytest.raises(CorpusError) as failure:
        report.raise_if_failed()
    lines = str(failure.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("unknown-label: stance holds 'pro-esaing' × 1")
    assert lines[1].endswith("move them to train, or remove them")


def test_corpus_checks_without_split_column_split_by_group(clean: Rows, tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "split"} for row in clean]
    report = check_path(write_rows(rows, tmp_path))
    assert report.codes() == {"no-split", "giveaway-untold"}
    assert set(report.numbers["splits"]) == {"train", "validation", "test"}


def test_corpus_checks_take_tasks_columns_and_splits_from_a_configuration(tmp_path: Path) -> None:
    rows = [
        {"phrase": row["text"], "avis": {"neutral": "sans"}.get(row["stance"], "avec"), "part": row["split"]}
        for row in clean_rows()
    ]
    config = RunConfig(
        name="avis",
        tasks={"avis": TaskConfig(labels=["sans", "avec"])},
        data=DataConfig.model_validate(
            {
                "path": "elsewhere",
                "columns": {"text": "phrase", "group": None, "split": "part"},
                "split": {"tests": ["seen", "absent"]},
            }
        ),
        model=ModelConfig(kind="tfidf"),
    )
    report = check_path(write_rows(rows, tmp_path), config)
    found = {finding.code: finding for finding in report.findings}
    assert found["empty-split"].severity == "fail"
    assert found["empty-split"].where == ("absent",)
    assert set(found["idle-split"].where) == {"unseen: 9 rows", "contrast: 18 rows"}
    assert set(report.numbers["splits"]) == {"train", "validation", "seen"}
    assert "no-id" in report.codes("info")


def test_corpus_checks_refuse_a_file_without_a_usable_row(tmp_path: Path) -> None:
    path = write_rows([{"text": ""}, {"text": "Un avis.", "stance": "oui"}], tmp_path)
    with pytest.raises(CorpusError, match=r"empty-text.*\nunknown-label"):
        check_path(path)


def run_config(path: Path) -> RunConfig:
    data = DataConfig(path=path, split=SplitConfig(tests=["unseen", "seen", "contrast"]))
    return default_config(path).model_copy(update={"data": data})


def test_corpus_checks_of_a_run_skip_the_fitting_unless_thorough(larger: Rows, tmp_path: Path) -> None:
    rows = deepcopy(larger)
    spoil_genre(rows)
    spoil_copy_across_splits(rows)
    config = run_config(write_rows(rows, tmp_path))
    quick = check_examples(config, load_examples(config))
    thorough = check_examples(config, load_examples(config), thorough=True)
    assert quick.codes() == {"copy-leak"}
    assert thorough.codes() == {"copy-leak", "giveaway"}
    assert "giveaways" not in quick.numbers


def test_corpus_checks_leave_augmented_training_rows_out_of_phrases(clean: Rows, tmp_path: Path) -> None:
    rows = deepcopy(clean)
    spoil_openings(rows)
    for row in of_split(rows, "train")[:9]:
        row["source_kind"] = "augmented"
    assert check_path(write_rows(rows, tmp_path)).codes() == {"giveaway-untold"}


def test_corpus_checks_numbers_count_every_split(clean: Rows, tmp_path: Path) -> None:
    numbers = check_path(write_rows(clean, tmp_path)).numbers
    assert {split: content["rows"] for split, content in numbers["splits"].items()} == {
        "train": 54,
        "validation": 9,
        "contrast": 18,
        "seen": 9,
        "unseen": 9,
    }
    assert numbers["splits"]["contrast"]["groups"] == 9
    for split in numbers["splits"].values():
        assert all(sum(labels.values()) == split["rows"] for labels in split["labels"].values())
        assert sum(split["corners"].values()) == split["rows"]


@pytest.mark.parametrize("spoil", [None, spoil_topic], ids=["clean", "spoiled"])
def test_corpus_checks_command_leaves_with_the_verdict(
    clean: Rows, tmp_path: Path, spoil: Callable[[Rows], None] | None
) -> None:
    rows = deepcopy(clean)
    if spoil:
        spoil(rows)
    path = str(write_rows(rows, tmp_path))
    table = CliRunner().invoke(app, ["check-corpus", path])
    as_json = CliRunner().invoke(app, ["check-corpus", path, "--json"])
    assert table.exit_code == as_json.exit_code == (1 if spoil else 0)
    assert table.stdout.splitlines()[-1].startswith("FAILED" if spoil else "passed")
    report = json.loads(as_json.stdout)
    assert report["failed"] is (spoil is not None)
    found = {finding["code"] for finding in report["findings"] if finding["severity"] != "info"}
    assert found == ({"seen-topic"} if spoil else set())


def test_check_report_sorts_findings_and_shortens_their_places_in_text_alone() -> None:
    places = tuple(f"r{number}" for number in range(8))
    report = CheckReport.of(
        [Finding("info", "b", "bon à savoir"), Finding("fail", "a", "huit\nrangs", places, "mend")], {}
    )
    assert [finding.code for finding in report.findings] == ["a", "b"]
    assert report.findings[0].to_line() == "a: huit rangs [r0, r1, r2, r3, r4, and 3 more]; mend"
    assert report.to_dict()["findings"][0]["where"] == list(places)
    assert report.to_table().endswith("FAILED: 1 failing, 0 to look at")


def test_corpus_checks_lower_what_the_configuration_accepts(clean: Rows, tmp_path: Path) -> None:
    rows = deepcopy(clean)
    spoil_copy_across_splits(rows)
    config = default_config(write_rows(rows, tmp_path))
    tests = ["unseen", "seen", "contrast"]
    config = config.model_copy(update={"data": config.data.model_copy(update={"split": SplitConfig(tests=tests)})})
    splits = load_examples(config)
    assert "copy-leak" in check_examples(config, splits).codes("fail")
    lenient = config.model_copy(update={"data": config.data.model_copy(update={"accept": ["copy-leak"]})})
    assert "copy-leak" not in check_examples(lenient, splits).codes("fail")
    assert "copy-leak" in check_examples(lenient, splits).codes("warn")
