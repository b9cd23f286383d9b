"""Progress bars of an evaluation, one a part."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar, overload

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")


class PartBars:
    """Shows which part is being measured, and how far it is.

    Args:
        progress: What draws; None shows nothing.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[PartBar]:
        """Show a bar until the block ends; the bar is full then."""
        if self._progress is None:
            yield PartBar(None, None)
            return
        task = self._progress.add_task(name.capitalize(), total=None)
        yield PartBar(self._progress, task)
        total = self._progress.tasks[task].total or 1
        self._progress.update(task, total=total, completed=total)


class PartBar:
    """The bar of one part."""

    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        self._progress = progress
        self._task = task

    def follow(self, items: Sequence[T], times: int = 1) -> Sequence[T]:
        """Return the items; the bar moves on when one of them has been dealt with.

        Args:
            items: What is gone through.
            times: How often.
        """
        if self._progress is None or self._task is None:
            return items
        self._progress.update(self._task, total=times * len(items))
        return _Followed(items, self)

    def advance(self) -> None:
        """Move on by one item."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task)


class _Followed(Sequence[T]):
    """A sequence that tells a bar how far it has been gone through."""

    def __init__(self, items: Sequence[T], bar: PartBar) -> None:
        self._items = items
        self._bar = bar

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
            self._bar.advance()


@contextlib.contextmanager
def part_bars(*, shown: bool) -> Iterator[PartBars]:
    """Draw bars on the standard error stream while the block runs.

    Args:
        shown: Whether to.
    """
    if not shown:
        yield PartBars(None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as progress:
        yield PartBars(progress)
