"""Composed passages: a measure's direction × a judgement on it, put together from short phrases by a seeded program.

A passage's stance is the product of two signs (annotation guide, rule 2). The corpus tells it in press prose, where a
small encoder finds words to go by; here no word helps, since each phrase comes with both stances equally often. The
four corners of one setting (same speaker, goods and government) form a contrast group. From the product alone an
encoder of ten million parameters learns nothing in as many rows (a parity gives next to no gradient to start from), so
the rows name the factors too, as labels of their own: which way the measure goes, and what is thought of it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.composed_french import (
    CONCEDED,
    DENIED,
    HELD,
    JUDGED,
    REFUTED,
    WEIGHED,
    contracted,
    lent_sentences,
    read_phrases,
)
from training.corpus import AUGMENTED, read_rows

STANCES = {1: "pro-easing", -1: "pro-restriction", 0: "neutral"}
DIRECTIONS = {1: "easing", -1: "restricting", 0: "none"}
JUDGEMENTS = {1: "for", -1: "against", 0: "none"}
TONES = {"-": "negative", "0": "neutral", "+": "positive"}
#: Whether a change that goes up (a barrier raised, an exchange allowed) restricts or eases, by kind of its object.
UPWARDS = {"b": -1, "d": -1, "o": 1, "q": 1}
THINGS = {"b": "barriers", "d": "duties", "o": "openings", "q": "quotas"}
#: Pairs of numbers that an event tells, by slot: how the smaller is drawn, and how far the other is off.
NUMBERS = {"p": (range(3, 41), range(5, 61)), "n": (range(2, 21), range(3, 41)), "y": (range(2026, 2031), range(1, 6))}
#: One in so many phrases of each list is kept back when ``held_out`` is asked for.
HELD_BACK = 12


@dataclass(frozen=True)
class Measure:
    """A measure in the forms that frames ask for; ``direction`` is +1 for an easing, −1 for a restriction."""

    direction: int
    noun: str
    has: str = ""
    infinitive: str = ""

    def into(self, frame: str) -> str:
        """``frame`` with the measure in its slots."""
        has_not = f"{self.has.split(' ', 1)[0]} pas {self.has.split(' ', 1)[1]}" if self.has else ""
        for slot, form in (("{m}", self.noun), ("{has}", self.has), ("{inf}", self.infinitive), ("{has_not}", has_not)):
            frame = frame.replace(slot, form)
        return frame


@dataclass(frozen=True)
class Row:
    """A composed passage: ``direction`` × ``judgement`` is its stance; both are 0 where nothing pushes."""

    text: str
    direction: int
    judgement: int
    tone: str

    def fields(self) -> dict[str, str]:
        """The row's text and labels under the names of the corpus."""
        return {
            "text": self.text,
            "stance": STANCES[self.direction * self.judgement],
            "sentiment": TONES[self.tone],
            "direction": DIRECTIONS[self.direction],
            "judgement": JUDGEMENTS[self.judgement],
        }


