"""What gives a label away without reading: genre, length, punctuation, first words, and the bag of words.

A linear classifier sees one kind of evidence alone and is cross-validated over whole groups. Where it does much better
than chance, a model can score well on such data for a reason that will not hold elsewhere (Gururangan et al. 2018).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from training.check_report import Finding
from training.config import TaskConfig
from training.corpus import Example
from training.duplicates import words_of
from training.metrics import Ints, group_codes

#: How far from chance to certainty a cue may take the macro-F1 before it is an alarm, a margin for small samples apart.
#: Real prose leans a little (letters plead, dispatches report): a tenth of the way is common and does little harm.
SHALLOW = 0.10
#: The bag of words holds real meaning, so it may go further; past this, little but vocabulary need be learnt.
WORDS = 0.60
#: Fewer groups than this say nothing.
MIN_GROUPS = 100
#: Rows that are looked at, drawn by whole groups: enough for figures that are steady to the second decimal.
MAX_ROWS = 20_000
FOLDS = 5
#: Inverse regularisation of the linear classifier, between too stiff for words (0.05) and overfitting them (5).
STRENGTH = 0.5
#: A cue is listed as leaning from this many rows.
MIN_CUE_ROWS = 20
LISTED = 5
#: The signs that are counted, variants folded into one; counts of MOST_SIGNS and more are one cue.
SIGNS = ".,;:?!…()%-—\"'"
MOST_SIGNS = 4
_SIGN_VARIANTS = str.maketrans("«»“”’–", '""""\'—')

FIRST_WORDS, WORD_EVIDENCE = "first words", "words (TF-IDF)"

#: What each row shows, by name ("genre letter", "« il faut … »").
Cues = list[list[str]]


def facet_cues(examples: Sequence[Example], facet: str) -> Cues:
    """The value of a facet."""
    return [[str(example.facets.get(facet))] for example in examples]


def length_cues(texts: Sequence[Sequence[str]]) -> Cues:
    """Which tenth of the lengths a text, given as its words, falls into."""
    counts = np.array([len(words) for words in texts])
    edges = np.unique(np.quantile(counts, np.arange(0.1, 0.95, 0.1)).astype(np.int64))
    between = [f"{low + 1}–{high} words" if high > low + 1 else f"{high} words" for low, high in pairwise(edges)]
    names = [f"up to {edges[0]} words", *between, f"over {edges[-1]} words"]
    return [[names[place]] for place in np.searchsorted(edges, counts, side="left")]


def punctuation_cues(examples: Sequence[Example]) -> Cues:
    """How many of each sign a text has, quotation marks, apostrophes and digits included."""
    rows = []
    for example in examples:
        letters = Counter(example.text.translate(_SIGN_VARIANTS))
        counts = {sign: letters[sign] for sign in SIGNS}
        counts["digits"] = sum(count for letter, count in letters.items() if letter.isdigit())
        found = (
            (sign, f"{count}" if count < MOST_SIGNS else f"{MOST_SIGNS}+") for sign, count in counts.items() if count
        )
        rows.append([f"{many} × {sign}" for sign, many in found])
    return rows


def opening_cues(texts: Sequence[Sequence[str]]) -> Cues:
    """The first word and the first two."""
    return [[f"« {' '.join(words[:many])} … »" for many in range(1, min(2, len(words)) + 1)] for words in texts]


def word_cues(texts: Sequence[Sequence[str]]) -> Cues:
    """The words and pairs of words."""
    return [[*words, *(f"{one} {other}" for one, other in pairwise(words))] for words in texts]


