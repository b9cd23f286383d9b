"""The page as a browser shows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium_page import NAMES, Chromium, find_chromium

from kt_tuning.report import Report, write_report

pytestmark = pytest.mark.skipif(
    find_chromium() is None,
    reason=f"no browser is installed: none of {', '.join(NAMES)} is on the path",
)

NASTY = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def report(shared_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(shared_run, path=tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser: Chromium, report: Path) -> Chromium:
    browser.problems.clear()
    browser.requests.clear()
    browser.open(report)
    return browser


def test_nothing_goes_wrong_and_nothing_is_fetched(page: Chromium, report: Path) -> None:
    assert page.problems == []
    fetched = [address for address in page.requests if not address.startswith("data:")]
    assert fetched == [report.resolve().as_uri()]


def test_the_browser_would_tell(page: Chromium, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text('<img src="missing.png"><script>console.error(1); nonsense()</script>')
    page.open(bad)
    assert len(page.problems) >= 2
    assert any(address.endswith("missing.png") for address in page.requests)


def test_a_nasty_class_name_is_shown_and_does_nothing(page: Chromium) -> None:
    assert page.evaluate("document.scripts.length") == 1
    assert NASTY in page.evaluate("document.body.innerText")


def test_every_image_has_an_alternative(page: Chromium) -> None:
    images = page.evaluate("document.images.length")
    drawings = page.evaluate("document.querySelectorAll('svg').length")
    assert images > 0
    assert drawings > 10
    assert page.evaluate("[...document.images].every(image => image.alt)")
    assert page.evaluate(
        "[...document.querySelectorAll('svg')].every("
        "svg => svg.getAttribute('role') === 'img' && svg.getAttribute('aria-label'))"
    )


def test_images_are_not_broken(page: Chromium) -> None:
    # Those further down are loaded when they come into sight.
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    loaded = "Promise.all([...document.images].map(image => image.decode())).then(() => true)"
    answer = page.call("Runtime.evaluate", expression=loaded, awaitPromise=True, returnByValue=True)
    assert answer["result"]["value"] is True


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_sideways(page: Chromium, report: Path, width: int) -> None:
    page.open(report, width=width)
    assert page.evaluate("window.innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_table_says_that_it_scrolls_where_it_does(page: Chromium, report: Path) -> None:
    wide = "document.querySelector('#trials .scroll').classList.contains('overflows')"
    page.open(report, width=390)
    assert page.evaluate(wide)
    page.open(report, width=2400)
    assert not page.evaluate(wide)


def test_names_of_hyperparameters_are_not_broken(page: Chromium, report: Path) -> None:
    page.open(report, width=390)
    lines = page.evaluate(
        "[...document.querySelectorAll('#best-trial td:first-child')].map(cell => {"
        "const range = document.createRange(); range.selectNodeContents(cell);"
        "return new Set([...range.getClientRects()].map(box => box.top)).size})"
    )
    assert lines
    assert set(lines) == {1}


def test_dark_mode_changes_page_and_figures(page: Chromium, report: Path) -> None:
    colours = "[getComputedStyle(document.body).backgroundColor, " + (
        "getComputedStyle(document.querySelector('#search svg text')).fill]"
    )
    light = page.evaluate(colours)
    page.open(report, dark=True)
    dark = page.evaluate(colours)
    assert light[0] == "rgb(255, 255, 255)"
    assert dark[0] != light[0]
    assert dark[1] != light[1]


def test_a_click_on_a_header_sorts(page: Chromium) -> None:
    rows = "[...document.querySelectorAll('#trials .sortable tbody tr')]"
    column = f"{rows}.map(row => +row.cells[0].textContent)"
    page.evaluate("document.querySelector('#trials .sortable th button').click()")
    assert page.evaluate(column) == list(range(12))


def test_a_notebook_shows_it_in_a_frame(page: Chromium, report: Path, tmp_path: Path) -> None:
    cell = tmp_path / "cell.html"
    cell.write_text(f"<!DOCTYPE html><body>{Report(report)._repr_html_()}</body>")
    page.open(cell)
    assert page.problems == []
    assert page.evaluate("document.querySelector('iframe').getBoundingClientRect().height") == 720