@dataclass
class Composer:
    """Draws groups of passages; from the phrases that training never sees if ``held_out``, from the others if not.

    ``lent`` are sentences without stance or tone that may stand beside what is composed.
    """

    seed: int
    lent: Sequence[str] = ()
    held_out: bool = False
    rng: random.Random = field(init=False)
    told: str = field(init=False)  # the event that the corners of one setting share

    def __post_init__(self) -> None:
        self.rng = random.Random(f"composed {self.seed}")  # noqa: S311 (draws sentences, keeps no secret)
        self.told = self._pick("events")

    def _some(self, name: str) -> list[str]:
        lines = read_phrases()[name]
        kept = [line for place, line in enumerate(lines) if (place % HELD_BACK == HELD_BACK - 1) == self.held_out]
        return kept or list(lines)

    def _pick(self, name: str) -> str:
        return self.rng.choice(self._some(name))

    def _toned(self, name: str) -> tuple[str, str]:
        line = self._pick(name)
        return line[2:], line[0]

    def _change(self, direction: int) -> Measure:
        while True:
            way, kinds, noun, participle, infinitive = self._pick("changes").split(" | ")
            kind = self.rng.choice(kinds)
            if UPWARDS[kind] * (1 if way == "up" else -1) == direction:
                break
        thing = self._pick(THINGS[kind])
        return Measure(direction, f"{noun} {thing}", f"a {participle} {thing}", f"{infinitive} {thing}")

    def _measure(self, direction: int, bare: float = 0.12) -> Measure:
        draw = self.rng.random()
        if draw < bare:
            return Measure(direction, self._pick("barriers" if direction < 0 else "openings"))
        if draw < bare + 0.1:
            turned = self.rng.random() < 0.5
            inner = self._change(-direction if turned else direction)
            return Measure(direction, f"{self._pick('turning' if turned else 'keeping')} {inner.infinitive}")
        return self._change(direction)

    def _told_whole(self, direction: int) -> str:
        line = self.told if self.rng.random() < 0.5 else self._pick("events")
        easing, restricting = line.split(" | ")
        event = easing if direction > 0 else restricting
        for slot, (smaller, further) in NUMBERS.items():
            low = self.rng.choice(smaller)
            event = event.replace(f"{{{slot}}}", str(low))
            event = event.replace(f"{{{slot.upper()}}}", str(low + self.rng.choice(further)))
        low = self.rng.randrange(2, 90)
        high = low + self.rng.randrange(2, 200)
        return event.replace("{t}", f"{low} 000").replace("{T}", f"{high} 000")

    def _event(self, direction: int) -> str:
        if self.rng.random() < 0.5:
            return self._told_whole(direction)
        if self.rng.random() < 0.15:
            return self._change(-direction).into(self._pick("untold"))
        return self._change(direction).into(self._pick("told"))

    def _phrase(self, judgement: int, plural: bool = False) -> tuple[str, str]:
        phrase, tone = self._toned(("for" if judgement > 0 else "against") + ("_plural" if plural else ""))
        words = phrase.split(" ")
        if len(words) <= 3 and words[-1] == "{m}" and self.rng.random() < 0.2:
            phrase = " ".join([words[0], self._pick("adverbs"), *words[1:]] if len(words) == 2 else words)
        return phrase, tone

    def _push(self, frame: float, direction: int, judgement: int) -> tuple[str, str]:
        good = judgement > 0
        if frame < 0.22:
            phrase, tone = self._phrase(judgement)
            return self._measure(direction).into(f"{{s}} {phrase}."), tone
        if frame < 0.32:
            phrase, tone = self._phrase(judgement, plural=True)
            return self._measure(direction).into(f"{self._pick('speakers_plural')} {phrase}."), tone
        if frame < 0.42:
            phrase, tone = self._toned("good" if good else "bad")
            held = JUDGED[int(frame * 1e6) % len(JUDGED)]
            return self._measure(direction, bare=0).into(held % phrase), tone
        if frame < 0.5:
            phrase, tone = self._toned("pleases" if good else "displeases")
            return self._measure(direction, bare=0).into(f"{{m}} {phrase}."), tone
        if frame < 0.8:
            after, tone = self._toned("after_good" if good else "after_bad")
            return f"{self._event(direction)}. {after}", tone
        if frame < 0.91:
            wish, tone = self._toned("wishes" if good else "refusals")
            return self._change(direction).into(wish), tone
        if frame < 0.95:
            lost, (won, tone) = self._phrase(-judgement)[0], self._phrase(judgement)
            text = self._measure(direction).into(f"{{s2}} {lost}")
            return f"{text}, mais {{s}} {won.replace('{m}', 'cette décision')} et l'emporte.", tone
        lost, _ = self._toned("bad" if good else "good")
        held = REFUTED[int(frame * 1e6) % len(REFUTED)]
        return self._measure(direction, bare=0).into(held % lost), "0"

    def _argued(self, text: str, tone: str, stance: int) -> tuple[str, str]:
        clause, its_tone = self._toned("reasons_easing" if stance > 0 else "reasons_restriction")
        if tone not in ("0", its_tone):
            return text, tone
        joined = (
            f"{text[:-1]}, {self.rng.choice(('car', 'parce que', 'au motif que'))} {clause}.",
            f"{text} {clause}.",
        )
        return joined[text.count(".") > 1 or self.rng.random() < 0.5], its_tone if tone == "0" else tone

    def _no_push(self) -> tuple[str, str]:
        direction, kind = self.rng.choice((1, -1)), self.rng.random()
        if kind < 0.3:
            return self._measure(direction).into(f"{{s}} {self._pick('flat')}."), "0"
        if kind < 0.6:
            event = f"{self._event(direction)}."
            return event if self.rng.random() < 0.4 else f"{event} {self._pick('flat_after')}", "0"
        if kind < 0.75:
            sides = [self._phrase(1)[0], self._phrase(-1)[0]]
            self.rng.shuffle(sides)
            text = self._measure(direction).into(f"{{s}} {sides[0]}")
            return f"{text}, {{s2}} {sides[1].replace('{m}', 'la même décision')}.", "0"
        if kind < 0.87:
            phrase, tone = self._phrase(self.rng.choice((1, -1)))
            text = f"{{s}} {phrase.replace('{m}', self._pick('others'))}."
            return text if self.rng.random() < 0.5 else f"{self._event(direction)}. {text}", tone
        fact, tone = self._toned("facts")
        return f"{self._event(direction)}. {fact}.", tone

    def _argument(self, side: int) -> tuple[str, str]:
        return self._toned("reasons_easing" if side > 0 else "reasons_restriction")

    def _arguments(self) -> list[tuple[str, int, int, str]]:
        """Arguments that need no measure: one held and denied, or two that face each other; (text, factors, tone).

        The first factor is the side that an argument pleads for, the second whether it is held.
        """
        draw, side = self.rng.random(), self.rng.choice((1, -1))
        clause, tone = self._argument(side)
        if draw < 0.4:
            held, denied = self.rng.choice(HELD) % clause, self.rng.choice(DENIED) % clause
            return [(held, side, 1, tone), (denied, side, -1, "0")]
        if draw < 0.65:
            other, its_tone = self._argument(-side)
            conceded = self.rng.choice(CONCEDED)
            return [
                (conceded.replace("{a}", other).replace("{b}", clause), side, 1, tone),
                (conceded.replace("{a}", clause).replace("{b}", other), -side, 1, its_tone),
                (self.rng.choice(WEIGHED).replace("{a}", clause).replace("{b}", other), 0, 0, "0"),
            ]
        return []

    def group(self) -> list[Row]:
        """Rows of one setting: the four corners, and one or two that do not push."""
        one, other = self.rng.sample(read_phrases()["speakers"], 2)
        names = {"{s}": one, "{s2}": other}
        for slot, name in (("{o}", "goods"), ("{c}", "countries"), ("{f}", "firms"), ("{g}", "governments")):
            names[slot] = self.rng.choice(read_phrases()[name])
        beside = (
            (self.rng.choice(self.lent), self.rng.random() < 0.5) if self.lent and self.rng.random() < 0.5 else None
        )
        self.told = self._pick("events")
        frame, argued, rows = self.rng.random(), self.rng.random() < 0.2, list[Row]()
        for direction, judgement in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            text, tone = self._push(frame, direction, judgement)
            if argued:
                text, tone = self._argued(text, tone, direction * judgement)
            rows.append(Row(_finished(text, names, beside), direction, judgement, tone))
        for _ in range(self.rng.choice((1, 2))):
            text, tone = self._no_push()
            rows.append(Row(_finished(text, names, beside), 0, 0, tone))
        for text, side, held, tone in self._arguments():
            rows.append(Row(_finished(text, names, beside), side, held, tone))
        return rows

    def groups(self) -> Iterator[list[Row]]:
        """Settings without end."""
        while True:
            yield self.group()


