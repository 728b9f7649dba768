"""The drawings of a report as plain SVG: shape and place carry the meaning, colour repeats it.

Colours are classes that the style sheet fills in for light and dark. A drawing is hidden from screen readers, because
the same figures stand as text beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from inference.labels import Task
from inference.report_articles import Mark

#: Sign, height of the start in a row and shape of the labels of a task without an axis, in order, and round again.
SHAPES = (
    ("●", 13, "a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z"),
    ("■", 10, "h7v6h-7z"),
    ("◆", 13, "l3.5-4.5 3.5 4.5-3.5 4.5z"),
    ("▲", 16, "l3.5-7 3.5 7z"),
    ("▼", 10, "l3.5 7 3.5-7z"),
    ("▬", 11.5, "h7v3h-7z"),
    ("◢", 16, "h7v-7z"),
)
SMALL_DOT = (13, "m2 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0z")
#: The scale that every gauge of an index shares; it stands once in the page.
SCALE = Markup('<path id="scale" class="scale" d="M6 8h108M60 3v10M6 5.5v5M114 5.5v5"/>')
#: Marks in a row of a strip, the width of a mark and the height of a row.
STRIP_ROW, STEP, STRIP_HEIGHT = 24, 10, 26


@dataclass(frozen=True, slots=True)
class Look:
    """How a label is drawn: its colour class, its sign, its side of an axis (+1, −1, 0), and its shape at 0."""

    colour: str
    sign: str
    side: int
    shape: tuple[float, str]


def looks_of(tasks: Sequence[Task], axes: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, Look]]:
    """The looks of all labels, by task: the first two tasks with an axis have colours and signs of their own."""
    pairs = iter((("a", {1: "▲", -1: "▼", 0: "●"}, "◆"), ("b", {1: "+", -1: "−", 0: "="}, "±")))
    looks: dict[str, dict[str, Look]] = {}
    for task in tasks:
        pair = next(pairs, None) if task.name in axes else None
        looks[task.name] = {}
        for number, label in enumerate(task.labels):
            sign, height, shape = SHAPES[number % len(SHAPES)]
            side = (1, -1)[axes[task.name].index(label)] if label in axes.get(task.name, ()) else 0
            if pair:
                looks[task.name][label] = Look(pair[0] + "npm"[side], pair[1][side], side, SMALL_DOT)
            else:
                looks[task.name][label] = Look(f"q{number % len(SHAPES)}", sign, side, (height, shape))
        if task.name in axes:
            looks[task.name]["mixed"] = Look(f"{pair[0]}x" if pair else "q6", pair[2] if pair else "±", 0, SMALL_DOT)
    return looks


def strip(marks: Sequence[Mark], looks: Mapping[str, Look]) -> Markup:
    """One mark a passage in reading order: up or down by side, taller the surer, hollow where abstained."""
    paths: dict[str, list[str]] = {}
    for number, mark in enumerate(marks):
        look = looks[mark.label]
        row, column = divmod(number, STRIP_ROW)
        start, shape = look.shape
        if look.side:
            height = round(look.side * (4 + 7 * mark.strength), 1)
            start, shape = 13 - look.side, f"l3.5 {-height:g} 3.5 {height:g}z"
        path = f"M{column * STEP + 1} {row * STRIP_HEIGHT + start:g}{shape}"
        paths.setdefault(look.colour + (" hollow" if mark.abstained else ""), []).append(path)
    width = min(len(marks), STRIP_ROW) * STEP
    height = -(-len(marks) // STRIP_ROW) * STRIP_HEIGHT
    drawn = "".join(f'<path class="{colour}" d="{"".join(shapes)}"/>' for colour, shapes in paths.items())
    size = f'width="{width}" height="{height}"'
    return Markup(f'<svg class="strip" {size} aria-hidden="true">{drawn}</svg>')  # noqa: S704  # numbers and class names


def side_of(index: float) -> int:
    """+1, −1, or 0 for an index that prints as 0.00."""
    return (index >= 0.005) - (index <= -0.005)


def gauge(index: float, low: float, high: float, pair: str = "a") -> Markup:
    """An index in [−1, 1] on its scale with its interval as a bar; a triangle says the side, a dot that it is 0.00."""
    x, left, right = (round(60 + 54 * value, 1) for value in (index, low, high))
    side = side_of(index)
    dot = f"M{x - 3:g} 8a3 3 0 1 0 6 0a3 3 0 1 0-6 0z"
    triangle = f"M{x - 4:g} {8 + side * 3.5:g}l4 {-side * 7} 4 {side * 7}z"
    colour = f"{pair}{'npm'[side]}"
    return _drawing(
        f'<use href="#scale"/><path class="range {colour}" d="M{left:g} 8H{right:g}"/>'
        f'<path class="{colour} edge" d="{triangle if side else dot}"/>'
    )


def _drawing(content: str) -> Markup:
    return Markup(f'<svg class="gauge" aria-hidden="true">{content}</svg>')  # noqa: S704  # numbers and class names only


def merit(value: float, low: float | None, high: float | None) -> Markup:
    """A figure between 0 and 1 on its scale, with its interval where there is one."""
    ends = (value, value if low is None else low, value if high is None else high)
    x, left, right = (round(4 + 112 * min(1.0, max(0.0, end)), 1) for end in ends)
    return _drawing(
        '<path class="scale" d="M4 8h112M4 5v6M60 6v4M116 5v6"/>'
        f'<path class="range ink" d="M{left:g} 8H{right:g}"/><path class="ink edge" d="M{x - 3:g} 8l3-4 3 4-3 4z"/>'
    )


def shares(parts: Sequence[tuple[str, int]]) -> Markup:
    """A small bar of (colour class, count), side by side in proportion."""
    total = sum(count for _, count in parts) or 1
    drawn, x = [], 0.0
    for colour, count in parts:
        width = 120 * count / total
        if count:
            drawn.append(f'<path class="{colour}" d="M{x:.1f} 3h{max(0.5, width - 1):.1f}v10H{x:.1f}z"/>')
        x += width
    return _drawing("".join(drawn))


def columns(stacks: Sequence[Sequence[tuple[str, int]]]) -> Markup:
    """Columns of stacked (colour class, count), from the bottom; stretched to the width of their place."""
    highest = max((sum(count for _, count in stack) for stack in stacks), default=0) or 1
    drawn = []
    for place, stack in enumerate(stacks):
        y = 100.0
        for colour, count in stack:
            height = 98 * count / highest
            y -= height
            if count:
                drawn.append(f'<path class="{colour}" d="M{place * 10 + 0.8:g} {y:.1f}h8.4v{height:.1f}h-8.4z"/>')
    width = 10 * len(stacks)
    frame = f'<svg class="columns" viewBox="0 0 {width} 100" preserveAspectRatio="none" aria-hidden="true">'
    drawn.append(f'<path class="grid" d="M0 2H{width}"/><path class="scale" d="M0 100H{width}"/>')
    return Markup(f"{frame}{''.join(drawn)}</svg>")  # noqa: S704  # numbers and class names only


@dataclass(frozen=True, slots=True)
class Point:
    """A month (yyyy-mm) or year: the index of its articles, the interval, and how many they are."""

    when: str
    index: float
    low: float
    high: float
    articles: int


def course(points: Sequence[Point], reach: float) -> Markup:
    """An index over time on a scale of ±``reach``; places are percent of the drawing, so that it fits any width."""

    def y(value: float) -> float:
        return round(50 - 50 * max(-reach, min(reach, value)) / reach, 2)

    fixed = 'vector-effect="non-scaling-stroke"'
    drawn = [f'<path class="grid" {fixed} d="M0 25H100M0 75H100"/><path class="scale" {fixed} d="M0 50H100"/>']
    places = [(place(point.when, points), point) for point in points]
    drawn.append(f'<path class="line" {fixed} d="M{"L".join(f"{x:g} {y(point.index):g}" for x, point in places)}"/>')
    for x, point in places:
        colour = f"a{'npm'[side_of(point.index)]}"
        drawn.append(f'<path class="range {colour}" {fixed} d="M{x:g} {y(point.low):g}V{y(point.high):g}"/>')
        drawn.append(f'<path class="dot {colour}" {fixed} d="M{x:g} {y(point.index):g}h0"/>')
    frame = '<svg class="course" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
    return Markup(f"{frame}{''.join(drawn)}</svg>")  # noqa: S704  # numbers and class names only


def place(when: str, points: Sequence[Point]) -> float:
    """Where a month or year lies on the axis of time, in percent, with room at both ends."""
    first, last = _months(points[0].when), _months(points[-1].when)
    return round(4 + 92 * (_months(when) - first) / (last - first), 2) if last > first else 50.0


def ticks(points: Sequence[Point], most: int) -> list[Point]:
    """At most ``most`` points to name on the axis of time, the last among them, far enough apart to be read."""
    named: list[Point] = []
    for point in reversed(points):
        if not named or place(named[-1].when, points) - place(point.when, points) >= 92 / most:
            named.append(point)
    return named[::-1]


def _months(when: str) -> int:
    year, _, month = when.partition("-")
    return int(year) * 12 + int(month or 1)