def present_cues(cues: Cues) -> tuple[Any, list[str]]:
    """A sparse matrix (rows × cues) of how often each cue is there, and the cues' names; one row's own are dropped."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer=list, min_df=2)
    counts = vectorizer.fit_transform(cues).astype(np.float64)
    return counts, list(vectorizer.get_feature_names_out())


def cross_validated(features: Any, gold: Ints, groups: Ints) -> Ints:
    """The label that each row gets from a linear classifier trained on the other folds' groups.

    Labels count alike however rare they are.
    """
    from sklearn.model_selection import GroupKFold
    from sklearn.svm import LinearSVC

    predicted: Ints = np.zeros_like(gold)
    for seen, held_out in GroupKFold(FOLDS).split(features, gold, groups):
        known = np.unique(gold[seen])
        if len(known) == 1:
            predicted[held_out] = known[0]
            continue
        model = LinearSVC(C=STRENGTH, class_weight="balanced", random_state=0)
        predicted[held_out] = model.fit(features[seen], gold[seen]).predict(features[held_out])
    return predicted


def leaning(counts: Any, names: Sequence[str], gold: Ints, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The cues whose rows carry one label most beyond its share in all rows, by their standard score."""
    k = len(labels)
    by_label = (counts > 0).astype(np.float64).T @ np.eye(k)[gold]  # cues × labels, in rows
    rows = by_label.sum(axis=1, keepdims=True)
    share = np.bincount(gold, minlength=k) / len(gold)
    spread = np.sqrt(rows * share * (1 - share))
    enough = (rows >= MIN_CUE_ROWS) & (spread > 0)
    score = np.divide(by_label - rows * share, spread, out=np.full_like(by_label, -np.inf), where=enough)
    best = np.argsort(-score, axis=None, kind="stable")[:LISTED]
    places = [(int(place) // k, int(place) % k) for place in best if score.flat[place] > 0]
    return [
        {
            "cue": names[cue],
            "label": labels[label],
            "rows": int(rows[cue, 0]),
            "share": float(by_label[cue, label] / rows[cue, 0]),
        }
        for cue, label in places
    ]


def drawn(examples: Sequence[Example], limit: int = MAX_ROWS) -> list[Example]:
    """At most ``limit`` rows, whole groups, the same ones each time."""
    if len(examples) <= limit:
        return list(examples)
    sizes = Counter(example.group for example in examples)
    kept: set[str] = set()
    rows = 0
    for group in np.random.default_rng(0).permutation(sorted(sizes)):
        rows += sizes[group]
        if rows > limit:
            break
        kept.add(group)
    return [example for example in examples if example.group in kept]


def evidence_of(examples: Sequence[Example], facets: Sequence[str]) -> dict[str, Cues]:
    """Each kind of evidence by name; what is the same for all rows (a facet with one value) is left out."""
    texts = [words_of(example.text) for example in examples]
    evidence = {facet: facet_cues(examples, facet) for facet in facets}
    evidence |= {"length": length_cues(texts), "punctuation": punctuation_cues(examples)}
    evidence |= {FIRST_WORDS: opening_cues(texts), WORD_EVIDENCE: word_cues(texts)}
    return {name: cues for name, cues in evidence.items() if _varies(cues)}


def _varies(cues: Cues) -> bool:
    """Whether some cue stands in two rows or more, and not in all of them."""
    counts = Counter(cue for row in cues for cue in set(row))
    return any(1 < count < len(cues) for count in counts.values())


def giveaway_findings(
    examples: Sequence[Example], tasks: Mapping[str, TaskConfig], facets: Sequence[str]
) -> tuple[list[Finding], dict[str, Any]]:
    """How well each kind of evidence alone predicts each task, across groups; a warning past its alarm level.

    The alarm stands :data:`SHALLOW` (words: :data:`WORDS`) of the way from chance to 1, + 1/√groups (two standard
    errors of a share). Chance is 1 / labels, what the macro-F1 of a balanced classifier that knows nothing comes to.
    """
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.metrics import f1_score

    rows = drawn(examples)
    present = {name: present_cues(cues) for name, cues in evidence_of(rows, facets).items()}
    features = {name: counts for name, (counts, _) in present.items()}
    if WORD_EVIDENCE in features:
        features[WORD_EVIDENCE] = TfidfTransformer(sublinear_tf=True).fit_transform(features[WORD_EVIDENCE])
    findings: list[Finding] = []
    numbers: dict[str, Any] = {}
    for task, content in tasks.items():
        known = np.array([place for place, example in enumerate(rows) if example.gold[task] >= 0], dtype=np.int64)
        gold = np.array([rows[place].gold[task] for place in known], dtype=np.int64)
        groups, count = group_codes([rows[place].group for place in known])
        labels = len(np.unique(gold))
        if count < MIN_GROUPS or labels < 2:
            what = f"{task} has {count:,} labelled groups and {labels} labels: too few to say what gives them away"
            mend = f"it takes {MIN_GROUPS} groups and two labels"
            findings.append(Finding("info", "giveaway-untold", what, (), mend))
            continue
        chance = 1 / labels
        majority = f1_score(gold, np.full_like(gold, np.bincount(gold).argmax()), average="macro")
        found: dict[str, Any] = {}
        for name, (counts, cues) in present.items():
            f1 = float(f1_score(gold, cross_validated(features[name][known], gold, groups), average="macro"))
            way = WORDS if name == WORD_EVIDENCE else SHALLOW
            alarm = float(chance + way * (1 - chance) + 1 / np.sqrt(count))
            leans = leaning(counts[known], cues, gold, content.labels)
            found[name] = {"macro_f1": f1, "alarm": alarm, "leans": leans}
            if f1 > alarm:
                what = f"{name} alone gives {task} away: macro-F1 {f1:.2f} (alarm {alarm:.2f}, chance {chance:.2f})"
                where = tuple(f"{lean['cue']} → {lean['label']} {lean['share']:.0%}" for lean in leans)
                findings.append(Finding("warn", "giveaway", what, where, "balance the labels over these"))
        numbers[task] = {"rows": len(known), "groups": count, "majority": float(majority), "evidence": found}
    return findings, numbers
