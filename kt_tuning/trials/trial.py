"""One trial, wherever it runs: it builds, fits, evaluates, and keeps the best epoch."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np

from kt_tuning.core.errors import OptionError, disk_errors_explained
from kt_tuning.core.records import COMPLETED, PAUSED, PRUNED, TrialRecord
from kt_tuning.core.units import count
from kt_tuning.trials.building import (
    build_model,
    computes_in_16_bits,
    new_model,
    training_precision,
    unwrapped,
)
from kt_tuning.trials.callbacks import Deadline
from kt_tuning.trials.checkpoint import TrainingState, copy_state
from kt_tuning.trials.keras_fast import forget_gradients, fuse_batch_normalization
from kt_tuning.trials.metrics import COSTS, check_costs, metrics_of
from kt_tuning.trials.onednn_warnings import warnings_when_built
from kt_tuning.trials.spec import (
    Decision,
    Progress,
    Report,
    TrialFailedError,
    TrialSpec,
    describe_failure,
    weights_file,
)
from kt_tuning.trials.task import Task
from kt_tuning.trials.trial_callback import TrainingOverError, TrialCallback
from kt_tuning.trials.trial_files import Outcome, TrainingKey, TrialFiles
from kt_tuning.trials.weights import load_weights, set_kept_weights

logger = logging.getLogger("kt_tuning")


def run_trial(
    spec: TrialSpec,
    report: Report,
    *,
    tasks: Sequence[Task],
    objectives: Sequence[keras_tuner.Objective],
) -> TrialRecord:
    """Train one configuration and write the results into `spec.directory`.

    A trial that was interrupted in any way continues after its last finished epoch.

    Args:
        spec: The configuration.
        report: Called after each epoch, and with several trainings after each of them.
        tasks: Hypermodel, data, training and evaluation; one task a fold.
        objectives: What is optimised; the first decides which epoch is best.

    Returns:
        The record, also written as `result.json`, or as `paused.json` if the trial has paused. A
        trial whose build or training raises is "FAILED" with the reason; only errors that every
        trial would share are raised.

    Raises:
        KtTuningError: if the cause is in the arguments or data.
        keras_tuner.errors.FatalError: if the hypermodel says that nothing can work.
    """
    training = Training(spec, report, tasks, objectives)
    status, message = None, None
    try:
        training.run()
    except Exception as error:
        status, message = describe_failure(error, spec.directory)
        logger.debug("trial %d failed", spec.number, exc_info=True)
    return TrialFiles(spec.directory).end(training.record(status, message))


class Training:
    """The trainings of one trial, one after the other, on one compiled model.

    Args:
        spec: The configuration.
        report: As for `run_trial`.
        tasks: As for `run_trial`.
        objectives: As for `run_trial`.

    Attributes:
        results: What `HyperModel.fit` returned for each training; its metrics if it returned
            nothing, or an earlier attempt ran the training.
    """

    def __init__(
        self,
        spec: TrialSpec,
        report: Report,
        tasks: Sequence[Task],
        objectives: Sequence[keras_tuner.Objective],
    ) -> None:
        self._spec, self._report = spec, report
        self._tasks, self._objectives = tasks, objectives
        self._reported = len(spec.hp.space)
        self._runs = TrainingKey.all(len(tasks), spec.executions)
        self._files = TrialFiles(spec.directory, several=len(self._runs) > 1)
        self.outcomes = self._files.outcomes()
        self.results: list[Any] = [outcome.metrics for outcome in self.outcomes]
        self.model: keras.Model | None = None
        self._as_built: list[int] = []
        self._built_by_fit = False
        self._returned: keras.Model | None = None
        self.state: TrainingState | None = None
        self.paused = self.pruned = False
        self.message: str | None = None
        self.began = time.monotonic()

    def run(self) -> None:
        """Run the trainings that are left, until the trial has ended or pauses.

        Raises:
            Exception: any error of a build or a training.
        """
        spec, runs, outcomes = self._spec, self._runs, self.outcomes
        with disk_errors_explained(spec.directory), forget_gradients():
            for run in runs[len(outcomes) :]:
                if outcomes and spec.deadline is not None and time.monotonic() >= spec.deadline:
                    self.message = f"{len(outcomes)} of {len(runs)} trainings within the time limit"
                    break
                outcome = self._train(run)
                if self.paused:
                    # Its checkpoint is kept.
                    self.message = f"paused after {count(outcome.epochs, 'epoch')}"
                    break
                self._files.note(outcomes)
                self.message = self.message or outcome.message
                self.pruned = outcome.pruned or (len(runs) > 1 and self._pruned_after(run, outcome))
                if self.pruned:
                    break
            self._files.finish([run.fold for run in runs[: len(self._tasks)]], spec.executions)

    def record(self, status: str | None = None, message: str | None = None) -> TrialRecord:
        """Return the record of the trial; if it has failed, with this status and message."""
        outcomes, model, spec = self.outcomes, self.model, self._spec
        seconds = sum(outcome.seconds for outcome in outcomes)
        epochs = sum(outcome.epochs for outcome in outcomes)
        names = dict.fromkeys(name for outcome in outcomes for name in outcome.metrics)
        metrics = {
            name: float(np.mean([o.metrics[name] for o in outcomes if name in o.metrics]))
            for name in names
        }
        if status is not None:
            seconds, metrics = seconds + time.monotonic() - self.began, {}
            epochs += 0 if self.state is None else self.state.trained
        elif self.paused:
            status = PAUSED
        else:
            status = PRUNED if self.pruned else COMPLETED
        parameters = 0 if model is None or not model.built else int(model.count_params())
        origin_of = getattr(unwrapped(self._tasks[0].hypermodel), "backbone_origin", None)
        backbone = None if origin_of is None or model is None else origin_of(spec.hp)
        return spec.record(
            status,
            metrics=metrics,
            best_epoch=outcomes[0].best_epoch if outcomes else spec.initial_epoch,
            epochs=epochs,
            seconds=round(seconds, 3),
            parameters=outcomes[0].parameters if outcomes else parameters,
            message=message or self.message,
            began=time.time() - seconds,
            scores=tuple(outcome.value for outcome in outcomes),
            backbone=None if backbone is None else dataclasses.asdict(backbone),
        )

    def _pruned_after(self, run: TrainingKey, outcome: Outcome) -> bool:
        """Report the end of one of several trainings; return whether the others are left out."""
        done = sum(each.epochs for each in self.outcomes)
        later = self._later_epochs(run)
        progress = Progress(done, done + later, outcome.value, step=run.index)
        pruned = self._report(progress) is Decision.STOP and later > 0
        if pruned:
            self.message = f"pruned after {run.index + 1} of {len(self._runs)} trainings"
        return pruned

    def _later_epochs(self, run: TrainingKey) -> int:
        """Return the epochs of the trainings after this one."""
        return (len(self._runs) - run.index - 1) * self._spec.epochs

    def _train(self, run: TrainingKey) -> Outcome:
        """Run one training to its end or to a pause, and add its outcome to `outcomes`."""
        self.began = time.monotonic()
        spec, task = self._spec, self._tasks[run.fold or 0]
        seed = spec.seed
        if run.index:
            seed = int(np.random.SeedSequence((seed, run.index)).generate_state(1)[0])
        model = self._fresh_model(task, seed)
        if spec.origin is not None:
            load_weights(model, weights_file(spec.origin, run.fold))
        fresh = TrainingState(run.index, spec.epochs, spec.initial_epoch), None
        epochs = self._files.epochs(run.index)
        state, best = self._files.checkpoint.restore(model, run.index, epochs=epochs) or fresh
        self.state = state
        self._files.rewind_history(run.index, state.done)
        deadline = None
        if spec.deadline is not None:
            # Each training gets an equal share of the remaining time.
            now = time.monotonic()
            share = (spec.deadline - now) / (len(self._runs) - run.index)
            deadline = Deadline(state, spec, now + share)
        callback = TrialCallback(
            model,
            task,
            self._objectives[0],
            values=spec.hp.values,
            state=state,
            best=best,
            files=self._files,
            deadline=deadline,
            report=functools.partial(self._epoch_ended, run, state),
            began=self.began,
        )
        result, unsafe = None, warnings_when_built(model)
        if not state.over:
            with contextlib.suppress(TrainingOverError):
                result = task.fit(
                    spec.hp,
                    model,
                    state,
                    seed=seed,
                    callbacks=[callback, *([deadline] if deadline else []), *unsafe],
                    folder=f"{spec.trial_id}/execution{run.execution}",
                )
        self.paused = callback.paused
        outcome = self._outcome(run, model, task, callback, result)
        self.outcomes.append(outcome)
        self.state = None
        return outcome

    def _fresh_model(self, task: Task, seed: int) -> keras.Model:
        """Return a model with new weights: if possible the same one, which is not traced again."""
        keras.utils.set_random_seed(seed)
        hp = self._spec.hp
        precision = training_precision(task.hypermodel, task.precision, hp.values)
        same = self.model is not None and _identity(self.model) == self._as_built
        if self.model is not None and self.model.built and same:
            fresh = new_model(task.hypermodel, hp, precision)
            if fresh.built:
                copy_state(fresh, self.model)
                return self.model
        self.model = build_model(task.hypermodel, hp, precision)
        self._built_by_fit = not self.model.built
        check_costs(self.model, self._spec.limits)
        try:
            task.check(self.model)
        except OptionError as error:
            raise TrialFailedError(str(error)) from error
        fuse_batch_normalization(self.model)
        task.prepare(self.model)
        self._as_built = _identity(self.model)
        return self.model

    def _epoch_ended(
        self, run: TrainingKey, state: TrainingState, done: int, value: float, seconds: float
    ) -> Decision:
        asked = self._spec.hp if len(self._spec.hp.space) > self._reported else None
        self._reported = len(self._spec.hp.space)
        if len(self._runs) == 1:
            return self._report(Progress(done, state.epochs, value, done - 1, seconds, asked))
        before = sum(outcome.epochs for outcome in self.outcomes)
        epochs = before + state.epochs + self._later_epochs(run)
        return self._report(Progress(before + done, epochs, value, None, seconds, asked))

    def _outcome(
        self, run: TrainingKey, model: keras.Model, task: Task, callback: TrialCallback, result: Any
    ) -> Outcome:
        """Write weights and predictions of the best epoch; return the metrics.

        They are those of the model that users get: as built, with the kept weights, in float32.
        """
        best, objective = callback.best or callback.unmeasured, self._objectives[0]
        metrics, predictions = {}, None
        if best is not None:
            set_kept_weights(model, best.weights)
            metrics, predictions = dict(best.logs), best.predictions
        measured = callback.best is not None
        if not measured or not isinstance(result, (keras.callbacks.History, type(None))):
            metrics |= metrics_of(result, objective, "HyperModel.fit()")
        self.results.append(metrics if result is None else result)
        returned = model
        # A hypermodel's `fit` may train another model than the one that was built.
        if computes_in_16_bits(model) or callback.model not in (None, model):
            if self._returned is None:
                # In float32, and built once for all trainings.
                self._returned = new_model(task.hypermodel, self._spec.hp)
            returned, predictions = self._returned, None
            returned.set_weights(model.get_weights())
            metrics.update(task.evaluate(returned))
        if predictions is None:
            predictions = task.predict(returned)
        if predictions is not None:
            metrics.update(task.describe(predictions))
        if not run.index:
            names = [objective.name for objective in self._objectives]
            metrics.update({name: COSTS[name](model) for name in names if name in COSTS})
        mirrored = None
        ended = not (callback.paused or callback.state.pruned)
        if predictions is not None and ended and not run.execution:
            mirrored = task.predict_mirrored(self._spec.hp, returned)
        self._files.keep(
            returned, run, predictions, mirrored=mirrored, built_by_fit=self._built_by_fit
        )
        return Outcome(
            fold=run.fold,
            value=metrics[objective.name],
            metrics=metrics,
            best_epoch=callback.state.done if best is None else best.epoch,
            epochs=callback.state.trained,
            seconds=callback.seconds(),
            parameters=int(model.count_params()) if model.built else 0,
            message=callback.state.message,
            pruned=callback.state.pruned,
        )


def _identity(model: keras.Model) -> list[int]:
    """Return what a hypermodel's `fit` may change of a model: optimizer and trainable variables."""
    return [id(getattr(model, "optimizer", None)), *map(id, model.trainable_variables)]
