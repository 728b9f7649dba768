"""The drawings of the report: a mark a passage, labels told apart without colour, contrast enough."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.labels import Task
from inference.report_articles import Mark
from inference.report_charts import Point, looks_of, place, strip, ticks
from inference.report_wording import TEMPLATES
from tests.inference.report_jobs import AXES, STANCE, TASKS, make_job
from tests.inference.report_page import Page, read, spaced


@given(st.lists(st.tuples(st.sampled_from(STANCE.labels), st.floats(0.34, 1), st.booleans()), min_size=1, max_size=120))
def test_report_strip_has_one_mark_a_passage(passages: list[tuple[str, float, bool]]) -> None:
    drawn = Page(str(strip([Mark(*passage) for passage in passages], looks_of(TASKS, AXES)["stance"])))
    marks = {
        "".join(node[1]["class"] or ""): (node[1]["d"] or "").count("M") for node in drawn.nodes if node[0] == "path"
    }
    assert sum(marks.values()) == len(passages)
    assert sum(n for style, n in marks.items() if "hollow" in style) == sum(abstained for *_, abstained in passages)
    assert sum(n for style, n in marks.items() if style.startswith("ap")) == sum(
        label == "pro-easing" for label, *_ in passages
    )


def test_report_tells_labels_apart_without_colour(tmp_path: Path) -> None:
    many = Task("genre", tuple("abcdefg"), 0)
    for tasks, axes in ((TASKS, AXES), ((many,), {})):
        for looks in looks_of(tasks, axes).values():
            assert len({look.sign for look in looks.values()}) == len(looks)
    style = "".join(read(make_job(tmp_path)).texts("style"))
    assert all(f'.{colour} {{ --sign: "' in style for colour in ("ap", "an", "am", "ax", "bp", "bn", "bm", "bx"))


@given(st.sets(st.integers(2000 * 12, 2030 * 12), min_size=1, max_size=36), st.integers(2, 6))
def test_report_names_times_far_enough_apart_to_be_read(months: set[int], most: int) -> None:
    points = [Point(f"{month // 12}-{month % 12 + 1:02d}", 0.1, 0.0, 0.2, 1) for month in sorted(months)]
    named = [place(point.when, points) for point in ticks(points, most)]
    assert 1 <= len(named) <= most + 1
    assert named[-1] == place(points[-1].when, points)
    assert all(after - before >= 92 / most for before, after in pairwise(named))
    assert all(0 <= at <= 100 for at in named)


def luminance(colour: tuple[float, ...]) -> float:
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def colours_of(style: str, theme: int) -> dict[str, tuple[float, ...]]:
    """The colours of the style sheet in one theme: 0 light, 1 dark."""
    pairs = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", style)
    return {name: tuple(int(both[theme][at : at + 2], 16) for at in (1, 3, 5)) for name, *both in pairs}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_report_text_has_contrast_enough(theme: int) -> None:
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    colours = colours_of(style, theme)
    tints = [float(tint) / 100 for tint in re.findall(r"--tint: (\d+)%", style)]
    hues = ("teal", "rust", "stone", "ochre", "indigo", "plum", "moss", "brown")
    assert max(tints) > 0
    for name in ("ink", "soft", *hues):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    assert contrast(colours["soft"], colours["wash"]) >= 4.5
    for hue in hues:
        tinted = tuple(
            max(tints) * h + (1 - max(tints)) * p for h, p in zip(colours[hue], colours["paper"], strict=True)
        )
        assert contrast(colours["ink"], tinted) >= 7, hue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_report_intervals_stand_out_from_the_paper(theme: int) -> None:
    """Three to one is what WCAG 2 asks of a drawing that carries meaning."""
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    opacities = re.findall(r"\.range \{[^}]*stroke-opacity: (\.\d+)", style)
    colours = colours_of(style, theme)
    assert opacities
    for hue in ("teal", "rust", "stone", "indigo", "plum", "ink"):
        for opacity in map(float, opacities):
            both = zip(colours[hue], colours["paper"], strict=True)
            assert contrast(tuple(opacity * h + (1 - opacity) * p for h, p in both), colours["paper"]) >= 3, hue


def test_report_charts_name_their_axes(tmp_path: Path) -> None:
    page = read(make_job(tmp_path), lang="en")
    titles = [spaced(title) for title in page.texts("p", "height")]
    assert titles == ["Articles, up to 1", "Index +1.00 easing", "−1.00 restriction", "Passages, up to 9"]
    ends = [spaced(" ".join(page.texts("p", "ends")))]
    assert ends == ["−1.00restriction0Index+1.00easing 0%Confidence100%"]
    assert page.texts("span", "zero") == ["0"]
    notes = " ".join(spaced(note) for note in page.texts("p", "note"))
    assert notes.count("The index goes from −1 (restriction) to +1 (easing); the bar is its 95% interval.") == 2
