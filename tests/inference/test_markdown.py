import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.markdown import front_matter, inline_text, plain_text


def test_markdown_front_matter_is_taken_off() -> None:
    fields, text = front_matter('---\ntitle: "Puces : un sursis"\ndate: 2026-03-12\n---\n\nLe texte.\n')
    assert fields["title"] == "Puces : un sursis"
    assert str(fields["date"]) == "2026-03-12"
    assert text == "\nLe texte.\n"


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: Puces : un : sursis: [\n---\nLe texte.",
        "---\nUne phrase entre deux traits.\n---\nLe texte.",
        "---\ntitle: jamais fermé\n\nLe texte.",
        "Le texte.\n---\ntitle: trop tard\n---\n",
        "---\n- une\n- liste\n---\nLe texte.",
    ],
)
def test_markdown_what_is_no_front_matter_stays_text(text: str) -> None:
    assert front_matter(text) == ({}, text)


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("un *mot* et _un autre_", "un mot et un autre"),
        ("**gras**, __gras__ et ***les deux***", "gras, gras et les deux"),
        ("un **deux** trois et un *quatre* cinq", "un deux trois et un quatre cinq"),
        ("2 + 2, prix - hausse", "2 + 2, prix - hausse"),
        ("~~barré~~", "barré"),
        ("5 * 3 * 2 et nom_de_fichier_long", "5 * 3 * 2 et nom_de_fichier_long"),
        ('un [lien](https://exemple.fr/a_(b) "titre") ici', "un lien ici"),
        ("un [lien][ref] et ![une image](i.png)", "un lien et une image"),
        ("une note[^1] de bas de page", "une note de bas de page"),
        ("voir <https://exemple.fr>", "voir https://exemple.fr"),
        ("du `code_avec_*signes*` ici", "du code_avec_*signes* ici"),
        ("un <em>mot</em><br/>coupé", "un motcoupé"),
        (r"cinq \* trois et \[rien\]", "cinq * trois et [rien]"),
        ("3 < 5 et 7 > 2, l'art. [3] aussi", "3 < 5 et 7 > 2, l'art. [3] aussi"),
        ("une étoile * seule, une autre* aussi", "une étoile * seule, une autre* aussi"),
    ],
)
def test_markdown_inline(markdown: str, text: str) -> None:
    assert inline_text(markdown) == text


def test_markdown_blocks() -> None:
    markdown = """# Puces : un *sursis*

Le ministère a prolongé
le régime des licences.\\
Rien de plus.

## Les réactions ##
> « Nous attendions mieux »,
> dit-on à Grenoble.

* l'acier
* le cuivre
1. le zinc

Un sous-titre
-------------
| pays | taux |
|:-----|-----:|
| Mali | 3,5 |

***
<!-- une remarque
cachée -->
```python
taux = 3 * 5 * 2  # _sans_ balises
```
[ref]: https://exemple.fr "Un titre"
Fin.
"""
    text, heading = plain_text(markdown)
    assert heading == "Puces : un sursis"
    assert text.split("\n\n") == [
        "Puces : un sursis",
        "Le ministère a prolongé le régime des licences. Rien de plus.",
        "Les réactions",
        "« Nous attendions mieux », dit-on à Grenoble.",
        "- l'acier\n- le cuivre\n1. le zinc",
        "Un sous-titre",
        "pays   taux\nMali   3,5",
        "taux = 3 * 5 * 2  # _sans_ balises",
        "Fin.",
    ]


def test_markdown_without_heading() -> None:
    assert plain_text("Une phrase.\nUne autre.") == ("Une phrase. Une autre.", None)


def test_markdown_comment_that_is_never_closed_stays() -> None:
    assert plain_text("Avant <!-- après")[0] == "Avant <!-- après"


PIECES = st.sampled_from(
    [
        "mot",
        "texte",
        "*",
        "**",
        "_",
        "__",
        "`",
        "```",
        "~~",
        "# ",
        "> ",
        "- ",
        "1. ",
        "|",
        "---",
        "===",
        "\n",
        "\n\n",
        " ",
        "\\",
        "!",
        "?",
    ]
)


@given(st.lists(PIECES, max_size=80).map("".join))
def test_markdown_loses_no_word(markdown: str) -> None:
    def letters(text: str) -> str:
        return "".join(re.findall(r"[a-z]", text))

    # The line that opens a fence names a language, which is markup.
    without_fences = re.sub(r"(?m)^ {0,3}```.*$", "", markdown)
    assert letters(plain_text(without_fences)[0]) == letters(without_fences)


@given(st.text(max_size=300))
def test_markdown_any_text_is_taken(markdown: str) -> None:
    text, _ = plain_text(markdown)
    assert text == text.strip()
    front_matter(f"---\n{markdown}\n---\n")
