"""A small clean corpus of invented French passages in the contract's row format: nothing repeats, nothing leans."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

ONSETS = ["b", "br", "c", "cl", "d", "dr", "f", "fl", "g", "gr", "l", "m", "n", "p", "pr", "r", "s", "t", "tr", "v"]
RIMES = [
    "alin",
    "aude",
    "ebour",
    "elic",
    "enac",
    "ier",
    "iron",
    "ivet",
    "olac",
    "orel",
    "ouvin",
    "uchet",
    "urel",
    "ymont",
]
ROLES = "armatrice,courtier,députée,douanier,ingénieure,juriste,meunier,négociante,préfet,soudeur,syndic,viticultrice"
VERBS = "attend,compare,décrit,détaille,étudie,évoque,examine,mentionne,parcourt,rappelle,recense,relit,résume,signale"
NOUNS = (
    "l'acier,l'ammoniac,la bobine,le câble,la cellule,le châssis,la colle,le coton,la dynamo,le four,le gallium,"
    "la laine,la lentille,le lin,la minoterie,le moteur,la peinture,le phosphate,la poutre,le radar,la résine,"
    "le semoir,le silo,la soie,le soja,la tourbe,la turbine,le vaccin,la vanne,le vérin,le wagon,le zinc"
)
PLACES = "à quai,au dépôt,au port,chez nous,dans l'atelier,dans le delta,en gare,en mer,sous le hangar,sur la rive"
LINKS = "avant,avec,contre,depuis,malgré,outre,pour,puis,sans,selon,sous,vers"
GENRES = ["agency", "editorial", "interview", "statement"]
SEEN, UNSEEN = ["chips", "steel", "wine", "apps"], ["shipping", "space"]
STANCES = ["pro-easing", "neutral", "pro-restriction"]
TONES = ["negative", "neutral", "positive"]


def name(random: Random) -> str:
    """An invented surname."""
    return (random.choice(ONSETS) + random.choice(RIMES) + random.choice(["", "le", "on", "eau", "ard"])).capitalize()


def passage(random: Random) -> str:
    """A passage of two invented sentences, 25 to 35 words."""

    def pick(bank: str) -> str:
        return random.choice(bank.split(","))

    def part() -> str:
        return f"{pick(LINKS)} {pick(NOUNS)} de {name(random)} {pick(PLACES)}"

    first = f"{name(random)}, {pick(ROLES)}, {pick(VERBS)} {pick(NOUNS)} {part()} et {part()}."
    second = f"{name(random)} {pick(VERBS)} aussi {pick(NOUNS)} {part()}" + random.choice([".", f", {part()}."])
    return f"{first} {second}"


def row(random: Random, number: int, identity: str, text: str, split: str) -> dict[str, Any]:
    """A row of the contract; ``number`` walks through the nine corners, topic and genre are drawn."""
    stance, tone = STANCES[number % 3], TONES[number // 3 % 3]
    return {
        "id": identity,
        "text": text,
        "stance": stance,
        "sentiment": tone,
        "topic": random.choice(UNSEEN if split == "unseen" else SEEN),
        "genre": random.choice(GENRES),
        "source_kind": "written",
        "author": "a1",
        "annotators": [{"annotator": who, "stance": stance, "sentiment": tone} for who in ("a1", "a2")],
        "split": split,
    }


def clean_rows(size: int = 1, seed: int = 7) -> list[dict[str, Any]]:
    """``size`` × 81 lone rows over four splits and ``size`` × 9 contrast groups of two, told apart by one word."""
    random = Random(seed)
    rows = []
    for split, count in {"train": 54, "validation": 9, "unseen": 9, "seen": 9}.items():
        rows += [row(random, n, f"{split}-{n}", passage(random), split) for n in range(count * size)]
    for number in range(9 * size):
        text = passage(random)
        for member, word in enumerate(("lève", "durcit")):
            changed = text.replace(" aussi ", f" {word} ")
            rows.append(
                {**row(random, number + member, f"c{number}-{member}", changed, "contrast"), "group": f"c{number}"}
            )
    return rows


def write_rows(rows: list[dict[str, Any]], folder: Path) -> Path:
    """The rows as a JSON-lines file."""
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows), encoding="utf-8")
    return path
