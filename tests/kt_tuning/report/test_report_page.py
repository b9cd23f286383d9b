from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.report import write_report
from kt_tuning.report.page import SECTIONS

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """The page as a browser would take it: elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif "style" not in self.open:
            self.text += data

    def values(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]


@pytest.fixture(scope="module")
def page(shared_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = write_report(shared_run, path=tmp_path_factory.mktemp("page") / "report.html")
    return Page(path.read_text(encoding="utf-8"))


def test_the_file_is_in_the_run_directory_unless_told(make_run, tmp_path: Path) -> None:
    run_directory = make_run(trials=2)
    assert write_report(run_directory) == run_directory / "report.html"
    elsewhere = write_report(run_directory, path=tmp_path / "other.html")
    assert elsewhere.read_bytes() == (run_directory / "report.html").read_bytes()


def test_elements_are_closed_in_order(page: Page) -> None:
    assert page.open == []


def test_scores_and_confusion_come_right_after_the_summary(page: Page) -> None:
    sections = [value for tag, name, value in page.attributes if (tag, name) == ("section", "id")]
    assert sections == list(SECTIONS)
    assert sections[:2] == ["scores", "confusion"]
    links = [value for value in page.values("href") if value.removeprefix("#") in sections]
    assert links[: len(sections)] == [f"#{key}" for key in sections]


def test_nothing_is_fetched(page: Page) -> None:
    assert not {"link", "iframe", "object"} & set(page.tags)
    assert all(source.startswith("data:image/") for source in page.values("src"))
    references = page.values("href") + re.findall(r"url\(([^)]*)\)", " ".join(page.values("style")))
    assert all(reference.startswith(("#", "data:image/png")) for reference in references)


def test_a_nasty_class_name_is_text(page: Page) -> None:
    assert page.tags.count("script") == 1
    assert "<script>alert(1)</script>" in page.text
    assert "<b>conv2d</b> & more" in page.text


def test_the_policy_allows_our_script_alone(page: Page) -> None:
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    (policy,) = (value for value in page.values("content") if "default-src" in value)
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_identifiers_are_unique(page: Page) -> None:
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))


def test_every_link_inside_the_page_has_a_target(page: Page) -> None:
    targets = {value[1:] for value in page.values("href") if value.startswith("#")}
    assert targets <= set(page.values("id"))


def test_every_figure_is_described(page: Page) -> None:
    assert page.tags.count("svg") == len(
        [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    )
    assert "" not in page.values("aria-label")
    assert page.tags.count("img") == len(page.values("alt")) > 0
    assert "" not in page.values("alt")


def test_the_same_run_is_the_same_bytes_whatever_the_user_set(make_run, tmp_path: Path) -> None:
    run_directory = make_run(trials=3)
    first = write_report(run_directory).read_bytes()
    copy = shutil.copytree(run_directory, tmp_path / "elsewhere" / "photos")
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 5, "svg.fonttype": "path"}):
        assert write_report(copy).read_bytes() == first


def test_reports_can_be_written_in_threads(make_run, tmp_path: Path) -> None:
    run_directory = make_run(trials=2)
    paths = [tmp_path / f"{index}.html" for index in range(2)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: write_report(run_directory, path=path), paths))
    assert len({path.read_bytes() for path in paths}) == 1


def test_a_run_before_evaluation_says_so(run_directory: Path) -> None:
    for name in ("scores.json", "ensemble.json", "gallery.json", "augmentation.jpg"):
        (run_directory / name).unlink()
    shutil.rmtree(run_directory / "export")
    page = Page(write_report(run_directory).read_text(encoding="utf-8"))
    assert "Not measured yet." in page.text
    assert "Validation accuracy" in page.text
    assert "Test accuracy" not in page.text
    assert "Nothing has been exported" in page.text


def test_a_run_in_which_every_trial_failed(run_directory: Path) -> None:
    for name in ("scores.json", "ensemble.json"):
        (run_directory / name).unlink()
    for folder in run_directory.glob("trial_*"):
        if folder.name != "trial_0004":
            shutil.rmtree(folder)
    page = Page(write_report(run_directory).read_text(encoding="utf-8"))
    assert "no trial has a score yet" in page.text
    assert "OOM at" in page.text


def test_a_run_without_trials_or_data(run_directory: Path) -> None:
    for path in run_directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "search.json":
            path.unlink()
    page = Page(write_report(run_directory).read_text(encoding="utf-8"))
    assert "no trial has a score yet" in page.text
    assert "0 trials" in page.text


def test_a_path_that_cannot_be_written(make_run, tmp_path: Path) -> None:
    run_directory = make_run(trials=1)
    with pytest.raises(StorageError, match="can be written"):
        write_report(run_directory, path=tmp_path / "missing" / "report.html")


def test_a_hundred_trials_of_a_hundred_classes_stay_small(make_run) -> None:
    directory = make_run(trials=100, classes=tuple(f"class {index}" for index in range(100)))
    assert write_report(directory).stat().st_size < 1_500_000


def test_names_that_no_file_can_hold_are_escaped(make_run) -> None:
    directory = make_run(trials=1, classes=("\x00\udcff", "猫\n犬", "]]>&#0;"))
    page = Page(write_report(directory).read_text(encoding="utf-8"))
    assert r"\x00\udcff" in page.text
    assert "猫 犬" in page.text
    assert "]]>&#0;" in page.text
