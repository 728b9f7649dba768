"""A small corpus whose labels can be learnt: two tasks, contrast and invariance groups, words of no language."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

ACTORS = ["Le syndicat", "La filière", "Un armateur", "L'agence", "La députée", "Le port", "L'institut", "Une élue"]
MEASURES = ["les quotas", "l'embargo", "la licence", "les droits", "le contrôle", "la liste noire"]
PUSHES = {"pro-easing": "dénonce", "pro-restriction": "réclame", "neutral": "étudie"}
TONES = {"negative": "avec colère", "positive": "avec joie", "neutral": "mardi"}
SYLLABLES = ["ba", "cor", "di", "fel", "gou", "lin", "mar", "no", "pi", "ros", "ta", "ver", "zé", "lu"]
SPLITS = (["train"] * 7 + ["validation"] + ["unseen", "seen", "contrast"]) * 2


def corpus_rows(count: int = 420, seed: int = 1) -> list[dict[str, Any]]:
    """Rows in the corpus contract's form; groups of three share their actor and measure."""
    chance = random.Random(seed)
    rows = []
    for group in range(count // 3):
        split = SPLITS[group % len(SPLITS)]
        actor, measure = chance.choice(ACTORS), chance.choice(MEASURES)
        topic = "espace" if split == "unseen" else chance.choice(["acier", "puces", "vin"])
        steady = group % 5 == 0
        names = ["".join(chance.choice(SYLLABLES) for _ in range(3)) for _ in range(12)]
        for member, push in enumerate(PUSHES):
            stance = "pro-easing" if steady else push
            tone = chance.choice(list(TONES))
            place = f"au sujet {'du' if member else 'des'} {' '.join(names)}"
            rows.append(
                {
                    "id": f"r{group}-{member}",
                    "text": f"{actor} {PUSHES[stance]} {measure} {TONES[tone]} {place}.",
                    "stance": stance,
                    "sentiment": tone,
                    "topic": topic,
                    "genre": chance.choice(["agency", "interview"]),
                    "source_kind": "contrast",
                    "phenomenon": "actor-swap" if steady else "judgement",
                    "group": f"g{group}",
                    "split": split,
                }
            )
    return rows


def write_corpus(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
