"""Which words pull a passage: each word is left out in turn, and what its absence does to the label is its pull.

Leave-one-out occlusion, after Zeiler & Fergus (2014), "Visualizing and understanding convolutional networks", and
Li, Monroe & Jurafsky (2016), "Understanding neural networks through representation erasure". It asks nothing of the
model but scores, so that it runs on the ONNX graph and for any encoder. A word is removed rather than masked: not every
tokenizer has a mask token, and a fine-tuned classifier has never read one. Cost: one forward row a word, and one for
the passage itself.

What it does not see: words that say the same thing stand in for each other, so that each alone seems to pull little.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.text import Text

    from inference.classifier import Classifier, Floats
    from inference.labels import Task

# Combining marks belong to the letter before them: text in decomposed form has as many words as the composed one.
_LETTER = r"[\w\u0300-\u036f]"
#: A number with its decimals, an elided word with its apostrophe (l', qu'), or a word with its inner hyphens.
_WORD = re.compile(
    rf"\d+(?:[.,]\d+)+|aujourd['’]hui|quelqu['’]une?s?\b|prud['’]hom{_LETTER}+"
    rf"|{_LETTER}+['’](?={_LETTER})|{_LETTER}+(?:[-‐‑]{_LETTER}+)*",
    re.IGNORECASE,
)
# What would move the cursor, colour the screen or turn the reading direction, if an article held it.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

#: Words under a tenth of the strongest pull stay plain; those over half of it are set in bold.
FAINT, STRONG = 0.1, 0.5
#: Words of the list under the passage.
LISTED = 8
#: What stands behind a label of which the model is too unsure.
ABSTAINED = ", abstained (under the model's threshold: do not count on it)"
#: Draws of random words a text, against which the top words are held.
DRAWS = 5

Span = tuple[int, int]


class Verdict(TypedDict):
    """What the model says of a passage in one task: the label, its calibrated probability, whether it abstains."""

    label: str
    confidence: float
    abstained: bool


class ExplainError(ValueError):
    """A text or task that cannot be explained; the message says what and the mend."""


@dataclass(frozen=True, slots=True)
class Pull:
    """One word, ``text[start:end]``, and its pull in log-odds of the label: above 0 it speaks for it, below against."""

    start: int
    end: int
    word: str
    pull: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A passage's label in one task, its calibrated probability, and the pull of its words in reading order.

    ``read`` is how many characters of ``text`` the model reads; label and words are of that part. ``tasks`` is what the
    model says in every task, the explained one among them.
    """

    text: str
    task: str
    label: str
    probability: float
    words: tuple[Pull, ...]
    read: int
    tasks: dict[str, Verdict]

    def as_dict(self) -> dict[str, Any]:
        """The explanation in plain types, as JSON holds them."""
        return asdict(self)

    def strongest(self, count: int) -> list[Pull]:
        """The ``count`` words of the greatest pull either way, strongest first; the earlier word first among equals."""
        return sorted(self.words, key=lambda word: (-abs(word.pull), word.start))[:count]


class Faithfulness(TypedDict):
    """By how much removing the top words, and random ones, lowers the label's probability, on average over n texts.

    ``ratio`` is the first over the second, None where random words do not lower it at all.
    """

    comprehensiveness_top: float
    comprehensiveness_random: float
    ratio: float | None
    n: int


def word_spans(text: str) -> list[Span]:
    """Character offsets of the words of ``text``; ``l'accord`` is two words, ``aujourd'hui`` and ``vise-t-il`` one."""
    return [match.span() for match in _WORD.finditer(text)]


def without(text: str, spans: Sequence[Span]) -> str:
    """``text`` less the words at ``spans``, and less the white space that a word leaves double."""
    for start, end in sorted(spans, reverse=True):
        before, after = text[:start], text[end:]
        if (not before or before[-1].isspace()) and after[:1].isspace():
            after = after[1:]
        text = before + after
    return text


def explain(classifier: Classifier, text: str, task: str | None = None, limit: int | None = None) -> Explanation:
    """Say which words of ``text`` pull towards or away from its label in ``task`` (default: the model's first task).

    A word's pull is how far the label's log-odds fall when that word is left out. Words that the model does not read,
    past its length, have none and are not listed. ``limit`` keeps the strongest words; it saves no time. The same text
    gives the same answer. Raises ExplainError for a text without a word or a task that the model does not have.
    """
    if limit is not None and limit < 1:
        raise ExplainError(f"limit is {limit}; give 1 or more, or none for all words")
    chosen = _task(classifier, task)
    read, spans = _readable(classifier, text)
    encoded = classifier.encode([read, *(without(read, [span]) for span in spans)])
    logits = classifier.logits(encoded)
    scores = _log_shares(classifier, chosen, logits)
    best = int(scores[0].argmax())
    odds = _log_odds(scores, best)
    words = tuple(
        Pull(start, end, text[start:end], float(odds[0] - odds[1 + place])) for place, (start, end) in enumerate(spans)
    )
    (said,) = classifier.interpret(encoded[:1], logits[:1])
    tasks: dict[str, Verdict] = {
        name: {"label": label, "confidence": said.confidence[name], "abstained": said.abstained[name]}
        for name, label in said.labels.items()
    }
    whole = Explanation(text, chosen.name, chosen.labels[best], math.exp(scores[0, best]), words, len(read), tasks)
    if limit is None:
        return whole
    return replace(whole, words=tuple(sorted(whole.strongest(limit), key=lambda word: word.start)))


