"""The callback of a training: evaluate each epoch, keep the best, continue, pause or stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import keras
import keras_tuner

from kt_tuning.data.loader import DATA_WAIT
from kt_tuning.errors import SearchError
from kt_tuning.trials.checkpoint import Best, Checkpoint, RunState
from kt_tuning.trials.curve import Curve
from kt_tuning.trials.deadline import Deadline
from kt_tuning.trials.spec import Decision, TrialFailedError
from kt_tuning.trials.tasks import Task
from kt_tuning.units import count


class TrainingOverError(Exception):
    """A hypermodel's `fit` starts another fit of a trial that was pruned or paused."""


class TrialCallback(keras.callbacks.Callback):
    """Writes the best epoch, the curve and a checkpoint of a training.

    A hypermodel's `fit` may consist of several fits, whose epochs are counted together.

    Args:
        built: The built model, to detect a `fit` that trains another one.
        task: Predicts and evaluates.
        objective: What is optimised.
        state: State of the training, which is kept up to date.
        best: The best epoch so far, or None.
        curve: Gets a row an epoch.
        checkpoint: Written after every epoch.
        patience: Epochs without improvement after which training stops, or None.
        deadline: May shorten the training after an epoch, or None.
        report: (epochs done, objective, seconds of the epoch) -> decision.
        began: Value of `time.monotonic()` when the training began.
    """

    def __init__(
        self,
        built: keras.Model,
        task: Task,
        objective: keras_tuner.Objective,
        *,
        state: RunState,
        best: Best | None,
        curve: Curve,
        checkpoint: Checkpoint,
        patience: int | None,
        deadline: Deadline | None,
        report: Callable[[int, float, float], Decision],
        began: float,
    ) -> None:
        super().__init__()
        self._built, self._optimizer = built, getattr(built, "optimizer", None)
        self._task = task
        self._objective = objective
        self.state = state
        self.best = best
        self._curve = curve
        self._checkpoint = checkpoint
        self._patience = patience
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

    @property
    def trains_another(self) -> bool:
        """Whether `fit` has trained another model than the one that was built."""
        return self._fits > 0 and self.model is not self._built

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Record whether the fit can be resumed.

        Raises:
            TrainingOverError: if the training should have ended with the fit before.
        """
        if self.paused or self.state.pruned:
            raise TrainingOverError
        self._fits += 1
        self._first_of_fit = None
        self.state.over = False
        compiled_anew = getattr(self.model, "optimizer", None) is not self._optimizer
        as_built = self.model is self._built and not compiled_anew
        self.state.resumable = as_built and self._fits == 1

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        if self._first_of_fit is None:
            self._first_of_fit = self.state.done
            if self._fits > 1:
                self.state.epochs = self.state.done + self.params["epochs"] - epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Evaluate, write curve, best epoch and checkpoint, and decide whether to continue."""
        epoch = self.state.done
        logs = {} if logs is None else logs
        predictions = None
        if self._task.measures_itself:
            predictions = self._task.predict(self.model)
            assert predictions is not None
            logs.update(self._task.measure(predictions))
        logs.setdefault("learning_rate", float(self.model.optimizer.learning_rate))
        numbers = {name: float(number) for name, number in logs.items()}
        # Like the seconds, the wait is no metric of the model.
        wait = numbers.pop(DATA_WAIT, None)
        seconds = time.monotonic() - self._began
        self._curve.add(self.state.index, epoch, seconds, numbers, data_wait=wait)
        self.state.trained += 1
        self.state.done = epoch + 1
        self.state.seconds = self.seconds()
        value = self._value(epoch, numbers)
        if self.best is None or self._objective.better_than(value, self.best.value):
            self.best = Best(epoch, value, numbers, self.model.get_weights(), predictions)
            self._checkpoint.save_best(self.best)
        self._decide(epoch, seconds)
        self._checkpoint.save(self.model, self.state)
        decision = self._report(self.state.done, value, seconds)
        if decision is Decision.STOP:
            self.state.message = f"pruned after {count(self.state.done, 'epoch')}"
            self.state.pruned = self.state.over = True
        can_pause = self.state.resumable and not self.state.over
        self.paused = decision is Decision.PAUSE and can_pause
        self.model.stop_training = self.state.over or self.paused

    def _value(self, epoch: int, logs: dict[str, float]) -> float:
        if not math.isfinite(logs.get("loss", 0.0)):
            raise TrialFailedError(f"the loss became {logs['loss']} in epoch {epoch + 1}")
        try:
            value = float(self._objective.get_value(logs))
        except KeyError:
            raise SearchError(
                f"The objective {self._objective.name!r} is not among what training measures: "
                f"{', '.join(sorted(logs))}. Pass another `objective`, or `validation_data`."
            ) from None
        if not math.isfinite(value):
            raise TrialFailedError(f"{self._objective.name} became {value} in epoch {epoch + 1}")
        return value

    def _decide(self, epoch: int, seconds: float) -> None:
        state, best = self.state, self.best
        assert best is not None
        # A later fit has as many epochs to improve as the first one.
        last = max(best.epoch, (self._first_of_fit or 0) - 1) if self._fits > 1 else best.epoch
        if self._patience is not None and epoch - last >= self._patience:
            state.message = f"stopped after {count(self._patience, 'epoch')} without improvement"
            state.over = True
        elif self._deadline is not None and (state.done < state.epochs or self._deadline.is_cut):
            self._deadline.epoch_ended(seconds)
        if state.done >= state.epochs:
            state.over = True
        # A callback of the user may have stopped `fit`.
        state.over = state.over or self.model.stop_training
