"""Progress of long work: a bar in terminals and notebooks, lines elsewhere.

A bar needs a terminal, or a notebook that has ipywidgets (without them rich warns at each refresh).
Elsewhere, such as in a log file, work that takes more than `PATIENCE` seconds writes a line then,
one each `EVERY` seconds, and one at its end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kt_tuning.core.units import clock

logger = logging.getLogger("kt_tuning")

PATIENCE = 2.0
"""Seconds until the first line."""
EVERY = 30.0
"""Seconds between lines."""
FORWARDED = "forwarded"
"""Attribute of a log record that workers send to the process of the search at any level."""

T = TypeVar("T")


def is_live(console: Console) -> bool:
    """Return whether a console can redraw a progress bar."""
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console.is_interactive


def write_line(text: str, console: Console | None = None) -> None:
    """Write a line of progress where no bar can be drawn.

    A notebook prints it with the time of day. Elsewhere it is logged; the process of a search also
    shows the lines of its workers.

    Args:
        text: The line.
        console: The console of the display, or None.
    """
    if console is not None and console.is_jupyter:
        # rich would write each line as a block of HTML.
        print(f"{time.strftime('%H:%M:%S')} {text}", file=console.file)
    else:
        logger.info(text, extra={FORWARDED: True})


class Task:
    """The state of long work.

    Attributes:
        title: Name of the work: "Decoding images".
        total: Number of steps, or None if unknown.
        done: Number of steps done.
        note: Further information, such as "loss 0.3".
    """

    def __init__(self, title: str, total: int | None = None) -> None:
        self.title = title
        self.total = total
        self.done = 0
        self.note = ""
        self.changed: Callable[[], None] = lambda: None

    def begin(self, title: str, total: int | None = None) -> None:
        """Start other work, with no step done."""
        self.title, self.total = title, total
        self.update(0)

    def update(self, done: int, note: str = "") -> None:
        """Set the number of steps done, and the note."""
        self.done, self.note = done, note
        self.changed()

    def advance(self, steps: int = 1) -> None:
        """Add to the number of steps done."""
        self.update(self.done + steps, self.note)

    def follow(self, items: Sequence[T], times: int = 1) -> Sequence[T]:
        """Return the items as a sequence that advances the task by a step an item.

        Args:
            items: The items to iterate over.
            times: Number of iterations over all of them.
        """
        self.total = times * len(items)
        self.changed()
        return _Followed(items, self)

    @property
    def share(self) -> str:
        """Steps done, such as "300 of 1,200"; empty if the total is unknown."""
        return "" if self.total is None else f"{self.done:,} of {self.total:,}"

    def __str__(self) -> str:
        facts = ", ".join(fact for fact in (self.share, self.note) if fact)
        return f"{self.title}: {facts}" if facts else self.title


@contextlib.contextmanager
def progress(
    title: str, total: int | None = None, *, shown: bool = True, live: bool = True
) -> Iterator[Task]:
    """Show the progress of the work in this block.

    Args:
        title: Name of the work: "Decoding images".
        total: Number of steps; None shows only the time.
        shown: Whether to show anything.
        live: Whether a bar may be drawn; otherwise lines are written.
    """
    task = Task(title, total)
    console = Console(stderr=True)
    display = _bar if live and is_live(console) else _lines
    with display(task, console) if shown else contextlib.nullcontext():
        yield task


@contextlib.contextmanager
def _bar(task: Task, console: Console) -> Iterator[None]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state].share}"),
        TextColumn("{task.fields[state].note}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, refresh_per_second=4, transient=True)
    drawn = bar.add_task(task.title, total=task.total, state=task)

    def draw() -> None:
        bar.update(drawn, description=task.title, total=task.total, completed=task.done)

    task.changed = draw
    with bar:
        yield


@contextlib.contextmanager
def _lines(task: Task, console: Console) -> Iterator[None]:
    began = time.monotonic()
    ended = threading.Event()
    written = []

    def write() -> None:
        pause = PATIENCE
        while not ended.wait(pause):
            pause = EVERY
            written.append(f"{task} ({clock(time.monotonic() - began)})")
            write_line(written[-1], console)

    thread = threading.Thread(target=write, name=f"progress of {task.title}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if written:
        write_line(f"{task.title}: done in {clock(time.monotonic() - began)}", console)


class _Followed(list[T]):
    """A list that advances a task as it is iterated over."""

    def __init__(self, items: Sequence[T], task: Task) -> None:
        super().__init__(items)
        self._task = task

    def __iter__(self) -> Iterator[T]:
        for item in super().__iter__():
            yield item
            self._task.advance()