def _finished(text: str, names: dict[str, str], beside: tuple[str, bool] | None) -> str:
    for slot, name in names.items():
        text = text.replace(slot, name)
    sentences = [contracted(part) for part in re.split(r"(?<=\.) ", text)]
    text = " ".join(
        re.sub(r"^(« )?(\w)", lambda start: (start[1] or "") + start[2].upper(), part) for part in sentences
    )
    if beside is None:
        return text
    return f"{beside[0]} {text}" if beside[1] else f"{text} {beside[0]}"


def compose(rows: int, seed: int, lent: Sequence[str] = (), held_out: bool = False) -> list[dict[str, str]]:
    """At least ``rows`` corpus rows, the last group whole; the same for the same seed, phrases and ``lent``.

    Rows composed from phrases that training never sees (``held_out``) are of the split ``validation``.
    """
    found, stem = list[dict[str, str]](), "held-out" if held_out else "composed"
    same = {"source_kind": AUGMENTED, "phenomenon": "composed", "split": "validation" if held_out else "train"}
    for number, group in enumerate(Composer(seed, lent, held_out).groups()):
        for row in group:
            names = {"id": f"{stem}-{seed}-{len(found)}", "group": f"{stem}-{seed}-{number}"}
            found.append({**names, **row.fields(), **same})
        if len(found) >= rows:
            break
    return found


def write_composed(target: Path, rows: int, seed: int, held_out: int = 0, corpus: Path | None = None) -> int:
    """Write at least ``rows`` composed rows and ``held_out`` of held-out phrases as JSON lines; returns their number.

    Sentences beside them come from the training split of ``corpus``. Raises CorpusError where that cannot be read.
    """
    lent = lent_sentences(row for row in read_rows(corpus) if row.get("split") == "train") if corpus else []
    found = compose(rows, seed, lent) + (compose(held_out, seed, lent, held_out=True) if held_out else [])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), encoding="utf-8")
    return len(found)
