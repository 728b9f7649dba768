"""Checks that look at raw rows and at single examples: columns, labels, ids, lengths, damage, language."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.check_report import Finding
from training.config import Columns, RunConfig, TaskConfig
from training.corpus import CorpusError, Example, to_examples
from training.duplicates import words_of

#: Under this many words a text hardly says anything.
MIN_WORDS = 4
#: Tokens a French word takes, roughly: what is past the model's length is cut off unread.
TOKENS_A_WORD = 1.5
#: UTF-8 read as Latin-1, the sign for what could not be decoded, and control characters.
_DAMAGE = re.compile("Ã[\u0080-\u00bf©¨ª«®´»¢§]|â€|\ufffd|[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass
class _Faults:
    """Where each kind of fault stands, in the order of the rows."""

    no_text: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unknown: dict[str, Counter[str]] = field(default_factory=dict)
    unknown_rows: dict[str, list[str]] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)


def _unknown_labels(row: Mapping[str, Any], tasks: Mapping[str, TaskConfig]) -> dict[str, str]:
    found = {}
    for name, task in tasks.items():
        value = row.get(task.column or name)
        if value not in (None, "") and task.rename.get(str(value), str(value)) not in task.labels:
            found[name] = str(value)
    return found


def sort_rows(
    rows: Iterable[Mapping[str, Any]],
    tasks: dict[str, TaskConfig],
    columns: Columns,
    facets: Sequence[str],
    place: str,
) -> tuple[list[Example], list[Finding]]:
    """The rows that can be used, as examples, and a finding for each kind of fault in the others.

    Loading for a run stops at the first bad row; a check names them all. Raises CorpusError where no row is usable.
    """
    good: list[dict[str, Any]] = []
    faults = _Faults()
    for number, row in enumerate(rows, 1):
        name = str(row.get(columns.id) or f"row {number}")
        faults.columns |= row.keys()
        if not row.get(columns.id):
            faults.unnamed.append(name)
        unknown = _unknown_labels(row, tasks)
        for task, value in unknown.items():
            faults.unknown.setdefault(task, Counter())[value] += 1
            faults.unknown_rows.setdefault(task, []).append(name)
        text = row.get(columns.text)
        if columns.text not in row:
            faults.no_text.append(name)
        elif not isinstance(text, str) or not text.strip():
            faults.empty.append(name)
        elif not unknown:
            good.append({**row, columns.id: name})
    findings = _fault_findings(faults, tasks, columns)
    if not good:
        lines = [finding.to_line() for finding in findings if finding.severity == "fail"]
        raise CorpusError("\n".join(lines) or f"{place} holds no rows; give a file with at least one")
    return to_examples(good, tasks, columns, facets, place), findings


def _fault_findings(faults: _Faults, tasks: Mapping[str, TaskConfig], columns: Columns) -> list[Finding]:
    found = []
    if faults.no_text:
        what = f"rows without column {columns.text!r}, among {sorted(faults.columns)}: {len(faults.no_text):,}"
        found.append(Finding("fail", "no-text", what, tuple(faults.no_text), "set data.columns.text"))
    if faults.empty:
        what = f"rows with an empty text, or one that is no text: {len(faults.empty):,}"
        found.append(Finding("fail", "empty-text", what, tuple(faults.empty), "fill or remove them"))
    for task, values in faults.unknown.items():
        listed = ", ".join(f"{value!r} × {count:,}" for value, count in values.most_common(5))
        what = f"{task} holds {listed}, none of {tasks[task].labels}"
        mend = "mend the rows, or add the label to labels or rename"
        found.append(Finding("fail", "unknown-label", what, tuple(faults.unknown_rows[task]), mend))
    if faults.unnamed:
        what = f"rows without {columns.id!r}, named by their number: {len(faults.unnamed):,}"
        found.append(Finding("info", "no-id", what, (), "ids of their own let reports be compared"))
    return found


def id_findings(examples: Sequence[Example]) -> list[Finding]:
    """Ids that stand for more than one row."""
    twice = [name for name, count in Counter(example.id for example in examples).items() if count > 1]
    if not twice:
        return []
    what = f"ids that occur more than once: {len(twice):,}"
    return [Finding("fail", "id-twice", what, tuple(twice), "give each row its own")]


def length_findings(examples: Sequence[Example], config: RunConfig) -> list[Finding]:
    """Texts that are empty, too short to say anything, or longer than what the model reads."""
    empty, short, long = [], [], []
    limit = config.model.max_length
    for example in examples:
        words = len(words_of(example.text))
        if not example.text.strip():
            empty.append(example.id)
        elif words < MIN_WORDS:
            short.append(example.id)
        whole = words + len(words_of(example.pair or ""))
        if config.model.kind == "transformer" and whole * TOKENS_A_WORD > limit:
            long.append(example.id)
    found = []
    if empty:
        what = f"empty texts: {len(empty):,}"
        found.append(Finding("fail", "empty-text", what, tuple(empty), "fill or remove them"))
    if short:
        what = f"texts of fewer than {MIN_WORDS} words: {len(short):,}"
        mend = "remove them unless such texts are to be scored"
        found.append(Finding("warn", "short-text", what, tuple(short), mend))
    if long:
        what = f"texts of more than {limit / TOKENS_A_WORD:.0f} words, of which {limit} tokens are read: {len(long):,}"
        found.append(Finding("warn", "long-text", what, tuple(long), "raise model.max_length or split them"))
    return found


def damage_findings(examples: Sequence[Example]) -> list[Finding]:
    """Texts that were decoded wrongly or hold control characters."""
    where = tuple(example.id for example in examples if _DAMAGE.search(example.text))
    if not where:
        return []
    mend = "read the source as what it is (often UTF-8) and write it again"
    return [Finding("warn", "damaged-text", f"wrongly decoded texts: {len(where):,}", where, mend)]


def label_findings(splits: Mapping[str, Sequence[Example]], tasks: Mapping[str, TaskConfig]) -> list[Finding]:
    """Tasks without labels, rows without a label, labels that a split lacks."""
    found = []
    for task, content in tasks.items():
        counts = {split: Counter(row.gold[task] for row in rows) for split, rows in splits.items()}
        none = sum(count[-1] for count in counts.values())
        rows = sum(sum(count.values()) for count in counts.values())
        if none == rows:
            column = content.column or task
            what = f"no row has a {task} in column {column!r}"
            found.append(Finding("fail", "no-label", what, (), "give a configuration with the tasks of this data"))
            continue
        if none:
            what = f"rows without a {task}, which teach nothing of it: {none:,} of {rows:,}"
            found.append(Finding("info", "unlabelled", what))
        absent = [
            f"{split}: {label}"
            for split, count in counts.items()
            for index, label in enumerate(content.labels)
            if not count[index]
        ]
        if absent:
            what = f"labels of {task} are missing from splits"
            mend = "add such rows, or expect little of a macro-F1 there"
            found.append(Finding("warn", "label-absent", what, tuple(absent), mend))
    return found


def language_findings(examples: Sequence[Example]) -> tuple[list[Finding], set[str]]:
    """Texts in another language than French, and their ids."""
    from inference.language import looks_french

    where = [example.id for example in examples if not looks_french(example.text)]
    if not where:
        return [], set()
    what = f"texts that do not look French: {len(where):,} ({len(where) / len(examples):.1%})"
    return [Finding("warn", "not-french", what, tuple(where), "translate or remove them")], set(where)
