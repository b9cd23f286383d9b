"""The live view of a search in a terminal or a notebook; log lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kt_tuning.core.progress import EVERY, is_live, write_line
from kt_tuning.core.records import PAUSED, TrialRecord
from kt_tuning.core.units import clock, count
from kt_tuning.trials import Progress


class SearchDisplay:
    """Shows the running trial, the best so far and how much of the budget is used.

    Args:
        objective: Name of the objective.
        max_trials: Largest number of trials, or None.
        time_limit: Time limit in seconds, or None.
        done: Trials that earlier runs of this search have finished.
        used: Seconds of these trials.
        console: Console of the live view. On one that cannot be redrawn, lines show the results of
            trials and the progress of long ones; with None only results are logged.
    """

    def __init__(
        self,
        objective: str,
        *,
        max_trials: int | None,
        time_limit: float | None,
        done: int,
        used: float,
        console: Console | None,
    ) -> None:
        self._objective = objective
        self._max_trials = max_trials
        self._time_limit = time_limit
        self._done = done
        self._used = used
        self._ended: set[int] = set()
        self._began = time.monotonic()
        self._running: dict[int, tuple[int, int, float | None]] = {}
        self._best: TrialRecord | None = None
        self._live: Live | None = None
        self._console = console
        self._spoke = self._began
        if console is not None and is_live(console):
            self._live = Live(
                console=console, get_renderable=self._render, refresh_per_second=4, transient=True
            )

    def __enter__(self) -> Self:
        self._breakpoint_hook = sys.breakpointhook
        if self._live is not None:
            self._live.start()
            sys.breakpointhook = self._stop_for_breakpoint
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            sys.breakpointhook = self._breakpoint_hook

    def _stop_for_breakpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Leave the terminal to the debugger; the live view returns with the next trial."""
        if self._live is not None:
            self._live.stop()
        return self._breakpoint_hook(*args, **kwargs)

    def trial_started(self, number: int, epochs: int) -> None:
        """Show a trial that has started."""
        if self._live is not None and not self._live.is_started:
            self._live.start()
        self._running[number] = (0, epochs, None)
        self._ended.discard(number)

    def epoch_ended(self, number: int, progress: Progress) -> None:
        """Show an epoch's value of the objective."""
        self._running[number] = (progress.epoch, progress.epochs, progress.value)
        if self._live is not None or self._console is None:
            return
        if time.monotonic() - self._spoke >= EVERY:
            self._say(
                f"trial {number}: epoch {progress.epoch}/{progress.epochs}, "
                f"{self._objective} {progress.value:.4f}; {self._budget()}"
            )

    def trial_ended(self, record: TrialRecord, best: list[TrialRecord]) -> None:
        """Write a line with the result of a trial, given the best completed one, if any."""
        self._running.pop(record.number, None)
        self._ended.add(record.number)
        self._best = best[0] if best else None
        line = self._describe(record)
        if self._best is not None and self._best.trial_id == record.trial_id:
            line += " (best so far)"
        if self._live is not None:
            style = "" if record.usable else "red"
            self._live.console.print(Text(line, style=style))
        else:
            self._say(line)

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        write_line(line, self._console)

    def _describe(self, record: TrialRecord) -> str:
        epochs = count(record.epochs, "epoch")
        cost = f"{epochs}, {clock(record.seconds)}" if record.epochs else clock(record.seconds)
        if not record.usable:
            reason = (record.message or "").partition("\n")[0]
            return f"trial {record.number}: {record.status.lower()} after {cost}: {reason}"
        value = f"{self._objective} {record.metrics[self._objective]:.4f}"
        paused = ", paused" if record.status == PAUSED else ""
        return f"trial {record.number}: {value} in {cost}{paused}"

    def _render(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for number, (epoch, epochs, value) in sorted(self._running.items()):
            table.add_row(
                Text(f"trial {number}", style="bold"),
                ProgressBar(total=max(1, epochs), completed=epoch, width=24),
                Text(f"epoch {epoch}/{epochs}"),
                Text("" if value is None else f"{self._objective} {value:.4f}"),
            )
        if self._best is not None:
            best = f"{self._objective} {self._best.metrics[self._objective]:.4f}"
            row = ["best", "", f"trial {self._best.number}", best]
            table.add_row(*(Text(cell, style="green") for cell in row))
        table.add_row(Text(self._budget(), style="dim"))
        return table

    def _budget(self) -> str:
        elapsed = time.monotonic() - self._began
        time_used, trials = clock(self._used + elapsed), f"{self._done + len(self._ended)}"
        if self._time_limit is not None:
            time_used += f" of {clock(self._time_limit)}"
        if self._max_trials is not None:
            trials += f" of {self._max_trials}"
        left = self._seconds_left(elapsed)
        about = "" if left is None else f", about {clock(left)} left"
        return f"{trials} trials, {time_used}{about}"

    def _seconds_left(self, elapsed: float) -> float | None:
        """Return the estimated seconds until a limit is reached; None if unknown."""
        left = []
        if self._time_limit is not None:
            left.append(self._time_limit - self._used - elapsed)
        if self._max_trials is not None and self._ended:
            underway = sum(epoch / max(1, epochs) for epoch, epochs, _ in self._running.values())
            ended = len(self._ended) + underway
            left.append(elapsed / ended * (self._max_trials - self._done - ended))
        return max(0.0, min(left)) if left else None
