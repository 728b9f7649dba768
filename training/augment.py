"""Augmentation of training rows: what a reader would not notice must not move the label.

A kind is a pure function of a text and a generator: the same seed gives the same text. Kinds touch typography, actors
or figures and leave every negation, verb of policy and judgement as it stands, so that labels hold by construction.
Validation and test rows are never augmented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from numpy.random import Generator

from training.actors import swap_actors
from training.figures import redraw_figures
from training.typography import vary_typography

Augment = Callable[[str, Generator], str]

#: The kinds in the order in which they apply: typography last, since it may misspell what the others look for.
KINDS: dict[str, Augment] = {"actors": swap_actors, "figures": redraw_figures, "typography": vary_typography}

#: Parts a context from its passage while both are augmented as one text: an actor keeps one name in both.
_SEAM = "\x1e"


def augmenter(shares: Mapping[str, float]) -> Augment | None:
    """The composition of the kinds, each applied to a reading of a row with its own probability; None for none.

    Raises ValueError for a kind that does not exist.
    """
    unknown = sorted(set(shares) - set(KINDS))
    if unknown:
        raise ValueError(f"no augmentation is called {unknown[0]!r}; there are {', '.join(KINDS)}")
    active = [(kind, shares[name]) for name, kind in KINDS.items() if shares.get(name, 0.0) > 0.0]
    if not active:
        return None

    def augment(text: str, rng: Generator) -> str:
        for kind, share in active:
            if rng.random() < share:
                text = kind(text, rng)
        return text

    return augment


def augment_pair(augment: Augment, pair: str | None, text: str, rng: Generator) -> tuple[str | None, str]:
    """A passage and its context, augmented as one: what changes its name in one changes it in the other."""
    if pair is None:
        return None, augment(text, rng)
    context, _, passage = augment(f"{pair}{_SEAM}{text}", rng).partition(_SEAM)
    return context, passage
