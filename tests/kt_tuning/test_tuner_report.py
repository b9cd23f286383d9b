"""The public tuner shows its report."""

import html

import pytest
from tiny_models import tiny

import kt_tuning
from kt_tuning.core.errors import StorageError
from kt_tuning.report import Report
from kt_tuning.report import page as module


def test_a_notebook_shows_the_report_of_the_search(make_tuner, stripes):
    tuner = make_tuner(max_trials=1, epochs=1)
    tuner.search(stripes, verbose=False)
    report = tuner.report()
    assert report.path == tuner.run_directory / "report.html"
    frame = report._repr_html_()
    page = report.path.read_text(encoding="utf-8")
    assert frame.startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
    assert html.escape(page) in frame
    assert 'sandbox="allow-scripts"' in frame


def test_before_a_search_there_is_no_report(tmp_path):
    tuner = kt_tuning.Tuner(tiny, directory=tmp_path)
    with pytest.raises(StorageError, match=r"with search\.json in it"):
        tuner.report()


def test_a_report_that_is_gone(tmp_path):
    with pytest.raises(StorageError, match="Write it again"):
        Report(tmp_path / "report.html")._repr_html_()


def test_open_asks_the_browser(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(module.webbrowser, "open", lambda address: asked.append(address) or True)
    assert Report(tmp_path / "a report.html").open()
    assert asked == [f"{tmp_path.as_uri()}/a%20report.html"]
