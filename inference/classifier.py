"""The classifier: tokenizer, ONNX session and calibration; texts in, calibrated probabilities out. No torch."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.batches import Batch, plan_batches
from inference.bundle import Bundle, ModelError, open_bundle
from inference.labels import Task

Floats = npt.NDArray[np.float32]

#: Texts whose tokens are remembered: splitting counts the tokens that scoring needs again soon after.
REMEMBERED = 8192
#: Longer texts, in characters, are not: they are no passages.
LONGEST_REMEMBERED = 4000
SHIPPED = Path(__file__).parent / "model"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one text (or pair) with special tokens, its segment ids, and how many tokens were cut off."""

    ids: array[int]
    segments: array[int]
    truncated: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one text: per task the calibrated probabilities, the label, and whether it abstains."""

    probabilities: dict[str, dict[str, float]]
    labels: dict[str, str]
    confidence: dict[str, float]
    abstained: dict[str, bool]
    n_tokens: int
    truncated_tokens: int

    def __getitem__(self, task: str) -> str:
        return self.labels[task]


def softmax(logits: npt.NDArray[Any], temperature: float) -> npt.NDArray[np.float64]:
    """Softmax over the last axis of ``logits`` / ``temperature`` in double precision."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    exponents = np.exp(scaled)
    shares: npt.NDArray[np.float64] = exponents / exponents.sum(axis=-1, keepdims=True)
    return shares


def kept_tokens(length: int, context: int, limit: int) -> list[int]:
    """Which of ``length`` tokens a model of ``limit`` tokens reads, special tokens included.

    Of a pair, the end of the ``context`` tokens (those after the opening one) goes first; then, as of a text alone, the
    end of the text, its closing separator kept.
    """
    places = list(range(length))
    extra = length - limit
    if extra > 0 and context:
        stop = 1 + context
        places = places[: stop - min(extra, context)] + places[stop:]
    left = len(places) - limit
    return places[: -left - 1] + places[-1:] if left > 0 else places


