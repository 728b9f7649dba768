"""Explanations: exact offsets, the pulls of leaving words out, and words that matter more than random ones."""

import io
import json
import math
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from inference.classifier import Classifier
from inference.explain import (
    ExplainError,
    Explanation,
    Pull,
    Verdict,
    explain,
    faithfulness,
    render,
    without,
    word_spans,
)

PASSAGES = [
    "Le syndicat des importateurs salue la levée des quotas, qui rendra de l'air à la filière.",
    "Sans contrôle à la sortie, prévient le rapporteur, ces machines finiront dans des usines d'armement.",
    "Le décret a été publié mardi et entrera en vigueur au premier janvier.",
    "Il est temps d'ouvrir le marché, plaide la patronne des soyeux, car nos ateliers tournent à moitié vides.",
    "La ministre refuse d'assouplir l'embargo et promet des sanctions plus lourdes contre les fraudeurs.",
    "Cette taxe absurde étrangle les petits fabricants et ne protège personne.",
    "Les deux délégations se retrouveront à Genève pour parler des licences de logiciels.",
    "Interdire la vente de ces capteurs serait la seule façon de garder notre avance, juge l'amiral.",
    "Grâce à la fin des droits de douane, les vergers de la vallée exportent de nouveau, et l'on s'en réjouit.",
    "Rien ne prouve que l'assouplissement menace la sécurité, et deux experts sur trois le recommandent.",
    "Le comité a rendu son avis sur les puces gravées en sept nanomètres.",
    "Trop longtemps on a laissé filer nos brevets ; il faut maintenant fermer la porte, tonne le député.",
]

SURE: dict[str, Verdict] = {"stance": {"label": "pro-easing", "confidence": 0.81, "abstained": False}}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(threads=1)


def words_of(text: str) -> list[str]:
    return [text[start:end] for start, end in word_spans(text)]


def printed(explanation: Explanation, *, colour: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=colour, color_system="standard" if colour else None, width=200)
    console.print(render(explanation))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("L'accord d’hier", ["L'", "accord", "d’", "hier"]),
        ("aujourd'hui, quelqu’un vise-t-il 3,5 % ?", ["aujourd'hui", "quelqu’un", "vise-t-il", "3,5"]),
        ("« les importateurs' » – non !", ["les", "importateurs", "non"]),
        (
            unicodedata.normalize("NFD", "levée entière"),
            [unicodedata.normalize("NFD", word) for word in ("levée", "entière")],
        ),
        ("… ?!", []),
    ],
)
def test_explain_word_spans_know_french_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text(st.sampled_from("aé'’ -.,3\n«Z"), max_size=40))
def test_explain_word_spans_lie_in_order_and_cover_every_letter(text: str) -> None:
    spans = word_spans(text)
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    covered = {place for start, end in spans for place in range(start, end)}
    assert covered >= {place for place, sign in enumerate(text) if sign.isalnum()}


@given(st.lists(st.sampled_from(["l'", "un", "prix ", " ", ", ", "été"]), max_size=12), st.data())
def test_explain_without_takes_the_words_and_white_space_only(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    spans = word_spans(text)
    gone = data.draw(st.lists(st.sampled_from(spans), unique=True)) if spans else []
    places = {place for start, end in gone for place in range(start, end)}
    kept = "".join(sign for place, sign in enumerate(text) if place not in places)
    assert "".join(without(text, gone).split()) == "".join(kept.split())


def test_explain_without_leaves_no_double_space() -> None:
    text = "Le prix monte vite."
    spans = word_spans(text)
    assert without(text, spans[:1]) == "prix monte vite."
    assert without(text, spans[1:3]) == "Le vite."
    assert without(text, spans) == "."


def test_explain_pull_is_the_fall_of_the_log_odds(classifier: Classifier) -> None:
    text = PASSAGES[0]
    for task in classifier.tasks:
        explanation = explain(classifier, text, task.name)
        whole = classifier.predict([text])[0]
        assert explanation.label == whole[task.name]
        assert explanation.probability == pytest.approx(whole.confidence[task.name])
        assert [(word.start, word.end) for word in explanation.words] == word_spans(text)
        for word in explanation.words:
            assert text[word.start : word.end] == word.word
            left = classifier.predict([without(text, [(word.start, word.end)])])[0]
            before, after = explanation.probability, left.probabilities[task.name][explanation.label]
            fall = math.log(before / (1 - before)) - math.log(after / (1 - after))
            assert word.pull == pytest.approx(fall, abs=1e-6)


def test_explain_takes_the_first_task_unless_told(classifier: Classifier) -> None:
    assert explain(classifier, PASSAGES[0]).task == classifier.tasks[0].name
    assert explain(classifier, PASSAGES[0], classifier.tasks[-1].name).task == classifier.tasks[-1].name


def test_explain_is_the_same_twice_and_survives_json(classifier: Classifier) -> None:
    explanation = explain(classifier, PASSAGES[3])
    assert explain(classifier, PASSAGES[3]) == explanation
    back = json.loads(json.dumps(explanation.as_dict(), allow_nan=False))
    words = tuple(Pull(**word) for word in back.pop("words"))
    assert Explanation(words=words, **back) == explanation


def test_explain_limit_keeps_the_strongest_in_reading_order(classifier: Classifier) -> None:
    whole = explain(classifier, PASSAGES[1])
    short = explain(classifier, PASSAGES[1], limit=4)
    assert sorted(short.words, key=lambda word: word.start) == list(short.words)
    weakest = min(abs(word.pull) for word in short.words)
    dropped = set(whole.words) - set(short.words)
    assert len(short.words) == 4
    assert all(abs(word.pull) <= weakest for word in dropped)


def test_explain_stops_where_the_model_stops_reading(classifier: Classifier) -> None:
    text = " ".join(PASSAGES * 3)
    explanation = explain(classifier, text)
    assert explanation.read < len(text)
    assert explanation.words[-1].end == explanation.read
    assert classifier.count_tokens([text[: explanation.read]])[0] <= classifier.bundle.max_length
    following = word_spans(text)[len(explanation.words)]
    assert classifier.count_tokens([text[: following[1]]])[0] > classifier.bundle.max_length
    assert "more characters" in printed(explanation, colour=False)


def test_explain_says_what_it_cannot_explain(classifier: Classifier) -> None:
    for text in ("", " \n", "… !"):
        with pytest.raises(ExplainError, match="no word"):
            explain(classifier, text)
    with pytest.raises(ExplainError, match="no task 'topic'; it has stance"):
        explain(classifier, PASSAGES[0], "topic")
    with pytest.raises(ExplainError, match="limit is 0"):
        explain(classifier, PASSAGES[0], limit=0)


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=30))
def test_explain_takes_any_text(classifier: Classifier, text: str) -> None:
    if not word_spans(text):
        return
    explanation = explain(classifier, text)
    assert all(math.isfinite(word.pull) for word in explanation.words)
    printed(explanation, colour=True)


