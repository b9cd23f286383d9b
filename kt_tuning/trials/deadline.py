"""A training that must end in time: given up, stopped, or shortened so that it ends annealed."""

from __future__ import annotations

import math
import time

import keras

from kt_tuning.trials.checkpoint import RunState
from kt_tuning.trials.spec import InfeasibleError, TrialFailedError
from kt_tuning.units import clock, count

PROBE = 8
"""Steps, after the first, that tell how long an epoch will take."""
SLACK = 1.1
"""A training may outlast the deadline by a tenth of what is left before it is shortened."""


class Deadline(keras.callbacks.Callback):
    """Holds a training to a deadline.

    A training that would not be done in time is shortened after its first epoch: the learning-rate
    schedule is stretched over the epochs that fit, so that it still ends annealed.

    Args:
        state: Of the training; its `epochs` and `message` are changed.
        at: Value of `time.monotonic()`.
        planned: Epochs of a full training.
        least_epochs: The training is given up if so many epochs cannot end in time,
        longest: or would take more seconds than these.
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
        self._at = at
        self._planned = planned
        self._least_epochs = least_epochs
        self._longest = longest
        self._first = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Note how much of the first epoch went into tracing; stop where time is up."""
        now = time.monotonic()
        if self._first and batch == 0:
            self._traced = now
        if now >= self._at:
            # What the epoch has learned so far is still measured and kept.
            self.model.stop_training = True
        elif self._first and 0 < batch <= PROBE and not self._state.done:
            self._give_up_if_hopeless(batch, now)

    def _give_up_if_hopeless(self, batch: int, now: float) -> None:
        """Leave the time that is left to a configuration that can use it."""
        steps = self.params["steps"] or 0
        needed = self._least_epochs * steps * (now - self._traced) / batch
        # The fewer steps, the less they tell.
        doubt = PROBE / batch
        if needed > self._longest * doubt:
            raise InfeasibleError(
                f"too slow for the time limit: {count(self._least_epochs, 'epoch')} would take "
                f"{clock(needed)}, and one training should not take more than "
                f"{clock(self._longest)} of it"
            )
        if needed > (self._at - now) * doubt:
            raise TrialFailedError(
                f"too slow for the time that is left: {count(self._least_epochs, 'epoch')} would "
                f"take {clock(needed)} of {clock(self._at - now)}"
            )

    def epoch_ended(self, seconds: float) -> None:
        """Shorten the training if it would not end in time.

        Args:
            seconds: Wall-clock of the epoch, measuring included.
        """
        seconds, self._first = self._steady(seconds), False
        remaining, done = self._at - time.monotonic(), self._state.done
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
        """Seconds of an epoch without tracing, which only the first one does."""
        steps = self.params.get("steps")
        if not self._first or not steps or steps < 2:
            return seconds
        return (seconds - (self._traced - self._began)) * steps / (steps - 1)
