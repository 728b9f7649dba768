"""The statistics part of a corpus card: counts by split, topic and genre, and the annotators' agreement."""

from __future__ import annotations

from pathlib import Path

from training.agreement import kappa_markdown, kappa_report
from training.config import RunConfig
from training.corpus import read_rows, to_examples
from training.corpus_checks import default_config
from training.corpus_statistics import corpus_statistics, statistics_markdown


def card_statistics(path: Path, config: RunConfig | None = None) -> str:
    """Markdown tables of the corpus at ``path``. Raises CorpusError for what cannot be read."""
    settings = config or default_config(path)
    rows = list(read_rows(path))
    examples = to_examples(rows, settings.tasks, settings.data.columns, settings.data.facets, str(path))
    counts = statistics_markdown(corpus_statistics(examples, settings.tasks))
    return f"{counts}\n{kappa_markdown(kappa_report(rows, tuple(settings.tasks)))}"
