"""The report of a job: one self-contained HTML file, in French and English, that asks nothing of any network."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from inference.report_data import ReportError, article_rows, open_job, passage_rows, quarantined_rows
from inference.writer import atomic

if TYPE_CHECKING:
    from inference.classifier import Classifier
    from inference.highlights import Highlights
    from inference.report_articles import Caps

__all__ = ["ReportError", "article_rows", "passage_rows", "write_report"]

#: Rows of the smaller tables; what is beyond is counted, and the files beside the report hold it.
SHOWN_GROUPS, SHOWN_REJECTED, SHOWN_INPUTS = 10, 50, 20


def write_report(
    output: Path,
    *,
    lang: str = "fr",
    caps: Caps | None = None,
    classifier: Classifier | None = None,
    underlined: int | None = None,
) -> Path:
    """Write ``report.html`` for the finished job in ``output``, whole or not at all, and return its path.

    ``lang``, ``fr`` or ``en``, is the language that the page opens in; it holds both. ``caps`` says how much one page
    may hold. With ``classifier``, the model that scored the job, the words that pull most are sought in up to
    ``underlined`` passages and kept; without it, those already known are underlined, none where ``underlined`` is 0.
    The same rows, manifest and known words give the same bytes. Raises ReportError where ``output`` holds no finished
    job, for another language, and for a classifier of another model.
    """
    from inference.highlights import find_highlights, read_highlights
    from inference.report_articles import Caps, collect
    from inference.report_totals import Totals
    from inference.report_view import environment_for, flat_facts, limits_of, measured, time_points
    from inference.report_wording import LANGUAGES, Wording, read_phrases
    from inference.report_words import marked_passages, marks_of

    if lang not in LANGUAGES:
        raise ReportError(f"no report is written in {lang!r}; give {' or '.join(LANGUAGES)}")
    job = open_job(output)
    totals = Totals(job)
    entries = collect(job, totals, caps or Caps())
    known: Highlights = {}
    if classifier is not None and underlined:
        known = find_highlights(job, entries, classifier, underlined)
    elif underlined != 0:
        known = read_highlights(job)
    phrases = read_phrases()
    facts = job.manifest["model"].get("facts") or {}
    context = {
        "manifest": job.manifest,
        "phrases": phrases,
        "totals": totals,
        "points": time_points(totals.months) if job.main.name in job.axes else [],
        "entries": entries,
        "full": [entry for entry in entries if entry.passages is not None],
        "marks": marks_of(known),
        "marked": marked_passages(entries, known),
        "rejected": list(islice(quarantined_rows(output), SHOWN_REJECTED)),
        "tests": measured(facts),
        "limits": limits_of(facts),
        "model_facts": dict(flat_facts(facts)),
        "shown": {"groups": SHOWN_GROUPS, "inputs": SHOWN_INPUTS},
    }
    target = output / "report.html"
    with atomic(target) as file:
        for piece in environment_for(job, Wording(lang, phrases)).get_template("report.html.j2").generate(context):
            file.write(piece.encode())
    return target
