"""How far long work is: a bar where somebody watches, lines with the time where nobody does.

A bar is drawn in a terminal, and in a notebook that has ipywidgets, without which rich warns at
each refresh. Otherwise, such as in a log file, work that takes more than `PATIENCE` seconds gets a
line then, one each `EVERY` seconds, and one at its end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, overload

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
"""Seconds after which work that is still going on gets its first line."""
EVERY = 30.0
"""Seconds between lines."""
FORWARDED = "forwarded"
"""Attribute of a log record that workers hand on to where the search runs, whatever its level."""

T = TypeVar("T")


def is_live(console: Console) -> bool:
    """Whether what is drawn on a console can be redrawn."""
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console.is_interactive


def write_line(text: str, console: Console | None = None) -> None:
    """Write a plain line for where nothing can be redrawn.

    A notebook prints it, with the time of day; elsewhere it is logged, and what a worker process
    logs so appears where the search runs.

    Args:
        text: The line.
        console: Where the work is shown, or None.
    """
    if console is not None and console.is_jupyter:
        # rich would make a block of HTML of each line.
        print(f"{time.strftime('%H:%M:%S')} {text}", file=console.file)
    else:
        logger.info(text, extra={FORWARDED: True})


class Task:
    """Work, and how much of it is done.

    Attributes:
        title: What is done: "Decoding images".
        total: Steps, or None if they cannot be counted.
        done: Steps of them that are done.
        note: What else there is to say, such as "loss 0.3".
    """

    def __init__(self, title: str, total: int | None = None) -> None:
        self.title = title
        self.total = total
        self.done = 0
        self.note = ""
        self.changed: Callable[[], None] = _nothing

    def begin(self, title: str, total: int | None = None) -> None:
        """Say that something else is done now."""
        self.title, self.total = title, total
        self.update(0)

    def update(self, done: int, note: str = "") -> None:
        """Say how many steps are done, and what else there is to say."""
        self.done, self.note = done, note
        self.changed()

    def advance(self, steps: int = 1) -> None:
        """Say that more steps are done."""
        self.update(self.done + steps, self.note)

    def follow(self, items: Sequence[T], times: int = 1) -> Sequence[T]:
        """Return the items; a step is done when one of them has been dealt with.

        Args:
            items: What is gone through.
            times: How often.
        """
        self.total = times * len(items)
        self.changed()
        return _Followed(items, self)

    @property
    def share(self) -> str:
        """Such as "300 of 1,200"; nothing if steps cannot be counted."""
        return "" if self.total is None else f"{self.done:,} of {self.total:,}"

    def __str__(self) -> str:
        facts = ", ".join(fact for fact in (self.share, self.note) if fact)
        return f"{self.title}: {facts}" if facts else self.title


@contextlib.contextmanager
def progress(
    title: str, total: int | None = None, *, shown: bool = True, live: bool = True
) -> Iterator[Task]:
    """Show how far the work in this block is.

    Args:
        title: What is done: "Decoding images".
        total: Steps, if they can be counted; None shows the time alone.
        shown: Whether to show anything.
        live: Whether a bar may be drawn; otherwise there are lines alone.
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
        TextColumn("{task.fields[share]}"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, refresh_per_second=4, transient=True)
    drawn = bar.add_task(task.title, total=task.total, share=task.share, note=task.note)

    def draw() -> None:
        bar.update(
            drawn,
            description=task.title,
            total=task.total,
            completed=task.done,
            share=task.share,
            note=task.note,
        )

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


class _Followed(Sequence[T]):
    """A sequence that tells a task how far it has been gone through."""

    def __init__(self, items: Sequence[T], task: Task) -> None:
        self._items = items
        self._task = task

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._items[index]

    def __iter__(self) -> Iterator[T]:
        for item in self._items:
            yield item
            self._task.advance()


def _nothing() -> None:
    pass
