"""A progress bar for the trainings of a refit, one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def epoch_bar(title: str, epochs: int, *, shown: bool) -> Iterator[Callable[[int, float], None]]:
    """Show how far a training is, in this block, on the standard error stream.

    Args:
        title: What is trained.
        epochs: Of the training.
        shown: Whether to show anything.

    Yields:
        A function to be told (epochs done, loss).
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs  {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task(title, total=epochs, loss="")

        def tell(done: int, loss: float) -> None:
            bar.update(task, completed=done, loss=f"loss {loss:.4f}")

        yield tell
