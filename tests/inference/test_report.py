"""The report: what it says, in both languages, from any model; hostile text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.labels import Task
from inference.paragraphs import paragraph_spans
from inference.report import write_report
from inference.report_articles import Caps
from tests.inference.report_jobs import EVEN, FOR, STORIES, Story, Told, make_job
from tests.inference.report_page import Page, read, spaced


def test_report_says_what_was_read(tmp_path: Path) -> None:
    page = read(
        make_job(tmp_path, rejected=[{"place": "x.csv:3", "id": None, "reason": "empty", "mend": "leave it out"}])
    )
    assert page.texts("h1") == ["4 articles, 10 passages"]
    figures = dict(zip(page.texts("dt")[:5], page.texts("dd")[:5], strict=True))
    assert list(figures.values()) == ["4", "10", "10\u202f%", "1", "1"]
    whole = spaced(page.part("whole"))
    assert "x.csv:3 empty leave it out" in whole
    assert "assouplissement" in whole
    assert "Agence Bleue" in whole
    assert "janvier 2026" in whole
    assert "pas en français" in whole


def test_report_lists_every_article_with_its_marks_and_links_to_its_text(tmp_path: Path) -> None:
    page = read(make_job(tmp_path))
    assert page.texts("td", "c-title") == [
        "Licences : l’atelier attend",
        "Zones grises",
        "Été : l’arrêté",
        "Personne ne gagne à ce blocus.",
    ]
    links = [link for link in page.attributes("a", "href") if link.startswith("#article-")]
    assert links == [f"#article-{number}" for number in (1, 2, 3, 4)]
    assert set(links) <= {f"#{identity}" for identity in page.attributes("article", "id")}
    assert [index.split()[0] for index in page.texts("td", "c-index")] == ["+0,25", "−1,00", "0,00", "+1,00"]
    assert page.texts("td", "c-strip")[0] == "2 assouplissement, 1 neutre, 1 restriction"


def test_report_shows_passages_whole_in_order_with_their_probabilities(tmp_path: Path) -> None:
    page = read(make_job(tmp_path))
    told = [passage for story in STORIES for passage in story.passages]
    assert page.texts("div", "words") == [passage.text.replace("\n\n", "") for passage in told]
    assert page.texts("details", "odds")[0].splitlines() == [
        "▲ assouplissement 80\u202f%",
        "+ positif 80\u202f%",
        "80 15 5 5 15 80",
    ]
    assert "incertain" in page.texts("details", "odds")[3]
    assert [style.split()[1:] for style in page.attributes("section", "class") if style.startswith("passage")][:4] == [
        ["ap", "s2"],
        ["an", "s2"],
        ["am", "s2"],
        ["ap", "s1", "unsure"],
    ]


def test_report_carries_no_address_of_any_network(tmp_path: Path) -> None:
    page = read(make_job(tmp_path))
    addresses = [
        value
        for name in ("src", "href", "action", "srcset")
        for tag in ("a", "link", "use", "img", "script")
        for value in page.attributes(tag, name)
    ]
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    style = "".join(page.texts("style"))
    assert not re.search(r"url\(|@import|@font-face", style)


def test_report_lets_only_its_own_script_run(tmp_path: Path) -> None:
    page = read(make_job(tmp_path))
    policy = next(value for value in page.attributes("meta", "content") if "script-src" in value)
    script = page.texts("script")[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}';" in policy


HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> &lt;b&gt; &amp;amp; "
    "\u202eוקד\u202c \"'`{{ 7*7 }}{% raw %}"
)


def test_report_keeps_hostile_text_as_text(tmp_path: Path) -> None:
    long = "é" * 3_000
    story = Story(
        HOSTILE,
        [Told(HOSTILE), Told(long), Told("\x07sonne\x1b[31m")],
        HOSTILE,
        "2026-01-01",
        HOSTILE,
        HOSTILE,
        f"{HOSTILE}; autre: {HOSTILE}",
    )
    rejected = [{"place": HOSTILE, "id": HOSTILE, "reason": HOSTILE, "mend": HOSTILE}]
    facts = {
        "run": HOSTILE,
        "limits": [HOSTILE],
        "tests": {HOSTILE: {"stance": {HOSTILE: {"value": 0.5, "low": None, "high": None, "n": 3}}}},
    }
    page = read(make_job(tmp_path, [story], rejected=rejected, facts=facts))
    assert len(page.texts("script")) == 3
    assert not page.texts("img")
    assert page.texts("td", "c-title") == [HOSTILE]
    assert page.texts("td", "c-source") == [HOSTILE]
    assert page.texts("div", "words") == [HOSTILE, long, "␇sonne␛[31m"]
    assert spaced(page.part("whole")).count(spaced(HOSTILE)) == 3 + 2  # a row of the quarantine, a source, a topic
    assert page.texts("ul", "limits")[0].lstrip().startswith(HOSTILE)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
    title=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_report_gives_back_any_text(text: str, title: str, tmp_path: Path) -> None:
    page = read(make_job(tmp_path, [Story("a", [Told(text)], title)], form="parquet"))

    def shown(raw: str) -> str:
        return "".join(
            chr(0x2400 + ord(sign)) if ord(sign) < 32 and sign not in "\t\n" else "␡" if sign == "\x7f" else sign
            for sign in raw
        )

    spans = paragraph_spans(text) or [(0, len(text))]
    assert page.texts("div", "words") == ["".join(shown(text[start:end]) for start, end in spans)]
    assert page.texts("td", "c-title") == [shown(title)]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_report_is_the_same_from_every_format(form: str, tmp_path: Path) -> None:
    stories = [*STORIES, Story("a5", [Told("- Non, dit le patron.")], "Entretien", "2026-01-03")]
    expected = write_report(make_job(tmp_path / "parquet", stories)).read_bytes()
    assert write_report(make_job(tmp_path / form, stories, form=form)).read_bytes() == expected


def test_report_is_the_same_each_time(tmp_path: Path) -> None:
    first = write_report(make_job(tmp_path / "one")).read_bytes()
    assert write_report(make_job(tmp_path / "two", part_stories=1)).read_bytes() == first
    assert write_report(tmp_path / "one").read_bytes() == first


def test_report_opens_in_the_language_asked_for_and_holds_both(tmp_path: Path) -> None:
    page = read(make_job(tmp_path), lang="en")
    assert page.attributes("html", "lang") == ["en"]
    assert page.texts("h2") == ["The whole", "The articles", "The texts", "The model"]
    assert page.texts("td", "c-date")[0] == "14 January 2026"
    phrases = json.loads(page.part("phrases"))
    assert phrases["fr"]["whole"] == "L’ensemble"


def test_report_draws_a_model_with_other_tasks(tmp_path: Path) -> None:
    urgent = Task("urgence", ("oui", "non_pas"), 0)
    stories = [
        Story("a", [Told("Vite.", [(0.9, 0.1)]), Told("Plus tard.", [(0.2, 0.8)])], "Un", "2026-01-01", "S", "T")
    ]
    page = read(make_job(tmp_path, stories, tasks=[urgent], axes={}))
    assert page.texts("td", "c-label") == ["oui"]
    assert not page.texts("td", "c-index")
    assert page.texts("details", "odds")[0].splitlines() == ["● oui 90\u202f%", "90 10"]
    whole = spaced(page.part("whole"))
    assert "urgence" in whole
    assert "non pas" in whole
    assert "Au fil du temps" not in whole
    assert not re.search(r"assouplissement|restriction", whole)


def test_report_mean_index_counts_each_article_once_and_adds_variances(tmp_path: Path) -> None:
    stories = [Story(f"s{n}", [Told("Oui.", ((0.6, 0.4, 0.0), EVEN))] * 4, source="S") for n in range(25)]
    stories.append(Story("long", [Told("Non.", (EVEN, EVEN))] * 40, source="Autre"))
    page = read(make_job(tmp_path, stories))
    whole = spaced(page.part("whole"))
    # Of one article 0.6 is expected, give or take 0.48; of 25 the doubt is a fifth; the index shown is held.
    assert "S +1,00 +0,50 … +1,00 25" in whole
    assert "Indice moyen des articles +0,96" in whole  # 25 of 26 articles, not 100 of 140 passages


def test_report_caps_texts_and_rows_and_says_so(tmp_path: Path) -> None:
    output = make_job(tmp_path)
    page = read(output, caps=Caps(table_articles=3, articles=2))
    assert len(page.texts("td", "c-title")) == 3
    assert page.attributes("article", "id") == ["article-1", "article-2"]
    notes = [spaced(note) for note in page.texts("p", "note")]
    assert "Le tableau montre les 3 premiers articles sur 4" in " ".join(notes)
    assert "Le texte intégral est donné pour 2 articles sur 4" in " ".join(notes)
    assert page.texts("h1") == ["4 articles, 10 passages"]
    assert read(output, caps=Caps(passages=7)).attributes("article", "id") == ["article-1", "article-2"]
    first = sum(len(passage.text) for passage in STORIES[0].passages)
    assert read(output, caps=Caps(characters=first + 10)).attributes("article", "id") == ["article-1"]
    assert "+2" in read(output, caps=Caps(strip=2)).texts("td", "c-strip")[0]


def test_report_of_a_huge_job_stays_small(tmp_path: Path) -> None:
    stories = [
        Story(f"a{n}", [Told("Un passage.", (FOR, EVEN))] * 3, source=f"Source {n}", topic=f"t{n % 3}")
        for n in range(900)
    ]
    output = make_job(tmp_path, stories, part_stories=300, form="jsonl")
    page = write_report(output, caps=Caps(table_articles=20, articles=10)).read_text(encoding="utf-8")
    assert Page(page).texts("h1") == ["900 articles, 2\u202f700 passages"]
    assert "et 890 autres articles d’autres sources" in page
    assert len(page) < 200_000


def test_report_of_a_job_without_articles(tmp_path: Path) -> None:
    page = read(
        make_job(tmp_path, [], rejected=[{"place": "x.txt", "id": None, "reason": "empty", "mend": "leave it out"}])
    )
    assert page.texts("h1") == ["0 article, 0 passage"]
    assert "x.txt" in page.part("whole")
    assert not page.texts("td", "c-title")


@pytest.mark.parametrize("facts", [{}, {"tests": {}}, {"tests": {"seen": {"stance": {"f1": {"value": None}}}}}])
def test_report_of_a_model_without_figures_warns(facts: dict[str, Any], tmp_path: Path) -> None:
    assert len(read(make_job(tmp_path, facts=facts)).texts("p", "warning")) == 1


def test_report_says_how_the_model_did_with_its_intervals(tmp_path: Path) -> None:
    figures = {
        "macro_f1": {"value": 0.71, "low": 0.66, "high": 0.76, "n": 1200},
        "ece": {"value": 0.04, "low": None, "high": None, "n": 1200},
    }
    facts = {"tests": {"unseen": {"stance": figures}}, "trained_on": ["a", "b"], "corpus": {"rows": {"train": 12}}}
    facts["limits"] = {"fr": ["Ne lit pas l’ironie."], "en": ["Does not read irony."]}
    model = spaced(read(make_job(tmp_path, facts=facts)).part("model"))
    assert "sujets nouveaux position 0,710 0,660 … 0,760 1 200" in spaced(model.replace("\u202f", " "))
    assert "erreur de calibration 0,040 1 200" in model.replace("\u202f", " ")
    assert "entraîné sur a, b" in model.lower()
    assert "ab" * 32 in model
    assert "Ne lit pas l’ironie." in model
