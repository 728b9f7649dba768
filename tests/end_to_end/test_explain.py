"""``penchant explain`` and ``penchant doctor`` from outside."""

import json
from pathlib import Path

from tests.end_to_end.conftest import Run

TEXT = "Le syndicat salue la levée des quotas, une chance pour ses ateliers."


def test_explain_prints_words_with_offsets_as_json(penchant: Run) -> None:
    done = penchant("explain", TEXT, "--json", "--limit", 3)
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert len(content["words"]) == 3
    for word in content["words"]:
        assert TEXT[word["start"] : word["end"]] == word["word"]


def test_explain_says_its_doubt(penchant: Run) -> None:
    tasks = json.loads(penchant("explain", TEXT, "--json").out)["tasks"]
    assert list(tasks) == ["stance", "sentiment"]
    shown = penchant("explain", TEXT).out
    for name, said in tasks.items():
        line = f"{name}: {said['label']}, confidence {said['confidence']:.0%}"
        assert (f"{line}\n" in shown, f"{line}, abstained" in shown) == (not said["abstained"], said["abstained"])


def test_explain_reads_a_file_and_standard_input(penchant: Run, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(TEXT, encoding="utf-8")
    shown = penchant("explain", "--file", tmp_path / "p.txt")
    assert (shown.code, "quotas" in shown.out) == (0, True)
    assert penchant("explain", "-", stdin=TEXT).out == shown.out


def test_explain_names_what_is_missing(penchant: Run, tmp_path: Path) -> None:
    assert penchant("explain").code == 2
    missing = penchant("explain", "--file", tmp_path / "nowhere.txt")
    assert (missing.code, "nowhere.txt" in missing.err) == (2, True)
    unknown = penchant("explain", TEXT, "--task", "couleur")
    assert (unknown.code, "couleur" in unknown.err) == (2, True)


def test_doctor_finds_this_machine_well_and_a_missing_model(penchant: Run, tmp_path: Path) -> None:
    well = penchant("doctor", "--json")
    assert well.code == 0, well.err
    assert "fail" not in {check["state"] for check in json.loads(well.out)}
    ill = penchant("doctor", "--model", tmp_path / "nowhere")
    assert (ill.code, "failed" in ill.err) == (1, True)
