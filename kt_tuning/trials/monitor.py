"""What happens after each epoch of a trial: measure, remember the best, decide whether to go on."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from kt_tuning.errors import SearchError
from kt_tuning.trials.tasks import Probabilities, Task
from kt_tuning.units import clock

PROBE = 8
"""Steps, after the first, that tell how long an epoch will take."""

Report = Callable[[int, int, float], bool]
"""(epochs done, epochs in all, value of the objective) -> whether to go on."""


class TrialFailedError(Exception):
    """The trial cannot succeed, however often it is tried."""


class Monitor(keras.callbacks.Callback):
    """Keeps the best epoch of a trial in memory and its curve on disk.

    With a deadline, a training that would not be done in time is shortened after its first epoch:
    the learning-rate schedule is stretched over the epochs that fit, so that it still ends
    annealed.

    Args:
        task: Knows how to predict and measure.
        objective: What is optimised.
        epochs: Epochs of the training, those before `initial_epoch` included.
        initial_epoch: Epochs already trained.
        history: The CSV file that gets a row an epoch.
        patience: Epochs without improvement after which training stops, or None.
        deadline: Value of `time.monotonic()` at which training stops, or None.
        least_epochs: The trial is given up at once if so many epochs cannot end by the deadline.
        report: Called after each epoch; says whether to go on.
    """

    def __init__(
        self,
        task: Task,
        objective: keras_tuner.Objective,
        *,
        epochs: int,
        initial_epoch: int,
        history: Path,
        patience: int | None,
        deadline: float | None,
        least_epochs: int,
        report: Report,
    ) -> None:
        super().__init__()
        self._task = task
        self._objective = objective
        self._epochs = epochs
        self._first = initial_epoch
        self._history = history
        self._patience = patience
        self._deadline = deadline
        self._least_epochs = least_epochs
        self._report = report
        self.epochs_done = 0
        self.best_epoch = initial_epoch
        self.best_value = math.nan
        self.best_logs: dict[str, float] = {}
        self.best_weights: list[np.ndarray] | None = None
        self.best_predictions: Probabilities | None = None
        self.message: str | None = None
        self.pruned = False

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget the curve of an earlier attempt at this trial."""
        self._history.unlink(missing_ok=True)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Note how much of the first epoch went into tracing; stop where time is up."""
        now = time.monotonic()
        if self.epochs_done == 0 and batch == 0:
            self._traced = now
        if self._deadline is None:
            return
        if now >= self._deadline:
            # What the epoch has learned so far is still measured and kept.
            self.model.stop_training = True
        elif self.epochs_done == 0 and batch == PROBE:
            self._give_up_if_hopeless(now)

    def _give_up_if_hopeless(self, now: float) -> None:
        """Leave the time that is left to a configuration that can use it."""
        assert self._deadline is not None
        needed = self._least_epochs * self.params["steps"] * (now - self._traced) / PROBE
        left = self._deadline - now
        if needed > left:
            raise TrialFailedError(
                f"too slow for the time that is left: {self._least_epochs} epochs would take "
                f"{clock(needed)} of {clock(left)}"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Measure, remember the best epoch, write the curve, and stop or shorten if need be."""
        logs = {} if logs is None else logs
        predictions = None
        if self._task.measures_itself:
            predictions = self._task.predict(self.model)
            assert predictions is not None
            logs.update(self._task.measure(predictions))
        logs.setdefault("learning_rate", float(self.model.optimizer.learning_rate))
        seconds = time.monotonic() - self._began
        self._write(epoch, seconds, logs)
        self.epochs_done += 1
        if not math.isfinite(logs.get("loss", 0.0)):
            raise TrialFailedError(f"the loss became {logs['loss']} in epoch {epoch + 1}")
        value = self._value(logs)
        if not math.isfinite(value):
            raise TrialFailedError(f"{self._objective.name} became {value} in epoch {epoch + 1}")
        if self.best_weights is None or self._objective.better_than(value, self.best_value):
            self.best_epoch = epoch
            self.best_value = value
            self.best_logs = {name: float(number) for name, number in logs.items()}
            self.best_weights = self.model.get_weights()
            self.best_predictions = predictions
        self._decide(epoch, seconds)
        if not self._report(epoch + 1, self._epochs, value):
            self.pruned = True
            self.message = f"pruned after {epoch + 1} epochs"
            self.model.stop_training = True

    def _value(self, logs: dict[str, float]) -> float:
        try:
            return float(self._objective.get_value(logs))
        except KeyError:
            raise SearchError(
                f"The objective {self._objective.name!r} is not among what training measures: "
                f"{', '.join(sorted(logs))}. Pass another `objective`, or `validation_data`."
            ) from None

    def _decide(self, epoch: int, seconds: float) -> None:
        done = epoch + 1
        if self._patience is not None and epoch - self.best_epoch >= self._patience:
            self.message = f"stopped after {self._patience} epochs without improvement"
            self.model.stop_training = True
        elif self._deadline is not None and done < self._epochs:
            self._fit_into(self._deadline - time.monotonic(), done, self._steady(seconds))
        if done >= self._epochs:
            self.model.stop_training = True

    def _steady(self, seconds: float) -> float:
        """Seconds of an epoch without tracing, which only the first one does."""
        steps = self.params.get("steps")
        if self.epochs_done > 1 or not steps or steps < 2:
            return seconds
        return (seconds - (self._traced - self._began)) * steps / (steps - 1)

    def _fit_into(self, remaining: float, done: int, seconds: float) -> None:
        """Shorten the training if it would outlast the deadline by more than a tenth."""
        left = self._epochs - done
        if left * seconds <= max(0.0, remaining) * 1.1:
            return
        affordable = done + max(0, int(remaining / max(seconds, 1e-9)))
        planned = self._epochs
        self._epochs = affordable
        self.message = f"shortened from {planned} to {affordable} epochs by the time limit"
        schedule = getattr(self.model, "fit_schedule", None)
        if affordable > done and schedule is not None:
            schedule.stretch(self.params["steps"], affordable)
            # The traced step holds the old length.
            self.model.make_train_function(force=True)

    def _write(self, epoch: int, seconds: float, logs: dict[str, float]) -> None:
        row: dict[str, Any] = {"epoch": epoch, "seconds": round(seconds, 3)}
        row.update({name: float(value) for name, value in logs.items()})
        new = not self._history.exists()
        with self._history.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row), extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow(row)