def faithfulness(
    classifier: Classifier, texts: Sequence[str], task: str | None = None, top: int = 3, seed: int = 0
) -> Faithfulness:
    """Hold the words of :func:`explain` against random ones: comprehensiveness of DeYoung et al. (2020), "ERASER".

    In each text the ``top`` words that pull most towards the label are removed at once, then as many drawn at random
    (the mean of :data:`DRAWS` draws from ``seed``); what counts is how far the label's probability falls. Texts with no
    more than ``top`` words are left out. Raises ExplainError where none is left.
    """
    import numpy as np

    if top < 1:
        raise ExplainError(f"top is {top}; give 1 or more words to remove")
    chosen, random = _task(classifier, task), Random(seed)  # noqa: S311 - a sample, not a secret
    falls: list[tuple[float, float]] = []
    for text in texts:
        if len(word_spans(text)) <= top:
            continue
        explanation = explain(classifier, text, chosen.name)
        if len(explanation.words) <= top:
            continue
        read = text[: explanation.read]
        spans = [(word.start, word.end) for word in explanation.words]
        ranked = sorted(explanation.words, key=lambda word: (-word.pull, word.start))[:top]
        variants = [without(read, [(word.start, word.end) for word in ranked])]
        variants += [without(read, random.sample(spans, top)) for _ in range(DRAWS)]
        best = chosen.labels.index(explanation.label)
        left = np.exp(_log_shares(classifier, chosen, classifier.logits(classifier.encode(variants)))[:, best])
        falls.append((explanation.probability - float(left[0]), explanation.probability - float(left[1:].mean())))
    if not falls:
        raise ExplainError(f"no text has more than {top} words; give longer texts or a smaller top")
    named, drawn = (float(value) for value in np.mean(falls, axis=0))
    ratio = named / drawn if drawn > 0 else None
    return {"comprehensiveness_top": named, "comprehensiveness_random": drawn, "ratio": ratio, "n": len(falls)}


def render(explanation: Explanation) -> Text:
    """The explanation for a terminal: labels with their doubt, the passage with its words marked, the strongest ones.

    A word for the label is blue and underlined, one against it yellow and in italics, a strong one also bold; the signs
    in the list say the same without colour. Control characters of the text are shown as ``\\ufffd``.
    """
    from rich.text import Text

    strongest = explanation.strongest(LISTED)
    peak = abs(strongest[0].pull) if strongest else 0.0
    passage = Text(_printable(explanation.text[: explanation.read]))
    for word in explanation.words:
        passage.stylize(_style(word.pull, peak), word.start, word.end)
    shown = Text()
    for task, said in sorted(explanation.tasks.items(), key=lambda item: item[0] != explanation.task):
        explained = task == explanation.task
        shown.append(f"{task}: ", "" if explained else "dim")
        shown.append(said["label"], "bold" if explained else "dim")
        shown.append(f", confidence {said['confidence']:.0%}", "" if explained else "dim")
        if said["abstained"]:
            shown.append(ABSTAINED, "bold" if explained else "dim")
        shown.append("\n")
    shown.append("\n")
    shown.append_text(passage)
    if explanation.read < len(explanation.text):
        rest = len(explanation.text) - explanation.read
        shown.append(f" […]\n({rest:,} more characters are past what the model reads)", "dim")
    shown.append(f"\n\nPull on {explanation.label}, in log-odds:", "dim")
    for word in strongest:
        shown.append(f"\n{word.pull:+7.2f}  ")
        shown.append(_printable(word.word), _style(word.pull, peak))
    return shown


def _printable(text: str) -> str:
    """``text`` with one harmless character in place of each that a terminal would obey: offsets stay."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r", " "))


def _style(pull: float, peak: float) -> str:
    if not peak or abs(pull) < FAINT * peak:
        return ""
    sign = "blue underline" if pull > 0 else "yellow italic"
    return f"bold {sign}" if abs(pull) >= STRONG * peak else sign


def _task(classifier: Classifier, name: str | None) -> Task:
    tasks = {task.name: task for task in classifier.tasks}
    if name is None:
        return classifier.tasks[0]
    if name not in tasks:
        raise ExplainError(f"the model has no task {name!r}; it has {', '.join(tasks)}")
    return tasks[name]


def _readable(classifier: Classifier, text: str) -> tuple[str, list[Span]]:
    """The part of ``text`` that the model reads whole words of, and its words.

    A longer text is cut here, not by the tokenizer: otherwise leaving out a word would let in new ones at the end.
    """
    spans = word_spans(text)
    if not spans:
        raise ExplainError("the text has no word to explain; give a sentence or a passage")
    if not classifier.encode([text])[0].truncated:
        return text, spans
    low, high = 1, len(spans)
    while low < high:
        middle = (low + high + 1) // 2
        fits = classifier.count_tokens([text[: spans[middle - 1][1]]])[0] <= classifier.bundle.max_length
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[: spans[low - 1][1]], spans[:low]


def _log_shares(classifier: Classifier, task: Task, logits: Floats) -> npt.NDArray[np.float64]:
    """Logarithms of the calibrated probabilities, shape (rows, labels); finite where a probability rounds to 0."""
    import numpy as np

    scaled = logits[:, task.logits].astype(np.float64) / classifier.bundle.temperatures[task.name]
    shares: npt.NDArray[np.float64] = scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)
    return shares


def _log_odds(log_shares: npt.NDArray[np.float64], label: int) -> npt.NDArray[np.float64]:
    """Log-odds of ``label`` against all others; unlike its probability they do not flatten out near 1."""
    import numpy as np

    others = np.logaddexp.reduce(np.delete(log_shares, label, axis=1), axis=1)
    odds: npt.NDArray[np.float64] = log_shares[:, label] - others
    return odds