class Classifier:
    """Scores French texts with an exported model folder.

    >>> Classifier.load().predict(["Le syndicat salue la levée des quotas."])[0]["stance"]  # doctest: +SKIP
    'pro-easing'
    """

    def __init__(self, bundle: Bundle, tokenizer: Any, session: Any) -> None:
        self.bundle = bundle
        self._tokenizer = tokenizer
        self._session = session
        self._recent: dict[str, Encoded] = {}
        self._inputs = {node.name for node in session.get_inputs()}
        self._pad = int(tokenizer.token_to_id(_pad_token(bundle)))

    @classmethod
    def load(
        cls, path: str | Path | None = None, *, threads: int | None = None, precision: str | None = None
    ) -> Classifier:
        """Open a model folder, or a registry's ``models:/NAME@ALIAS`` (default: the shipped model).

        The model runs on ``threads`` threads (default: all cores).

        ``precision`` is fp32 or int8; by default int8 where the folder has it and this processor computes it exactly.
        Raises ModelError where the folder does not hold a model or does not match its digests.
        """
        import onnxruntime
        from tokenizers import Tokenizer

        bundle = open_model(path if path is not None else SHIPPED, precision)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        # Idle workers must not spin: with two jobs on two cores they would take each other's time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads == 1 else "1")
        try:
            tokenizer = Tokenizer.from_file(str(bundle.folder / "tokenizer.json"))
            session = onnxruntime.InferenceSession(str(bundle.graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # both libraries raise bare exceptions of their own
            raise ModelError(f"{bundle.folder}: tokenizer or graph does not open ({error}); export it again") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(bundle, tokenizer, session)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The model's tasks, in the order of its logits."""
        return self.bundle.tasks

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Tokens of each text, special tokens included."""
        return [len(row.ids) + row.truncated for row in self._remembered(texts)]

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Encoded]:
        """Tokenise texts, or (context, text) pairs, and cut them to the model's length.

        A text is cut at its end; of a pair, the context gives way first, as in training.
        """
        if pairs is None:
            return self._remembered(texts)
        both = list(zip(pairs, texts, strict=True))
        encodings = self._tokenizer.encode_batch_fast(both)
        return [self._cut(encoding, encoding.sequence_ids.count(0)) for encoding in encodings]

    def recall(self, texts: Iterable[str]) -> dict[str, Encoded]:
        """Those of ``texts`` whose tokens are remembered, for :meth:`remember` of the same model elsewhere."""
        return {text: self._recent[text] for text in texts if text in self._recent}

    def remember(self, tokens: Mapping[str, Encoded]) -> None:
        """Take over tokens that :meth:`recall` gave, so that these texts are not tokenised again."""
        if len(self._recent) > REMEMBERED:
            self._recent = {}
        self._recent |= tokens

    def _remembered(self, texts: Sequence[str]) -> list[Encoded]:
        """Texts as :meth:`encode` gives them, each tokenised once while it is remembered."""
        known = self._recent
        if len(known) > REMEMBERED:
            known = self._recent = {}
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        found = [self._cut(encoding, 0) for encoding in self._tokenizer.encode_batch_fast(fresh)]
        new = dict(zip(fresh, found, strict=True))
        rows = [new[text] if text in new else known[text] for text in texts]
        known |= {text: row for text, row in new.items() if len(text) <= LONGEST_REMEMBERED}
        return rows

    def _cut(self, encoding: Any, context: int) -> Encoded:
        ids, segments = array("i", encoding.ids), array("i", encoding.type_ids)
        kept = kept_tokens(len(ids), context, self.bundle.max_length)
        if not (cut := len(ids) - len(kept)):
            return Encoded(ids, segments, 0)
        return Encoded(array("i", [ids[place] for place in kept]), array("i", [segments[place] for place in kept]), cut)

    def batches(self, encoded: Sequence[Encoded]) -> list[Batch]:
        """The batches in which :meth:`logits` runs ``encoded``."""
        return list(plan_batches([len(row.ids) for row in encoded], longest=self.bundle.max_length))

    def feed(self, encoded: Sequence[Encoded], batch: Batch) -> dict[str, npt.NDArray[np.int64]]:
        """The graph's inputs for one batch, shape (rows, width) each.

        A row alone gets an empty companion: matrix products of a single row are summed in another order, and the last
        bits of a text's logits must not depend on whether it travels alone.
        """
        shape = (max(2, len(batch.rows)), batch.width)
        ids, mask = np.full(shape, self._pad, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        mask[:, 0] = 1
        segments = np.zeros(shape, dtype=np.int64)
        for place, row in enumerate(batch.rows):
            n = len(encoded[row].ids)
            ids[place, :n], mask[place, :n], segments[place, :n] = encoded[row].ids, 1, encoded[row].segments
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
        return {name: feed[name] for name in self._inputs}

    def run(self, encoded: Sequence[Encoded], batch: Batch) -> Floats:
        """Logits of one batch, shape (rows of the batch, labels of all tasks)."""
        result: Floats = self._session.run(["logits"], self.feed(encoded, batch))[0]
        return result[: len(batch.rows)]

    def logits(self, encoded: Sequence[Encoded]) -> Floats:
        """Uncalibrated logits, shape (len(encoded), labels of all tasks), in the order given."""
        width = sum(len(task.labels) for task in self.tasks)
        out = np.empty((len(encoded), width), dtype=np.float32)
        for batch in self.batches(encoded):
            out[list(batch.rows)] = self.run(encoded, batch)
        return out

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Prediction]:
        """Score texts, each alone or with the ``pairs`` text that goes before it.

        The answer for a text does not depend on the others. Texts longer than the model reads are cut, and
        ``truncated_tokens`` says by how much.
        """
        if isinstance(texts, str):
            raise TypeError("predict takes a list of texts, not one string; write predict([text])")
        encoded = self.encode(texts, pairs)
        return self.interpret(encoded, self.logits(encoded))

    def interpret(self, encoded: Sequence[Encoded], logits: Floats) -> list[Prediction]:
        """Turn logits into predictions: temperature, softmax inside each task's group, label, abstention."""
        heat = self.bundle.temperatures
        scores = {task.name: softmax(logits[:, task.logits], heat[task.name]) for task in self.tasks}
        predictions: list[Prediction] = []
        for row, item in enumerate(encoded):
            probabilities, labels, confidence, abstained = {}, {}, {}, {}
            for task in self.tasks:
                values = scores[task.name][row]
                best = int(values.argmax())
                probabilities[task.name] = dict(zip(task.labels, map(float, values), strict=True))
                labels[task.name] = task.labels[best]
                confidence[task.name] = float(values[best])
                abstained[task.name] = float(values[best]) < self.bundle.thresholds[task.name]
            predictions.append(Prediction(probabilities, labels, confidence, abstained, len(item.ids), item.truncated))
        return predictions


def open_model(model: str | Path, precision: str | None = None) -> Bundle:
    """Read and check a model folder, or one that a registry keeps. Raises ModelError."""
    if not str(model).startswith("models:/"):
        return open_bundle(Path(model), precision)
    from inference.registered import locate

    folder, record = locate(model)
    return replace(open_bundle(folder, precision), registered=record)


def _pad_token(bundle: Bundle) -> str:
    """The padding token's text, from the tokenizer's own configuration."""
    import json

    path = bundle.folder / "tokenizer_config.json"
    try:
        token = json.loads(path.read_text(encoding="utf-8")).get("pad_token", "[PAD]")
        return str(token["content"] if isinstance(token, dict) else token)
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error!r}); export the model again") from error
