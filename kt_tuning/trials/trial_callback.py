"""The callback of a training: evaluate each epoch, keep the best, continue, pause or stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_tuner

from kt_tuning.core.units import count
from kt_tuning.data.batch_loader import DATA_WAIT
from kt_tuning.trials.callbacks import Deadline
from kt_tuning.trials.checkpoint import Best, TrainingState
from kt_tuning.trials.metrics import scalar, unknown_objective
from kt_tuning.trials.spec import Decision, TrialFailedError
from kt_tuning.trials.task import Task
from kt_tuning.trials.trial_files import TrialFiles


class TrainingOverError(Exception):
    """A hypermodel's `fit` starts another fit of a trial that was pruned or paused."""


class TrialCallback(keras.callbacks.Callback):
    """Writes the best epoch, the curve and a checkpoint of a training.

    A hypermodel's `fit` may consist of several fits, whose epochs are counted together. The methods
    raise a `TrainingOverError` if it goes on after it was pruned or paused.

    Args:
        built: The built model, to detect a `fit` that trains another one.
        task: Predicts and evaluates.
        objective: What is optimised.
        values: Hyperparameter values.
        state: State of the training, which is kept up to date.
        best: The best epoch so far, or None.
        files: The curve gets a row per epoch, and the checkpoint is written after each.
        deadline: May shorten the training after an epoch, or None.
        report: (epochs done, objective, seconds of the epoch) -> decision.
        began: Value of `time.monotonic()` when the training began.

    Attributes:
        state: See there.
        best: The best epoch so far, or None if no epoch has measured the objective.
        unmeasured: The last epoch, if none has measured the objective; or None.
        paused: Whether the training was paused.
    """

    def __init__(
        self,
        built: keras.Model,
        task: Task,
        objective: keras_tuner.Objective,
        *,
        values: Mapping[str, Any],
        state: TrainingState,
        best: Best | None,
        files: TrialFiles,
        deadline: Deadline | None,
        report: Callable[[int, float, float], Decision],
        began: float,
    ) -> None:
        super().__init__()
        # If not, the number is taken from what Keras tells its callbacks; a training loop that
        # tells them nothing decides alone when it ends.
        self._fixed_epochs = self._knows_epochs = task.fixes_epochs(values)
        self._began = time.monotonic()
        self.unmeasured: Best | None = None
        self._built, self._optimizer = built, getattr(built, "optimizer", None)
        self._task = task
        self._objective = objective
        self.state = state
        self.best = best
        self._files = files
        self._patience = task.patience(values)
        self._deadline = deadline
        self._report = report
        self.paused = False
        self._fits = 0
        self._first_of_fit: int | None = None
        # An earlier attempt may have been interrupted.
        self._started = began - state.seconds

    def seconds(self) -> float:
        """Return the wall-clock of the training so far, interrupted attempts included."""
        return time.monotonic() - self._started

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Record whether the fit can be resumed."""
        self._raise_if_over()
        self._fits += 1
        self._first_of_fit = None
        self.state.over = False
        compiled_anew = getattr(self.model, "optimizer", None) is not self._optimizer
        as_built = self.model is self._built and not compiled_anew
        self.state.resumable = as_built and self._fits == 1

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._raise_if_over()
        self._began = time.monotonic()
        if self._first_of_fit is None:
            self._first_of_fit = self.state.done
            epochs = (self.params or {}).get("epochs")
            if epochs is not None and (self._fits > 1 or not self._fixed_epochs):
                self.state.epochs = self.state.done + epochs - epoch
                self._knows_epochs = True

    def _raise_if_over(self) -> None:
        """Raise if a hypermodel's fits, or a training loop of its own, go on after the end."""
        if self.paused or self.state.pruned:
            raise TrainingOverError

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Evaluate, write curve, best epoch and checkpoint, and decide whether to continue."""
        self._raise_if_over()
        epoch = self.state.done
        logs = {} if logs is None else logs
        predictions = None
        if self._task.measures_itself:
            predictions = self._task.predict(self.model)
            assert predictions is not None
            logs.update(self._task.measure(predictions))
        rate = getattr(getattr(self.model, "optimizer", None), "learning_rate", None)
        if rate is not None:
            logs.setdefault("learning_rate", scalar(rate))
        numbers = {name: scalar(number) for name, number in logs.items()}
        if self._objective.has_value(numbers):
            # A sum of several objectives has a name of its own.
            numbers.setdefault(self._objective.name, scalar(self._objective.get_value(numbers)))
        # Like the seconds, the wait is no metric of the model.
        wait = numbers.pop(DATA_WAIT, None)
        seconds = time.monotonic() - self._began
        self._files.add_epoch(self.state.index, epoch, seconds, numbers, data_wait=wait)
        self.state.trained += 1
        self.state.done = epoch + 1
        self.state.seconds = self.seconds()
        self._began = time.monotonic()
        value = self._value(epoch, numbers)
        if value is None:
            if self.best is None:
                weights = self.model.get_weights()
                self.unmeasured = Best(epoch, math.nan, numbers, weights, predictions)
        elif self.best is None or self._objective.better_than(value, self.best.value):
            self.best = Best(epoch, value, numbers, self.model.get_weights(), predictions)
            self._files.checkpoint.save_best(self.best)
        self._decide(epoch, seconds)
        self._files.checkpoint.save(self.model, self.state)
        if value is None:
            self.model.stop_training = self.state.over
            return
        decision = self._report(self.state.done, value, seconds)
        if decision is Decision.STOP:
            self.state.message = f"pruned after {count(self.state.done, 'epoch')}"
            self.state.pruned = self.state.over = True
        can_pause = self.state.resumable and not self.state.over
        self.paused = decision is Decision.PAUSE and can_pause
        self.model.stop_training = self.state.over or self.paused

    def _value(self, epoch: int, logs: dict[str, float]) -> float | None:
        """The objective, or None if this epoch has not measured it and need not."""
        if not math.isfinite(logs.get("loss", 0.0)):
            raise TrialFailedError(f"the loss became {logs['loss']} in epoch {epoch + 1}")
        if not self._objective.has_value(logs):
            if self._task.measures_every_epoch:
                raise unknown_objective(self._objective, logs)
            return None
        value = logs[self._objective.name]
        if not math.isfinite(value):
            raise TrialFailedError(f"{self._objective.name} became {value} in epoch {epoch + 1}")
        return value

    def _decide(self, epoch: int, seconds: float) -> None:
        state = self.state
        best_epoch = epoch if self.best is None else self.best.epoch
        # A later fit has as many epochs to improve as the first one.
        last = max(best_epoch, (self._first_of_fit or 0) - 1) if self._fits > 1 else best_epoch
        if self._patience is not None and epoch - last >= self._patience:
            state.message = f"stopped after {count(self._patience, 'epoch')} without improvement"
            state.over = True
        elif self._deadline is not None:
            unfinished = not self._knows_epochs or state.done < state.epochs
            if unfinished or self._deadline.is_cut:
                self._deadline.epoch_ended(seconds)
        if self._knows_epochs and state.done >= state.epochs:
            state.over = True
        # A callback of the user may have stopped `fit`.
        state.over = state.over or getattr(self.model, "stop_training", False)
