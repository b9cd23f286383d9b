"""Ending a training in time: fewer epochs with a shorter schedule, or a stop within an epoch."""

from __future__ import annotations

import math
import time

import keras

from kt_tuning.core.units import clock, count
from kt_tuning.trials.checkpoint import RunState
from kt_tuning.trials.spec import InfeasibleError

PROBE = 8
"""Steps after the first from which the time of an epoch is estimated."""
MEASURING = 0.2
"""Assumed evaluation time as a share of an epoch before it was measured: a third of the images at a
third of the time each, twice for models that train in 16 bits."""
SLACK = 1.1
"""A training is shortened if it would exceed the remaining time by more than a tenth."""


class Deadline(keras.callbacks.Callback):
    """Ends a training by a deadline.

    A training that would not end in time is shortened after its first epoch: the learning-rate
    schedule is rescaled to the epochs that fit. If not even one epoch fits, training stops within
    it, early enough for the evaluation. If it is too late for that and there is another model, the
    trial is infeasible.

    Args:
        state: State of the training, whose `epochs` and `message` are changed.
        at: Deadline as a value of `time.monotonic()`.
        planned: Epochs of a full training.
        least_epochs: The trial is infeasible if this many epochs would take more seconds than
        longest: this; with 0 it is always kept, as there is no other model.

    Attributes:
        at: As above.
        is_cut: Whether the training was stopped within an epoch.
    """

    reads_batch_logs = False

    def __init__(
        self,
        state: RunState,
        at: float,
        *,
        planned: int,
        least_epochs: int,
        longest: float = math.inf,
    ) -> None:
        super().__init__()
        self._state = state
        self.at = at
        self.is_cut = False
        self._planned = planned
        self._least_epochs = least_epochs
        self._longest = longest
        self._first = True
        self._measured: float | None = None
        self._started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._began = self._stepped = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Measure the tracing time of the first epoch; stop when time is up."""
        now = time.monotonic()
        if self._first and batch == 0:
            self._traced = now
        self._stepped = now
        steps = self.params["steps"] or 0
        late = now + self._measuring(batch, now) - self.at
        if batch + 1 != steps and late >= 0:
            if self._least_epochs and late > (SLACK - 1) * (self.at - self._started):
                raise InfeasibleError(
                    "too slow for the time that is left: not one epoch fits into "
                    f"{clock(max(0.0, self.at - self._started))}"
                )
            # The weights so far are still evaluated and kept.
            self.model.stop_training = True
            self.cut(f"after {count(self._state.done * steps + batch + 1, 'step')}")
        elif self._first and 0 < batch <= PROBE and not self._state.done:
            self._check_feasible(batch, now)

    def cut(self, where: str) -> None:
        """Record that the training was stopped within an epoch.

        Args:
            where: Position such as "after 7 steps".
        """
        self.is_cut = True
        self._state.message = f"cut short by the time limit {where}"

    def _measuring(self, batch: int, now: float) -> float:
        """Return the seconds of the evaluation after the last epoch, or an estimate."""
        if self._measured is not None:
            return self._measured
        # The first step includes an unknown time for tracing.
        step = (now - self._traced) / batch if batch else 0.0
        return MEASURING * (self.params["steps"] or 0) * step

    def _check_feasible(self, batch: int, now: float) -> None:
        """Raise if a worthwhile training would take too long."""
        steps = self.params["steps"] or 0
        needed = self._least_epochs * steps * (now - self._traced) / batch
        # Fewer steps give a less reliable estimate.
        doubt = PROBE / batch
        if needed > self._longest * doubt:
            raise InfeasibleError(
                f"too slow for the time limit: {count(self._least_epochs, 'epoch')} would take "
                f"{clock(needed)}, and one training should not take more than "
                f"{clock(self._longest)} of it"
            )

    def epoch_ended(self, seconds: float) -> None:
        """Shorten the training if it would not end in time.

        Args:
            seconds: Wall-clock of the epoch, evaluation included.
        """
        if self.is_cut:
            self._state.epochs = self._state.done
            return
        now = time.monotonic()
        self._measured = now - self._stepped
        seconds, self._first = self._steady(seconds), False
        remaining, done = self.at - now, self._state.done
        if (self._state.epochs - done) * seconds <= max(0.0, remaining) * SLACK:
            return
        affordable = done + max(0, int(remaining / max(seconds, 1e-9)))
        self._state.epochs = affordable
        self._state.message = (
            f"shortened from {self._planned} to {affordable} epochs by the time limit"
        )
        schedule = getattr(self.model, "fit_schedule", None)
        if affordable > done and schedule is not None:
            schedule.stretch(self.params["steps"], affordable)

    def _steady(self, seconds: float) -> float:
        """Return the seconds of an epoch without the tracing of the first one."""
        steps = self.params.get("steps")
        if not self._first or not steps or steps < 2:
            return seconds
        return (seconds - (self._traced - self._began)) * steps / (steps - 1)
