from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.scored_rows import evidence, simulate, with_errors
from training.evidence import Criterion, Decision, Evidence
from training.gate import GateConfig, decide

CONFIG = GateConfig(resamples=200)


def test_evidence_decides_the_same_after_it_was_stored(tmp_path: Path) -> None:
    rows = simulate(200)
    champion, challenger = (evidence(with_errors(rows, "stance", range(count))) for count in (60, 20))
    challenger.save(tmp_path / "challenger")
    back = Evidence.load(tmp_path / "challenger")
    assert (back.calibration, back.cost, back.report) == (challenger.calibration, challenger.cost, challenger.report)
    assert decide(back, champion, CONFIG) == decide(challenger, champion, CONFIG)


def test_evidence_half_written_is_not_evidence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="evidence"):
        Evidence.load(tmp_path)
    (tmp_path / "evidence.json").write_text('{"cost": {}}', encoding="utf-8")
    with pytest.raises(ValueError, match="holds no evidence"):
        Evidence.load(tmp_path)


def test_evidence_decision_goes_through_json() -> None:
    rows = simulate(200)
    decision = decide(evidence(rows), evidence(with_errors(rows, "stance", range(40))), CONFIG)
    assert Decision.from_dict(json.loads(json.dumps(decision.to_dict(), allow_nan=False))) == decision


def test_evidence_text_shows_what_counts_and_counts_the_quiet_slices() -> None:
    criteria = (
        Criterion("quality", "stance macro-F1, unseen", 0.9, 0.85, 0.85, "pass", "better"),
        Criterion("slice", "stance accuracy, unseen, topic=[bold]chips", 0.7, 0.9, 0.85, "fail", "lost"),
        Criterion("slice", "stance accuracy, unseen, topic=grain", 0.9, 0.9, 0.85, "pass", "fine"),
        Criterion("slice", "stance accuracy, unseen, genre", None, None, None, "not measured", "few rows"),
        Criterion("speed", "seconds per 1,000 passages", None, 2.0, None, "not measured", "not timed"),
    )
    text = Decision(False, "refused: topic=[bold]chips", criteria).to_text(width=200)
    assert "topic=[bold]chips" in text
    assert "grain" not in text
    assert "1 slices keep within their margin; small ones are not compared" in text
    assert "0.900" in text
    assert "not measured" in text
    assert "\x1b" not in text
