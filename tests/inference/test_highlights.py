"""The words that pull most: which passages are explained, what is kept, and how the report underlines it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from inference.explain import Explanation, Pull
from inference.highlights import FILE, choose, find_highlights, read_highlights, strongest, text_key
from inference.job import score_articles
from inference.report import write_report
from inference.report_articles import Caps, Entry, collect
from inference.report_data import Job, ReportError, open_job, passage_rows
from inference.report_totals import Totals
from inference.report_words import paragraphs
from inference.settings import ScoreSettings
from tests.inference.report_jobs import AGAINST, EVEN, FOR, STORIES, Story, Told, make_job
from tests.inference.report_page import read, spaced


class Model:
    """Stands for a classifier: the digest that the jobs made by hand name, and a count of what it explained."""

    class bundle:  # noqa: N801
        name, digest = "petit", "ab" * 32


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Explain without a model: the first word pulls for the label by 2, the second against it by 1.5."""
    seen: list[str] = []

    def explain(_: Any, text: str, task: str) -> Explanation:
        from inference.explain import word_spans

        seen.append(text)
        values = [2.0, -1.5, 0.05, *[0.0] * len(text)]
        words = tuple(Pull(start, end, text[start:end], values.pop(0)) for start, end in word_spans(text))
        return Explanation(text, task, "pro-easing", 0.8, words, len(text), {})

    monkeypatch.setattr("inference.explain.explain", explain)
    return seen


def opened(output: Path) -> tuple[Job, list[Entry]]:
    job = open_job(output)
    return job, collect(job, Totals(job), Caps())


def model() -> Any:
    return Model()


def test_highlights_choose_the_surest_of_each_article_first(tmp_path: Path) -> None:
    sure = ((0.9, 0.1, 0.0), EVEN)
    stories = [
        Story("a", [Told("un"), Told("deux", sure), Told("trois", (EVEN, EVEN)), Told("quatre", sure, abstained=True)]),
        Story("b", [Told("cinq", (AGAINST, EVEN))]),
        Story("c", [Told("six", (EVEN, FOR))]),
    ]
    job, entries = opened(make_job(tmp_path, stories))
    assert [row["text"] for row in choose(job, entries, 10)] == ["deux", "cinq", "un"]
    assert [row["text"] for row in choose(job, entries, 2)] == ["deux", "cinq"]
    assert choose(job, entries, 0) == []


def test_highlights_keep_few_words_and_none_that_hardly_pull() -> None:
    pulls = (1.0, -0.6, 0.24, 0.3, 0.4, 0.5, 0.7, -0.01)
    words = tuple(Pull(2 * place, 2 * place + 1, "x", pull) for place, pull in enumerate(pulls))
    found = strongest(Explanation("x" * 20, "stance", "neutral", 0.9, words, 20, {}))
    assert found == [(0, 1, 1.0), (2, 3, -0.6), (8, 9, 0.4), (10, 11, 0.5), (12, 13, 0.7)]
    weak = (Pull(0, 1, "x", 0.09), Pull(2, 3, "y", -0.05))
    assert strongest(Explanation("x y", "stance", "neutral", 0.9, weak, 3, {})) == []
    assert strongest(Explanation("", "stance", "neutral", 0.9, (), 0, {})) == []


def test_highlights_are_found_once_and_underlined_ever_after(tmp_path: Path, explained: list[str]) -> None:
    output = make_job(tmp_path)
    before = {path: path.read_bytes() for path in output.rglob("part-*")}
    first = write_report(output, classifier=model(), underlined=2).read_bytes()
    assert explained == [STORIES[0].passages[0].text, STORIES[1].passages[0].text]
    assert write_report(output).read_bytes() == first
    assert write_report(output, classifier=model(), underlined=2).read_bytes() == first
    assert len(explained) == 2
    write_report(output, classifier=model(), underlined=3)
    assert len(explained) == 3
    assert {path: path.read_bytes() for path in output.rglob("part-*")} == before
    assert "<mark" not in write_report(output, underlined=0).read_text(encoding="utf-8").partition("<body>")[2]
    assert "<mark" not in write_report(output, classifier=model(), underlined=0).read_text(encoding="utf-8")


def test_highlights_are_left_out_where_the_label_is_not_the_rows(tmp_path: Path, explained: list[str]) -> None:
    job, entries = opened(make_job(tmp_path))
    known = find_highlights(job, entries, model(), 2)
    assert known == {text_key(STORIES[0].passages[0].text): [(0, 3, 2.0), (4, 12, -1.5)], text_key(explained[1]): []}
    assert read_highlights(job) == known


