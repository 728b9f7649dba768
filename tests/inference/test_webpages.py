import builtins
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.webpages import declared_encoding, page_text

FIRST = "Le ministère a prolongé mardi le régime des licences, que les fabricants attendaient depuis des mois."
SECOND = "Les syndicats demandent un calendrier plus long et des contrôles mieux ciblés pour les petites entreprises."
PAGE = f"""<!DOCTYPE html>
<html lang="fr"><head><meta charset="utf-8"><title>Un sursis | La Gazette</title>
<meta property="article:published_time" content="2026-03-12T08:00:00+01:00">
<meta property="og:site_name" content="La Gazette &amp; Cie"><meta property="article:section" content="Économie">
<style>p {{ color: red }}</style><script>var secret = "<p>caché</p>";</script></head>
<body><nav><ul><li>Accueil</li><li>Sports</li></ul></nav>
<main><article><h1>Un sursis
de six mois</h1><p>{FIRST}</p><!-- <p>remarque</p> -->
<p>{SECOND}<br><br>L&rsquo;avis sera publié lundi, sans plus de détails sur la suite que le ministère entend donner.</p>
</article></main><aside><p>À lire aussi</p></aside><footer>Mentions légales</footer></body></html>"""


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the ``html`` extra."""
    monkeypatch.delitem(sys.modules, "trafilatura", raising=False)
    real = builtins.__import__

    def importing(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002  # the built-in's own name
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if name == "trafilatura":
            raise ImportError(name)
        return real(name, globals, locals, fromlist or (), level)

    monkeypatch.setattr(builtins, "__import__", importing)


def check_values(values: dict[str, object]) -> None:
    assert values == {
        "title": "Un sursis de six mois",
        "date": "2026-03-12T08:00:00+01:00",
        "source": "La Gazette & Cie",
        "topic": "Économie",
    }


@pytest.mark.usefixtures("_bare")
def test_webpages_blocks_of_the_main_part() -> None:
    text, values = page_text(PAGE)
    assert text.split("\n\n") == [
        "Un sursis de six mois",
        FIRST,
        SECOND,
        "L’avis sera publié lundi, sans plus de détails sur la suite que le ministère entend donner.",
    ]
    check_values(values)


@pytest.mark.skipif(importlib.util.find_spec("trafilatura") is None, reason="needs the html extra")
def test_webpages_main_text_by_trafilatura() -> None:
    text, values = page_text(PAGE)
    paragraphs = text.split("\n\n")
    assert FIRST in paragraphs
    assert SECOND in paragraphs
    assert not {"Accueil", "Sports", "Mentions légales", "À lire aussi"} & set(paragraphs)
    check_values(values)


def test_webpages_fall_back_where_the_extractor_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(html: str, **options: Any) -> str:
        raise RuntimeError(html[:1])

    monkeypatch.setitem(sys.modules, "trafilatura", SimpleNamespace(extract=failing))
    assert FIRST in page_text(PAGE)[0].split("\n\n")
    monkeypatch.setitem(sys.modules, "trafilatura", SimpleNamespace(extract=lambda html, **options: None))
    assert FIRST in page_text(PAGE)[0].split("\n\n")


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Un<p>Deux", "Un\n\nDeux"),
        ("Un simple texte, 3 < 5 &amp; 7 > 2.", "Un simple texte, 3 < 5 & 7 > 2."),
        ("<head><title>T</title><p>Sans corps ni fin", "Sans corps ni fin"),
        ("<nav><p>Tout est dans un menu jamais fermé", "Tout est dans un menu jamais fermé"),
        ("<p>Avant<script>if (a < b) { '</p>' }</script> après</p>", "Avant après"),
        ("<ul><li>un<li>deux</ul><table><tr><td>a<td>b</table>", "un\n\ndeux\n\na\n\nb"),
        ("<p>un\n  deux<br>trois</p>", "un deux\ntrois"),
        ("<p>Un <b title='a > b'>mot</b> <i>ici</i>", "Un mot ici"),
        ("<svg><title>icône</title></svg><p>Un", "Un"),
        ('<p>Coupé <a href="x', 'Coupé <a href="x'),
        ("<![CDATA[ rien ]]><p>Un</p><?php echo 1 ?>", "Un"),
    ],
)
def test_webpages_odd_markup(html: str, text: str) -> None:
    assert page_text(html)[0] == text


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize(
    ("head", "role", "value"),
    [
        ("<title>Un  sursis</title>", "title", "Un sursis"),
        ("<title>Un sursis | G</title><meta property=og:title content='Un sursis'>", "title", "Un sursis"),
        ("<meta name=DC.date content=2026-03-12>", "date", "2026-03-12"),
        ('<script type="application/ld+json">{"datePublished": "2026-03-12"}</script>', "date", "2026-03-12"),
        ("<time datetime='2026-03-12'>jeudi</time><time datetime='2020-01-01'>", "date", "2026-03-12"),
        ("<p>12 mars 2026</p>", "date", None),
        ("", "source", None),
    ],
)
def test_webpages_state_their_values(head: str, role: str, value: str | None) -> None:
    assert page_text(f"{head}<p>{FIRST}</p>")[1][role] == value


@pytest.mark.parametrize(
    ("page", "codec"),
    [
        (b'<meta charset="ISO-8859-1">', "cp1252"),
        (b"<META http-equiv=Content-Type content='text/html; charset=windows-1252'>", "cp1252"),
        (b"<meta charset=utf-8>", None),
        (b"<meta charset=rot13>", None),
        (b"<p>sans</p>", None),
    ],
)
def test_webpages_declared_encoding(page: bytes, codec: str | None) -> None:
    assert declared_encoding(page) == codec


TAGS = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<",
        ">",
        "<!--",
        "-->",
        "<![",
        "<?",
        "<a href='",
        '"',
        "'",
        "<script>",
        "</script>",
        "<title>",
        "<nav>",
        "mot ",
        "&",
        "&#",
    ]
)


@pytest.mark.usefixtures("_bare")
@given(st.one_of(st.text(max_size=200), st.lists(TAGS, max_size=60).map("".join)))
def test_webpages_any_page_is_taken(html: str) -> None:
    text, values = page_text(html)
    assert text == text.strip()
    assert set(values) == {"title", "date", "source", "topic"}


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize("piece", ["<", "<a ", "<!--", "</", '<a b="', "<a b='c\" ", "<p>", "<title>", "&#"])
def test_webpages_of_many_broken_tags_are_read(piece: str) -> None:
    text, _ = page_text("<p>Bonjour</p>" + piece * (300_000 // len(piece)))
    assert text.startswith("Bonjour")
