"""A training that must end in time: stopped, or shortened so that it ends annealed."""

from __future__ import annotations

import math
import time

import keras

from kt_tuning.core.units import clock, count
from kt_tuning.trials.checkpoint import RunState
from kt_tuning.trials.spec import InfeasibleError

PROBE = 8
"""Steps, after the first, that tell how long an epoch will take."""
MEASURING = 0.2
"""Share of an epoch that measuring takes after it, until that is known: a third of the images, each
for a third of the time, and that twice where a model is trained in 16 bits."""
SLACK = 1.1
"""A training may outlast the deadline by a tenth of what is left before it is shortened."""


class Deadline(keras.callbacks.Callback):
    """Holds a training to a deadline.

    A training that would not be done in time is shortened after its first epoch: the learning-rate
    schedule is stretched over the epochs that fit, so that it still ends annealed. Where not even
    an epoch fits in, it stops within it, so early that what it has learned can be measured in time;
    if that is too late by then, and there is another model, it is given up.

    Args:
        state: Of the training; its `epochs` and `message` are changed.
        at: Value of `time.monotonic()`.
        planned: Epochs of a full training.
        least_epochs: The training is given up if so many epochs would take more seconds than
        longest: this; 0 if it is worth having in any case, as there is no other model.

    Attributes:
        at: See there.
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
        """Note how much of the first epoch went into tracing; stop where time is up."""
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
            # What the epoch has learned so far is still measured and kept.
            self.model.stop_training = True
            self.cut(f"after {count(self._state.done * steps + batch + 1, 'step')}")
        elif self._first and 0 < batch <= PROBE and not self._state.done:
            self._give_up_if_hopeless(batch, now)

    def cut(self, where: str) -> None:
        """Note that the training ended before it was done.

        Args:
            where: E.g. "after 7 steps".
        """
        self.is_cut = True
        self._state.message = f"cut short by the time limit {where}"

    def _measuring(self, batch: int, now: float) -> float:
        """Seconds that measuring after this epoch will take; that after the last one took."""
        if self._measured is not None:
            return self._measured
        # Of the first step it is not known how much of it went into tracing.
        step = (now - self._traced) / batch if batch else 0.0
        return MEASURING * (self.params["steps"] or 0) * step

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

    def epoch_ended(self, seconds: float) -> None:
        """Shorten the training if it would not end in time.

        Args:
            seconds: Wall-clock of the epoch, measuring included.
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
        """Seconds of an epoch without tracing, which only the first one does."""
        steps = self.params.get("steps")
        if not self._first or not steps or steps < 2:
            return seconds
        return (seconds - (self._traced - self._began)) * steps / (steps - 1)