def test_highlights_refuse_a_model_that_did_not_score_the_job(tmp_path: Path, explained: list[str]) -> None:
    other = model()
    other.bundle = type("Other", (), {"name": "autre", "digest": "cd" * 32})
    with pytest.raises(ReportError, match=r"scored by petit@abab.*give --model"):
        write_report(make_job(tmp_path), classifier=other, underlined=1)
    assert explained == []


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"model": 1, "task": 2, "method": 3, "passages": {}}', "\x00"])
def test_highlights_that_are_damaged_are_as_good_as_none(damage: str, tmp_path: Path, explained: list[str]) -> None:
    output = make_job(tmp_path)
    plain = write_report(output).read_bytes()
    (output / FILE).write_text(damage, encoding="utf-8")
    assert read_highlights(open_job(output)) == {}
    assert write_report(output).read_bytes() == plain
    write_report(output, classifier=model(), underlined=1)
    assert json.loads((output / FILE).read_text(encoding="utf-8"))["task"] == "stance"


def test_highlights_of_another_model_are_not_shown(tmp_path: Path, explained: list[str]) -> None:
    output = make_job(tmp_path)
    write_report(output, classifier=model(), underlined=2)
    content = json.loads((output / FILE).read_text(encoding="utf-8"))
    (output / FILE).write_text(json.dumps({**content, "model": "ef" * 32}), encoding="utf-8")
    assert read_highlights(open_job(output)) == {}


def test_report_underlines_words_and_tells_their_pull_in_words(tmp_path: Path, explained: list[str]) -> None:
    output = make_job(tmp_path)
    write_report(output, classifier=model(), underlined=2)
    page = read(output)
    assert page.attributes("mark", "class")[2:] == ["pull much", "pull off much"]  # after the two of the legend
    assert page.texts("mark")[2:] == ["Les", "fondeurs"]
    assert [spaced(line) for line in page.texts("div", "pulls")] == [
        "mots qui pèsent, en log-oddsLes+2,00fondeurs−1,50"
    ]
    assert "Soulignés dans 1 passage" in page.part("texts")
    assert page.texts("div", "words")[0] == STORIES[0].passages[0].text


def test_report_words_keep_paragraphs_and_escape_what_they_underline() -> None:
    hostile = "<b>un</b> & <script>x</script>\n\ndeux"
    marked = paragraphs(hostile, [(0, 3, 1.0), (12, 20, -0.2), (26, 34, 1.0), (32, 34, 1.0), (33, 36, 1.0)])
    assert marked == [
        Markup(
            '<mark class="pull much">&lt;b&gt;</mark>un&lt;/b&gt; &amp; '
            '<mark class="pull off">&lt;script&gt;</mark>x&lt;/script&gt;'
        ),
        Markup('<mark class="pull much">de</mark>ux'),  # neither across paragraphs nor within another
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.sampled_from("ab<&>'\" \n\x07é\u202e"), max_size=30),
    st.lists(st.tuples(st.integers(-3, 35), st.integers(-3, 35), st.floats(-3, 3)), max_size=6),
)
def test_report_words_never_lose_or_add_a_sign(text: str, marks: list[tuple[int, int, float]]) -> None:
    plain = [paragraph.unescape() for paragraph in paragraphs(text)]
    assert [paragraph.striptags() for paragraph in paragraphs(text, marks)] == [
        Markup.escape(paragraph).striptags() for paragraph in plain
    ]
    for paragraph in paragraphs(text, marks):
        assert paragraph.count("<mark") == paragraph.count("</mark>") == paragraph.count("<") / 2


def test_highlights_of_a_real_job_leave_the_rows_as_they_are(tmp_path: Path) -> None:
    articles = tmp_path / "a.jsonl"
    text = "Le syndicat salue la levée des quotas, qui rendra enfin de l'air à toute la filière et à ses ateliers."
    articles.write_text(json.dumps({"id": "1", "text": text}, ensure_ascii=False) + "\n", encoding="utf-8")
    with_words = score_articles([articles], tmp_path / "with", settings=ScoreSettings(underlined_passages=1, threads=1))
    without = score_articles([articles], tmp_path / "without", settings=ScoreSettings(underlined_passages=0, threads=1))
    for table in ("passages", "articles"):
        name = f"{table}/part-00000.parquet"
        assert (with_words.output / name).read_bytes() == (without.output / name).read_bytes()
    assert not (without.output / FILE).exists()
    row = next(iter(passage_rows(with_words.output)))
    assert row["stance"] == "pro-easing"
    marks = read_highlights(open_job(with_words.output))[text_key(text)]
    assert marks
    assert all(text[start:end].strip() == text[start:end] != "" for start, end, _ in marks)
