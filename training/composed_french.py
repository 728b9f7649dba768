"""The French of composed passages: phrase lists, the frames of arguments, contraction, sentences lent by the corpus."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

#: What holds a predicate, and what denies it.
JUDGED = ("Selon {s}, {m} %s.", "{m} %s, estime {s}.", "Pour {s}, {m} %s.", "{m} %s.", "« {m} %s », dit {s}.")
REFUTED = ("Il est faux de dire que {m} %s, répond {s}.", "{s} réfute l'idée que {m} %s.")
#: What holds an argument, what denies it, what grants the first of two and goes on to the second, what weighs both.
HELD = (
    *("{s} rappelle que %s.", "%s.", "%s, souligne {s}.", "Pour {s}, %s.", "« %s », dit {s}.", "{s} le répète : %s."),
    *("La preuve, selon {s} : %s.", "Personne ne peut nier que %s, insiste {s}.", "{s} répond à {s2} que %s."),
)
DENIED = (
    *("Il est faux de dire que %s, répond {s}.", "Rien ne permet d'affirmer que %s, selon {s}."),
    *("À ceux qui prétendent que %s, {s} oppose les chiffres.", "« On nous répète que %s. C'est faux », dit {s}."),
    *("{s2} a beau dire que %s, {s} prouve le contraire.", "L'argument selon lequel %s ne tient pas, selon {s}."),
    *("Non, répond {s} à ceux qui jurent que %s.", "Que l'on cesse de dire que %s, demande {s}."),
)
CONCEDED = (
    *("Certes, {a}, mais {b}.", "Si {a}, il n'en reste pas moins que {b}.", "{s} le concède : {a}. Mais {b}."),
    *("On a beau répéter que {a}, {b}.", "Peut-être que {a}. Pourtant, {b}, rappelle {s}."),
    *("{s2} dit que {a}. {s} lui répond que {b}.", "Sans doute {a} ; mais surtout, {b}, selon {s}."),
)
WEIGHED = (
    *("Pour les uns, {a} ; pour les autres, {b}.", "{s} fait valoir que {a}, {s2} que {b}."),
    *("Deux camps s'opposent : {s} dit que {a}, {s2} que {b}.", "Selon {s}, {a}. Selon {s2}, {b}."),
)

_PHRASES = Path(__file__).with_name("composed_phrases.toml")
_VOWELS = "aàâeéèêëiîïoôuùûyœAÀÂEÉÈÊËIÎÏOÔUÙÛYŒ"
_ELIDED = re.compile(rf"\b([Dd]|[Qq]u|[Ll]orsqu)e (?=[Hh]y|[{_VOWELS}](?!nze\b))")
#: Opens with a word that points back: no sentence to stand beside a composed one.
_POINTS_BACK = re.compile(r"(Il|Elle|Ils|Elles|Ce|Cette|Cela|Ces|Celui|Celle|Le second|La seconde|Mais|Or|Car)\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-ZÀÉÎ«])")
_CONTRACTED = (("de le ", "du "), ("de les ", "des "), ("à le ", "au "), ("à les ", "aux "))


@cache
def read_phrases() -> dict[str, tuple[str, ...]]:
    """The lists of ``composed_phrases.toml``, a phrase a line."""
    lists = tomllib.loads(_PHRASES.read_text(encoding="utf-8"))
    return {name: tuple(text.strip().splitlines()) for name, text in lists.items()}


def contracted(text: str) -> str:
    """« de le » as « du », « que il » as « qu'il »: what phrases need once they are put together."""
    for apart, joined in _CONTRACTED:
        text = re.sub(rf"\b{apart}", joined, text)
    return _ELIDED.sub(r"\1'", text)


def lent_sentences(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Sentences of rows that are neutral in stance and tone, 41 to 179 characters long, to stand beside a push."""
    return [
        sentence
        for row in rows
        if row.get("stance") == "neutral" and row.get("sentiment") == "neutral"
        for sentence in _SENTENCE_END.split(str(row["text"]))
        if 40 < len(sentence) < 180 and sentence.endswith(".") and not _POINTS_BACK.match(sentence)
    ]
