"""The report in a real browser, headless Chromium: no error, no network; sorting, search, languages, links, paper.

What the page says is tested without a browser in tests/inference; here is what only a browser can tell.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inference.highlights import FILE, METHOD, text_key
from inference.labels import Task
from inference.report import write_report
from inference.report_data import open_job
from tests.inference.report_jobs import STORIES, Story, Told, make_job

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install 'penchant[dev]'")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no Chromium with its chromedriver on PATH: apt-get install chromium chromium-driver",
)

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_job(tmp_path_factory.mktemp("job")))


@pytest.fixture
def page(driver: Any) -> Iterator[Open]:
    """Open a report with an empty memory, at a width; nothing in it may raise an error or ask for anything."""
    opened: list[Path] = []
    driver.get("about:blank")
    for log in ("browser", "performance"):  # what came before is not this page's
        driver.get_log(log)

    def open_page(path: Path, width: int = 1280, theme: str = "light") -> Any:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": theme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": [scheme]})
        driver.get(path.as_uri())
        driver.execute_script("localStorage.clear()")
        driver.refresh()
        opened.append(path)
        return driver

    yield open_page
    assert [entry["message"] for entry in driver.get_log("browser")] == []
    asked = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    addresses = {event["params"]["request"]["url"] for event in asked if event["method"] == "Network.requestWillBeSent"}
    known = {path.as_uri() for path in opened}
    assert opened
    assert {
        url for url in addresses if not url.startswith(("data:", "about:")) and url.partition("#")[0] not in known
    } == set()


def titles(driver: Any) -> list[str]:
    script = (
        "return [...document.querySelectorAll('#table tbody tr:not([hidden]) .c-title')].map(cell => cell.innerText)"
    )
    found: list[str] = driver.execute_script(script)
    return found


def click(driver: Any, selector: str) -> None:
    driver.execute_script("document.querySelector(arguments[0]).click()", selector)


def words(driver: Any) -> list[str]:
    """Every text that is written for one language, and every attribute."""
    script = """return [...document.querySelectorAll('[data-t], [data-v], [data-c]')].map(node => node.textContent)
        .concat([...document.querySelectorAll('[data-k]')].map(n => n.getAttribute(n.dataset.k.split(':')[0])))"""
    found: list[str] = driver.execute_script(script)
    return found


FIRST, SECOND, THIRD, FOURTH = (
    "Licences : l’atelier attend",
    "Zones grises",
    "Été : l’arrêté",
    "Personne ne gagne à ce blocus.",
)


def test_report_browser_sorts_by_number_text_and_date_and_back(page: Open, report: Path) -> None:
    driver = page(report)
    assert titles(driver) == [FIRST, SECOND, THIRD, FOURTH]
    click(driver, ".c-index button")
    assert titles(driver) == [FOURTH, FIRST, THIRD, SECOND]
    assert driver.execute_script("return document.querySelector('th.c-index').ariaSort") == "descending"
    click(driver, ".c-index button")
    assert titles(driver) == [SECOND, THIRD, FIRST, FOURTH]
    click(driver, ".c-title button")
    assert titles(driver) == [THIRD, FIRST, FOURTH, SECOND]  # French order: É with E
    click(driver, ".c-date button")
    assert titles(driver) == [FIRST, SECOND, THIRD, FOURTH]  # what has no date stands last
    click(driver, ".c-date button")
    assert titles(driver) == [THIRD, SECOND, FIRST, FOURTH]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("ete", [THIRD]),
        ("AGENCE", [SECOND, THIRD]),
        ("agence restriction", [SECOND]),
        ("licences", [FIRST]),
        ("a4", [FOURTH]),
        ("introuvable", []),
        ("", [FIRST, SECOND, THIRD, FOURTH]),
    ],
)
def test_report_browser_finds_without_regard_to_accents_or_case(
    typed: str, found: list[str], page: Open, report: Path
) -> None:
    driver = page(report)
    driver.find_element("id", "search").send_keys(typed)
    assert titles(driver) == found
    told = driver.find_element("id", "found").text
    assert told == (
        f"{len(found)} article{'s' * (len(found) > 1)} affiché{'s' * (len(found) > 1)}"
        if found
        else "Aucun article ne correspond."
    )


def test_report_browser_writes_the_other_language_as_its_own_page_does(page: Open, tmp_path: Path) -> None:
    output = make_job(tmp_path, rejected=[{"place": "x", "id": None, "reason": "empty", "mend": "leave it out"}])
    french = page(write_report(output))
    in_french = words(french)
    click(french, "[data-lang=en]")
    switched, title = words(french), french.title
    assert french.execute_script("return document.documentElement.lang") == "en"
    click(french, "[data-lang=fr]")
    assert words(french) == in_french
    english = page(write_report(output, lang="en"))
    assert words(english) == switched
    assert english.title == title == "Penchant · 4 articles read"
    assert "14 January 2026" in switched
    assert not {"assouplissement", "Source", "position"} & (set(switched) - {"Source"})


def test_report_browser_leaves_texts_as_the_page_was_written(page: Open, report: Path, driver: Any) -> None:
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(report.as_uri())
        root = driver.execute_cdp_cmd("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
        static = driver.execute_cdp_cmd("DOM.getOuterHTML", {"nodeId": root})["outerHTML"]
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    written = page(report)
    script = """const parsed = new DOMParser().parseFromString(arguments[0], 'text/html');
        const told = (from) => [...from.querySelectorAll('main :is([data-t], [data-v], [data-c])')]
            .filter(node => !node.closest('.finder, .odds')).map(node => node.textContent);
        return [told(parsed), told(document)]"""
    before, after = written.execute_script(script, static)
    assert len(before) > 100
    assert before == after


def test_report_browser_opens_an_article_from_its_link(page: Open, report: Path) -> None:
    driver = page(report)
    assert not driver.execute_script("return document.querySelector('#article-2').checkVisibility()")
    click(driver, "a[href='#article-2']")
    script = (
        "const a = document.querySelector('#article-2'); return [a.checkVisibility(), document.activeElement === a]"
    )
    driver.set_script_timeout(5)
    done = driver.execute_async_script(
        f"const back = arguments[0]; setTimeout(() => back((() => {{ {script} }})()), 50)"
    )
    assert done == [True, True]
    driver.get(f"{report.as_uri()}#article-3")
    driver.refresh()
    assert driver.execute_script("return document.querySelector('#article-3').checkVisibility()")


def test_report_browser_draws_probabilities_when_they_are_asked_for(page: Open, report: Path) -> None:
    driver = page(report)
    script = """const odds = document.querySelectorAll('.odds')[3], back = arguments[0];
        const before = odds.querySelectorAll('li').length;
        document.querySelector('#article-1').parentElement.open = true;
        odds.querySelector('summary').click();
        setTimeout(() => back([before, odds.innerText.replaceAll('\\n', ' ')]), 50)"""
    before, told = driver.execute_async_script(script)
    assert before == 0
    told = " ".join(told.split())
    assert told.startswith("assouplissement 50 % incertain négatif 80 %")
    assert "position assouplissement 50 % neutre 40 % restriction 10 % ton négatif 80 % neutre 15 % positif 5 %" in told


def test_report_browser_keeps_the_theme_and_the_language_that_were_chosen(page: Open, report: Path) -> None:
    driver = page(report, theme="dark")
    background = "return getComputedStyle(document.documentElement).backgroundColor"
    dark = driver.execute_script(background)
    click(driver, "#theme")
    light = driver.execute_script(background)
    assert light != dark
    click(driver, "[data-lang=en]")
    driver.refresh()
    assert driver.execute_script(background) == light
    assert driver.find_element("id", "theme").text == "Theme: light"
    click(driver, "#theme")
    assert driver.execute_script(background) == dark


def test_report_browser_can_be_used_from_the_keyboard(page: Open, report: Path) -> None:
    driver = page(report)
    keys = webdriver.Keys
    driver.find_element("tag name", "body").send_keys(keys.TAB)
    assert driver.switch_to.active_element.text == "Aller au contenu"
    order = "const seen = []; for (const node of document.querySelectorAll('a, button, input, select, summary')) "
    order += "if (node.checkVisibility() && node.tabIndex < 0) seen.push(node.outerHTML); return seen"
    assert driver.execute_script(order) == []
    head = driver.find_element("css selector", "th.c-index button")
    head.send_keys(keys.ENTER)
    assert titles(driver)[0] == FOURTH
    assert driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    driver.find_element("css selector", "details.article > summary").send_keys(keys.ENTER)
    assert driver.execute_script("return document.querySelector('details.article').open")


def underlined(tmp_path: Path, text: str, marks: list[tuple[int, int, float]]) -> Path:
    """A report of one passage in which words are known to pull."""
    job = open_job(make_job(tmp_path, [Story("a", [Told(text)], "Un")]))
    origin = {"model": job.manifest["model"]["sha256"], "task": job.main.name, "method": METHOD}
    (job.output / FILE).write_text(json.dumps({**origin, "passages": {text_key(text): marks}}), encoding="utf-8")
    return write_report(job.output)


def test_report_browser_underlines_words_and_lists_their_pulls_when_asked(page: Open, tmp_path: Path) -> None:
    driver = page(underlined(tmp_path, "Les quotas pèsent, hélas.", [(4, 10, 1.25), (11, 17, 0.3), (19, 24, -0.9)]))
    script = """return [...document.querySelectorAll('.words mark')].map(node => [node.textContent,
        getComputedStyle(node).textDecorationLine, getComputedStyle(node).textDecorationStyle,
        getComputedStyle(node).textDecorationThickness, getComputedStyle(node).backgroundColor])"""
    none = "rgba(0, 0, 0, 0)"
    assert driver.execute_script(script) == [
        ["quotas", "underline", "solid", "3px", none],
        ["pèsent", "underline", "solid", "1.5px", none],
        ["hélas", "underline", "dotted", "3.5px", none],
    ]
    assert driver.execute_script("return document.querySelector('.words').innerText") == "Les quotas pèsent, hélas."
    listed = "return document.querySelector('.pulls').innerText.split(/\\s+/).join(' ')"
    assert not driver.execute_script("return document.querySelector('.pulls').checkVisibility()")
    for _ in range(3):  # closing and opening again draws nothing twice
        click(driver, ".odds summary")
    assert driver.execute_script("return document.querySelector('.pulls').checkVisibility()")
    assert driver.execute_script(listed) == "mots qui pèsent, en log-odds quotas +1,25 pèsent +0,30 hélas −0,90"
    assert driver.execute_script("return document.querySelectorAll('.odds li').length") == 6
    click(driver, "[data-lang=en]")
    assert driver.execute_script(listed) == "words that pull, in log-odds quotas +1.25 pèsent +0.30 hélas −0.90"
    assert "towards the label" in driver.find_element("css selector", "#texts .key").text


def test_report_browser_underlines_hostile_words_as_text(page: Open, tmp_path: Path) -> None:
    bad = "</mark><script>window.hit = 1</script><img src=x onerror='window.hit = 2'>"
    driver = page(underlined(tmp_path, bad, [(0, 15, 1.0), (38, len(bad), -1.0)]))
    assert driver.execute_script("return [window.hit ?? null, document.querySelectorAll('img').length]") == [None, 0]
    assert driver.execute_script("return document.querySelector('.words').textContent") == bad
    assert driver.execute_script("return [...document.querySelectorAll('.words mark')].map(n => n.textContent)") == [
        bad[:15],
        bad[38:],
    ]


@pytest.mark.parametrize("width", [390, 700, 1280])
def test_report_browser_never_scrolls_sideways(width: int, page: Open, tmp_path: Path) -> None:
    long = "x" * 400
    story = Story(long, [Told(long), Told("court")], long, "2026-01-02", long, long, long)
    rejected = [{"place": long, "id": None, "reason": long, "mend": long}]
    facts = {"run": long, "limits": [long], "tests": {long: {"stance": {long: {"value": 0.5, "n": 3}}}}}
    stories = [*STORIES, story, Story("many", [Told("Non.")] * 90, "Beaucoup")]
    job = open_job(make_job(tmp_path, stories, rejected=rejected, facts=facts))
    origin = {"model": job.manifest["model"]["sha256"], "task": job.main.name, "method": METHOD}
    known = {"passages": {text_key(long): [(0, 400, 1.0)]}}
    (job.output / FILE).write_text(json.dumps({**origin, **known}), encoding="utf-8")
    driver = page(write_report(job.output), width)
    for section in ("fr", "en"):
        click(driver, f"[data-lang={section}]")
        driver.execute_script("for (const details of document.querySelectorAll('details')) details.open = true")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 600, 1280])
def test_report_browser_shows_every_tick_of_time_apart_and_whole(width: int, page: Open, tmp_path: Path) -> None:
    stories = [Story(f"m{n}", [Told("Non.")], "Un", f"2025-{n:02d}-01") for n in range(1, 13)]
    driver = page(write_report(make_job(tmp_path, stories)), width)
    script = """const place = (node) => { const box = node.getBoundingClientRect(); return [box.left, box.right]; };
        const plot = place(document.querySelector('.time .plot'));
        return [plot, ...[...document.querySelectorAll('.ticks > span')].filter(n => n.checkVisibility()).map(place)]"""
    for language in ("fr", "en"):
        click(driver, f"[data-lang={language}]")
        (first, last), *boxes = driver.execute_script(script)
        assert len(boxes) >= 2
        assert all(first - 1 <= left < right <= last + 1 for left, right in boxes)
        assert all(before[1] + 4 <= after[0] for before, after in pairwise(boxes))


def test_report_browser_runs_nothing_that_an_article_says(page: Open, tmp_path: Path) -> None:
    bad = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'><a href='javascript:hit=3'>x</a>"
    story = Story(bad, [Told(bad)], bad, None, bad, bad, bad)
    rejected = [{"place": bad, "id": bad, "reason": bad, "mend": bad}]
    facts = {"run": bad, "limits": [bad], "tests": {bad: {bad: {bad: {"value": 0.5, "n": 3}}}}}
    driver = page(write_report(make_job(tmp_path, [story], rejected=rejected, facts=facts)))
    click(driver, "[data-lang=en]")
    assert driver.execute_script("return window.hit") is None
    assert driver.find_elements("tag name", "img") == []
    assert titles(driver) == [bad]


def test_report_browser_shows_a_model_with_one_task_and_two_labels(page: Open, tmp_path: Path) -> None:
    urgent = Task("urgence", ("oui", "non"), 0)
    told = [Told("Vite.", [(0.9, 0.1)]), Told("Plus tard.", [(0.2, 0.8)], abstained=True)]
    stories = [Story("a", told, "Un", "2026-01-01", "S", "T"), Story("b", told[1:], "Deux", "2026-02-01", "S", "T")]
    driver = page(write_report(make_job(tmp_path, stories, tasks=[urgent], axes={})))
    click(driver, ".c-label button")
    assert titles(driver) == ["Deux", "Un"]
    click(driver, "[data-lang=en]")
    assert "non" in driver.find_element("css selector", "#table").text


def test_report_browser_prints_every_text(page: Open, report: Path) -> None:
    driver = page(report, theme="dark")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    script = """const style = (node, part) => getComputedStyle(node, part);
        const find = (name) => document.querySelector(name);
        return [...document.querySelectorAll('details.article')]
            .map(article => style(article, '::details-content').contentVisibility)
            .concat(style(find('.controls')).display, style(find('html')).backgroundColor)"""
    assert driver.execute_script(script) == ["visible"] * 4 + ["none", "rgb(255, 255, 255)"]


def test_report_browser_keeps_a_plain_table_without_scripts(page: Open, report: Path, driver: Any) -> None:
    page(report)
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.refresh()
        table = driver.find_element("id", "table")
        assert table.is_displayed()
        assert FIRST in table.text
        assert not driver.find_element("id", "search").is_displayed()
        assert not driver.find_element("id", "theme").is_displayed()
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
