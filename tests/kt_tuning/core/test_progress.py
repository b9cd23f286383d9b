import io
import logging
import threading

import pytest
from rich.console import Console

from kt_tuning.core import progress as module
from kt_tuning.core.progress import Task, is_live, progress, write_line


@pytest.fixture
def terminal(monkeypatch):
    """What is drawn on a terminal."""
    written = io.StringIO()
    console = Console(
        file=written, force_terminal=True, width=120, color_system=None, _environ={"TERM": "xterm"}
    )
    monkeypatch.setattr(module, "Console", lambda **_: console)
    return written


class Said(logging.Handler):
    """Log lines, as soon as there are so many of them."""

    def __init__(self, count):
        super().__init__()
        self.lines = []
        self.enough = threading.Event()
        self._count = count

    def emit(self, record):
        self.lines.append(record.getMessage())
        if len(self.lines) >= self._count:
            self.enough.set()


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "kt_tuning")
    handlers = []

    def lines(count):
        handlers.append(Said(count))
        logging.getLogger("kt_tuning").addHandler(handlers[-1])
        return handlers[-1]

    yield lines
    for handler in handlers:
        logging.getLogger("kt_tuning").removeHandler(handler)


def test_a_terminal_has_a_bar(terminal):
    with progress("Decoding images", 1200) as task:
        task.advance(300)
        task.update(600, "loss 0.3000")
    text = terminal.getvalue()
    assert "Decoding images" in text
    assert "600 of 1,200" in text
    assert "loss 0.3000" in text


def test_a_bar_vanishes(terminal):
    with progress("Exporting"):
        pass
    # The line is erased, and the cursor shown again.
    assert terminal.getvalue().endswith("\x1b[2K")


def test_where_nothing_can_be_redrawn_there_are_lines(said, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    monkeypatch.setattr(module, "EVERY", 0.01)
    heard = said(2)
    with progress("Decoding images", 1200) as task:
        task.advance(300)
        assert heard.enough.wait(60)
    assert heard.lines[1].startswith("Decoding images: 300 of 1,200 (0:")
    assert heard.lines[-1].startswith("Decoding images: done in 0:")


def test_what_is_quick_has_no_line(said):
    heard = said(1)
    with progress("Combining"):
        pass
    assert heard.lines == []


def test_what_fails_is_not_done(said, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    heard = said(1)

    def fail():
        with progress("Exporting"):
            assert heard.enough.wait(60)
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert [line.partition(" (")[0] for line in heard.lines] == ["Exporting"]


def test_nothing_is_shown_where_nothing_is_wanted(terminal):
    with progress("Exporting", shown=False) as task:
        task.advance()
    assert terminal.getvalue() == ""
    assert task.done == 1


def test_a_task_follows_items():
    task = Task("Attacks")
    followed = task.follow("abc", times=2)
    assert (task.total, len(followed), followed[1]) == (6, 3, "b")
    assert list(followed) == ["a", "b", "c"]
    assert str(task) == "Attacks: 3 of 6"


@pytest.mark.parametrize(
    ("options", "live"),
    [
        ({"force_terminal": True, "_environ": {"TERM": "xterm"}}, True),
        ({"force_terminal": True, "_environ": {"TERM": "dumb"}}, False),
        ({"force_terminal": False}, False),
    ],
)
def test_only_a_terminal_that_moves_its_cursor_is_live(options, live):
    assert is_live(Console(file=io.StringIO(), **options)) is live


@pytest.mark.parametrize("installed", [True, False])
def test_a_notebook_is_live_if_it_has_ipywidgets(installed, monkeypatch):
    found = object() if installed else None
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: found)
    assert is_live(Console(file=io.StringIO(), force_jupyter=True)) is installed


def test_a_notebook_prints_lines_with_the_time():
    written = io.StringIO()
    write_line("trial 0: done", Console(file=written, force_jupyter=True))
    time, _, text = written.getvalue().partition(" ")
    assert len(time) == len("12:00:00")
    assert text == "trial 0: done\n"
