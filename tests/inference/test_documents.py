from pathlib import Path

import pytest

from inference.documents import read_document, split_header, title_line
from inference.inputs import list_inputs
from inference.records import RawArticle, ReadOptions, Rejected

BODY = (
    "Le ministère a prolongé mardi le régime des licences, que les fabricants attendaient depuis des mois.\n\n"
    "Les syndicats demandent un calendrier plus long et des contrôles mieux ciblés pour les petites entreprises.\n"
)


def read(tmp_path: Path, name: str, content: str, limit: int = 1_000_000) -> RawArticle | Rejected:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    (item,) = read_document(list_inputs([tmp_path / name])[0], ReadOptions(max_article_bytes=limit))
    return item


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_documents_header_of_a_text(end: str) -> None:
    header = ["Titre: Un sursis", "Date : 12 mars 2026", "SOURCE: La Gazette", "Thème\xa0: puces", "id: a-1"]
    values, text = split_header(end.join([*header, "", BODY]))
    assert values == {
        "title": "Un sursis",
        "date": "12 mars 2026",
        "source": "La Gazette",
        "topic": "puces",
        "id": "a-1",
    }
    assert text.strip() == BODY.strip()


def test_documents_title_over_the_header_stays_in_the_text() -> None:
    values, text = split_header(f"Un sursis de six mois\nDate: 2026-03-12\nSource: La Gazette\n\n{BODY}")
    assert values == {"title": "Un sursis de six mois", "date": "2026-03-12", "source": "La Gazette"}
    assert text == f"Un sursis de six mois\n\n{BODY}"


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        f"{BODY}\nDate: 2026-03-12\n\nFin.",
        f"\nDate: 2026-03-12\n\n{BODY}",
        f"Date: 2026-03-12\nUne phrase sans ligne vide.\n{BODY}",
        "Date: 2026-03-12\nSource: La Gazette",
        f"Date: 2026-03-12\nDate: 2026-03-13\n\n{BODY}",
        f"Auteur: M. Ferrand\nLieu: Metz\n\n{BODY}",
        "",
    ],
)
def test_documents_what_is_no_header_stays_text(text: str) -> None:
    assert split_header(text) == ({}, text)


@pytest.mark.parametrize("first", ["Un sursis de six mois", "« Un sursis »", "Quel sursis ?", "Puces : un sursis"])
def test_documents_first_line_is_the_title(first: str) -> None:
    assert title_line(f"{first}\n\n{BODY}") == first
    assert title_line(f"{first}\n{BODY.replace(chr(10) * 2, chr(10))}") == first


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        f"Une phrase courte.\n\n{BODY}",
        f"Les points du texte :\n\n{BODY}",
        f"- un point\n\n{BODY}",
        f"— Une réplique\n\n{BODY}",
        f"{'mot ' * 60}\n\n{BODY}",
        "Une seule ligne",
        "",
    ],
)
def test_documents_first_line_that_is_no_title(text: str) -> None:
    assert title_line(text) is None


def test_documents_text_is_kept_as_it_is_written(tmp_path: Path) -> None:
    content = f"  Un titre\r\n\r\n{BODY}\t"
    item = read(tmp_path, "a.txt", content)
    assert isinstance(item, RawArticle)
    assert item.values["text"] == content
    assert item.values["title"] == "Un titre"


def test_documents_markdown(tmp_path: Path) -> None:
    item = read(
        tmp_path, "a.md", f"---\nTitre: Un sursis\ndate: 2026-03-12\nsource: La Gazette\n---\n# Autre\n\n*{BODY}*"
    )
    assert isinstance(item, RawArticle)
    assert item.values["title"] == "Un sursis"
    assert str(item.values["date"]) == "2026-03-12"
    assert item.values["source"] == "La Gazette"
    assert str(item.values["text"]).startswith("Autre\n\n")
    assert item.notes == ()


def test_documents_markdown_heading_is_the_title(tmp_path: Path) -> None:
    item = read(tmp_path, "a.md", f"# Un *sursis*\n\n{BODY}")
    assert isinstance(item, RawArticle)
    assert item.values["title"] == "Un sursis"


def test_documents_front_matter_that_is_not_understood_is_told(tmp_path: Path) -> None:
    item = read(tmp_path, "a.md", f"---\ntitle: [un : sursis\n---\n\n{BODY}")
    assert isinstance(item, RawArticle)
    assert item.notes == ("front matter not understood: kept as text",)
    assert "sursis" in str(item.values["text"])


def test_documents_page_in_its_declared_encoding(tmp_path: Path) -> None:
    page = f'<meta charset="iso-8859-1"><title>Un sursis</title><p>{BODY}</p>'
    (tmp_path / "a.html").write_bytes(page.encode("cp1252"))
    (item,) = read_document(list_inputs([tmp_path])[0], ReadOptions())
    assert isinstance(item, RawArticle)
    assert item.encoding == "cp1252"
    assert "Le ministère" in str(item.values["text"])
    assert item.values["title"] == "Un sursis"


def test_documents_too_long_is_rejected(tmp_path: Path) -> None:
    assert read(tmp_path, "a.txt", "x" * 1001, limit=1000) == Rejected(
        "a.txt", "the file is longer than 1,000 bytes", "cut it into articles, or raise max_article_bytes"
    )
