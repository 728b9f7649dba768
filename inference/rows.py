"""Output rows: what is written of a passage and of an article."""

from __future__ import annotations

from collections.abc import Sequence

from inference.aggregate import rule_of, summarise
from inference.articles import Article
from inference.classifier import Classifier, Prediction
from inference.language import looks_french
from inference.passages import Passage
from inference.splitting import count_words
from inference.writer import Row

#: Probabilities and indices are written to four decimals: more would be false precision.
DIGITS = 4
#: An article of fewer words, a heading say, has too little in it to be judged; it is judged all the same, and flagged.
FEWEST_WORDS = 5


def model_name(classifier: Classifier) -> str:
    """How rows name their model: its name and the first twelve digits of its digest."""
    return f"{classifier.bundle.name}@{classifier.bundle.digest[:12]}"


def passage_row(article: Article, passage: Passage, prediction: Prediction, classifier: Classifier) -> Row:
    """One output row of ``passages/``."""
    row: Row = {
        "article_id": article.id,
        "passage_index": passage.index,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        **score_columns(prediction, classifier),
    }
    return row


def score_columns(prediction: Prediction, classifier: Classifier) -> Row:
    """The columns of a passage row that follow its text."""
    row: Row = {**prediction.labels}
    for task in classifier.tasks:
        for label in task.labels:
            row[task.column(label)] = round(prediction.probabilities[task.name][label], DIGITS)
    first = classifier.tasks[0].name
    row["confidence"] = round(prediction.confidence[first], DIGITS)
    row["abstained"] = prediction.abstained[first]
    row["n_tokens"] = prediction.n_tokens
    row["truncated_tokens"] = prediction.truncated_tokens
    row["model"] = model_name(classifier)
    return row


def article_row(article: Article, predictions: Sequence[Prediction], classifier: Classifier) -> Row:
    """One output row of ``articles/``."""
    bundle = classifier.bundle
    labels = {task.name: task.labels for task in classifier.tasks}
    summaries = summarise(predictions, labels, bundle.axes, rule_of(bundle))
    row: Row = {
        "article_id": article.id,
        "title": article.title,
        "date": article.date,
        "source": article.source,
        "topic": article.topic,
        "n_passages": len(predictions),
    }
    for task in classifier.tasks:
        summary = summaries[task.name]
        row |= {f"share_{task.column(label)}": round(summary.shares[label], DIGITS) for label in task.labels}
        row[task.name] = summary.label
        if summary.index is not None and summary.low is not None and summary.high is not None:
            row[f"{task.name}_index"] = round(summary.index, DIGITS)
            row[f"{task.name}_index_low"] = round(summary.low, DIGITS)
            row[f"{task.name}_index_high"] = round(summary.high, DIGITS)
    first = classifier.tasks[0].name
    abstained = sum(prediction.abstained[first] for prediction in predictions)
    row["share_abstained"] = round(abstained / len(predictions), DIGITS)
    row["flags"] = "; ".join(article_flags(article, predictions))
    row["model"] = model_name(classifier)
    return row


def article_flags(article: Article, predictions: Sequence[Prediction]) -> list[str]:
    """What a reader of the row should know: another encoding or language, too little or cut text, odd dates."""
    flags = [] if looks_french(article.text) else ["not French?"]
    if article.encoding:
        flags.append(f"read as {article.encoding}")
    if len(predictions) == 1 and count_words(article.text) < FEWEST_WORDS:
        flags.append("a few words only")
    if any(prediction.truncated_tokens for prediction in predictions):
        flags.append("cut to the model's length")
    return [*flags, *article.notes]