def test_explain_render_tells_sign_and_strength_without_colour() -> None:
    text = "Un accord triste, un pas."
    pulls = (Pull(0, 2, "Un", 0.01), Pull(3, 9, "accord", 2.0), Pull(10, 16, "triste", -0.5), Pull(21, 24, "pas", -1.5))
    explanation = Explanation(text, "stance", "pro-easing", 0.81, pulls, len(text), SURE)
    shown = render(explanation)
    styles = {shown.plain[span.start : span.end]: str(span.style) for span in shown.spans}
    assert styles["accord"] == "bold blue underline"
    assert styles["triste"] == "yellow italic"
    assert styles["pas"] == "bold yellow italic"
    assert "Un" not in styles
    plain = printed(explanation, colour=False)
    assert text in plain
    assert plain.startswith("stance: pro-easing, confidence 81%\n")
    assert plain.index("+2.00  accord") < plain.index("-1.50  pas") < plain.index("-0.50  triste")
    assert "\x1b" not in plain


def test_explain_says_of_every_task_what_the_classifier_says(classifier: Classifier) -> None:
    for text in PASSAGES[:4]:
        explanation = explain(classifier, text, limit=1)
        (said,) = classifier.predict([text])
        assert {name: verdict["label"] for name, verdict in explanation.tasks.items()} == said.labels
        assert {name: verdict["abstained"] for name, verdict in explanation.tasks.items()} == said.abstained
        for name, verdict in explanation.tasks.items():
            assert verdict["confidence"] == pytest.approx(said.confidence[name], abs=1e-6)
        assert explanation.tasks[explanation.task]["confidence"] == pytest.approx(explanation.probability, abs=1e-6)


def test_explain_render_shows_doubt_the_explained_task_first() -> None:
    tasks: dict[str, Verdict] = {
        "stance": {"label": "pro-easing", "confidence": 0.81, "abstained": False},
        "sentiment": {"label": "positive", "confidence": 0.47, "abstained": True},
    }
    plain = render(Explanation("Un pas.", "sentiment", "positive", 0.47, (), 7, tasks)).plain
    first, second = plain.splitlines()[:2]
    assert first.startswith("sentiment: positive, confidence 47%, abstained")
    assert second == "stance: pro-easing, confidence 81%"


def test_explain_render_disarms_control_characters() -> None:
    text = "Le \x1b[31mprix\x07 [bold]monte[/bold]\u202e\r\nici"
    spans = word_spans(text)
    pulls = tuple(Pull(start, end, text[start:end], 1.0) for start, end in spans)
    plain = render(Explanation(text, "stance", "neutral", 0.5, pulls, len(text), SURE)).plain
    assert "Le \ufffd[31mprix\ufffd [bold]monte[/bold]\ufffd \nici" in plain


def test_explain_words_matter_more_than_random_words(classifier: Classifier) -> None:
    for task in classifier.tasks:
        result = faithfulness(classifier, PASSAGES, task.name, top=3, seed=0)
        assert result["n"] == len(PASSAGES)
        assert result["comprehensiveness_top"] > result["comprehensiveness_random"]
        assert result["comprehensiveness_top"] > 0
        assert result == faithfulness(classifier, PASSAGES, task.name, top=3, seed=0)


def test_explain_faithfulness_leaves_out_texts_too_short_to_tell(classifier: Classifier) -> None:
    assert faithfulness(classifier, [*PASSAGES[:2], "Trois mots seulement.", "?"])["n"] == 2
    with pytest.raises(ExplainError, match="more than 3 words"):
        faithfulness(classifier, ["Trois mots seulement."])
    with pytest.raises(ExplainError, match="top is 0"):
        faithfulness(classifier, PASSAGES, top=0)
