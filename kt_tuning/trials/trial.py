"""One trial: build, train on each fold as often as asked, keep the best epoch of each."""

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
from numpy.typing import NDArray

from kt_tuning.errors import KtTuningError, OptionError, StorageError, full_disk_explained
from kt_tuning.records import (
    COMPLETED,
    HISTORY,
    PAUSE,
    PAUSED,
    PRUNED,
    RESULT,
    TrialRecord,
)
from kt_tuning.trials.building import build_model, new_model
from kt_tuning.trials.checkpoint import RunState, copy_state
from kt_tuning.trials.costs import check_costs, measure_costs
from kt_tuning.trials.curve import Curve
from kt_tuning.trials.deadline import Deadline
from kt_tuning.trials.failures import describe_failure
from kt_tuning.trials.fused import fuse_batch_normalization
from kt_tuning.trials.leaks import forget_gradients
from kt_tuning.trials.precision import computes_in_16_bits
from kt_tuning.trials.spec import (
    Advice,
    Progress,
    Report,
    TrialFailedError,
    TrialSpec,
    weights_file,
)
from kt_tuning.trials.tasks import Task
from kt_tuning.trials.trial_callback import Monitor, TrainingOverError
from kt_tuning.trials.trial_files import Outcome, Run, TrialFiles, mean_metrics
from kt_tuning.trials.unsafe_layers import warnings_when_built
from kt_tuning.trials.weights import load_weights
from kt_tuning.units import count

logger = logging.getLogger("kt_tuning")


def run_trial(
    spec: TrialSpec,
    report: Report,
    *,
    tasks: Sequence[Task],
    objectives: Sequence[keras_tuner.Objective],
) -> TrialRecord:
    """Train one configuration and write what came of it into `spec.directory`.

    A trial that was interrupted, however it was, goes on after its last finished epoch.

    Args:
        spec: The configuration.
        report: Called after each epoch, and with several trainings after each of them.
        tasks: The hypermodel and the data, and how to train and measure; one for each fold.
        objectives: What is optimised; the first one decides which epoch is best.

    Returns:
        The record, also written as `result.json`, or as `paused.json` if the trial can go on. A
        trial whose build or training raises is "FAILED" with the reason; only errors that every
        trial would share are raised.

    Raises:
        KtTuningError: if the cause is in the arguments or data.
        keras_tuner.errors.FatalError: if the hypermodel says that nothing can work.
    """
    trial = _Trial(spec, report, tasks, objectives)
    status, message = None, None
    try:
        with full_disk_explained(spec.directory), forget_gradients():
            trial.run()
    except (KtTuningError, keras_tuner.errors.FatalError):
        raise
    except Exception as error:
        if not spec.directory.is_dir():
            raise StorageError(
                f"{spec.directory} has been removed while its trial was running. Leave the run "
                "directory there during a search; the same search can be started again."
            ) from error
        status, message = describe_failure(error)
        logger.debug("trial %d failed", spec.number, exc_info=True)
    record = trial.record(status, message)
    if record.status == PAUSED:
        record.save(spec.directory / PAUSE)
        return record
    record.save(spec.directory / RESULT)
    trial.files.clear()
    return record


class _Trial:
    """The trainings of one trial, one after the other, on one compiled model."""

    def __init__(
        self,
        spec: TrialSpec,
        report: Report,
        tasks: Sequence[Task],
        objectives: Sequence[keras_tuner.Objective],
    ) -> None:
        self.spec = spec
        self.report = report
        self.tasks = tasks
        self.objectives = objectives
        self.runs = Run.all(len(tasks), spec.executions)
        self.files = TrialFiles(spec.directory)
        self.curve = Curve(spec.directory / HISTORY, several=len(self.runs) > 1)
        self.outcomes = self.files.outcomes()
        self.model: keras.Model | None = None
        self.as_built: list[int] = []
        self.returned: keras.Model | None = None
        self.state: RunState | None = None
        self.message: str | None = None
        self.pruned = False
        self.paused = False
        self.began = time.monotonic()

    def run(self) -> None:
        for run in self.runs[len(self.outcomes) :]:
            if self.outcomes and self._late():
                done, asked = len(self.outcomes), len(self.runs)
                self.message = f"{done} of {asked} trainings within the time limit"
                break
            self.began = time.monotonic()
            outcome = self._train(run)
            self.outcomes.append(outcome)
            self.state = None
            if self.paused:
                # Its checkpoint stays.
                self.message = f"paused after {count(outcome.epochs, 'epoch')}"
                break
            self.files.note(self.outcomes)
            if not self._go_on(run, outcome):
                break
        folds = [run.fold for run in self.runs[: len(self.tasks)]]
        self.files.finish(folds, self.spec.executions)

    def _late(self) -> bool:
        return self.spec.deadline is not None and time.monotonic() >= self.spec.deadline

    def _go_on(self, run: Run, outcome: Outcome) -> bool:
        self.message = self.message or outcome.message
        self.pruned = outcome.pruned
        if len(self.runs) > 1 and not self.pruned:
            done = sum(outcome.epochs for outcome in self.outcomes)
            later = (len(self.runs) - run.index - 1) * self.spec.epochs
            news = Progress(done, done + later, outcome.value, step=run.index)
            if self.report(news) is Advice.STOP and later:
                self.pruned = True
                self.message = f"pruned after {run.index + 1} of {len(self.runs)} trainings"
        return not self.pruned

    def _train(self, run: Run) -> Outcome:
        spec, task = self.spec, self.tasks[run.fold or 0]
        seed = spec.seed
        if run.index:
            seed = int(np.random.SeedSequence((seed, run.index)).generate_state(1)[0])
        model = self._fresh_model(task, seed)
        if spec.origin is not None:
            load_weights(model, weights_file(spec.origin, run.fold))
        state = self.files.checkpoint.restore(model, run.index)
        best = None if state is None else self.files.checkpoint.restore_best()
        if state is None or best is None:
            state, best = RunState(run.index, spec.epochs, spec.initial_epoch), None
        self.state = state
        self.curve.rewind(run.index, state.done)
        deadline = None if spec.deadline is None else self._deadline(run, state)
        monitor = Monitor(
            model,
            task,
            self.objectives[0],
            state=state,
            best=best,
            curve=self.curve,
            checkpoint=self.files.checkpoint,
            patience=task.patience(spec.hp.values),
            deadline=deadline,
            report=functools.partial(self._epoch_ended, run, state),
            began=self.began,
        )
        result = None
        if not state.over:
            with contextlib.suppress(TrainingOverError):
                result = task.fit(
                    spec.hp,
                    model,
                    epochs=state.epochs,
                    initial_epoch=state.done,
                    seed=seed,
                    memory=state.memory,
                    callbacks=[
                        monitor,
                        *([] if deadline is None else [deadline]),
                        *warnings_when_built(model),
                    ],
                )
        self.paused = monitor.paused
        return self._outcome(run, model, task, monitor, result)

    def _fresh_model(self, task: Task, seed: int) -> keras.Model:
        """A model with new weights; the same one, if there is one, so as not to trace again.

        Raises:
            TrialFailedError: if the model is not one for the data.
        """
        keras.utils.set_random_seed(seed)
        hp = self.spec.hp
        precision = task.precision(hp.values)
        same = self.model is not None and _identity(self.model) == self.as_built
        if self.model is not None and self.model.built and same:
            copy_state(new_model(task.hypermodel, hp, precision), self.model)
            return self.model
        self.model = build_model(task.hypermodel, hp, precision)
        check_costs(self.model, self.spec.limits)
        try:
            task.check(self.model)
        except OptionError as error:
            raise TrialFailedError(str(error)) from error
        fuse_batch_normalization(self.model)
        task.prepare(self.model)
        self.as_built = _identity(self.model)
        return self.model

    def _deadline(self, run: Run, state: RunState) -> Deadline:
        """Each training gets its share of the time that is left."""
        assert self.spec.deadline is not None
        now = time.monotonic()
        share = (self.spec.deadline - now) / (len(self.runs) - run.index)
        return Deadline(
            state,
            now + share,
            planned=self.spec.epochs,
            least_epochs=self.spec.least_epochs,
            longest=self.spec.longest,
        )

    def _epoch_ended(
        self, run: Run, state: RunState, done: int, value: float, seconds: float
    ) -> Advice:
        if len(self.runs) == 1:
            return self.report(Progress(done, state.epochs, value, done - 1, seconds))
        before = sum(outcome.epochs for outcome in self.outcomes)
        later = (len(self.runs) - run.index - 1) * self.spec.epochs
        return self.report(
            Progress(before + done, before + state.epochs + later, value, None, seconds)
        )

    def _outcome(
        self, run: Run, model: keras.Model, task: Task, monitor: Monitor, result: Any
    ) -> Outcome:
        """Keep weights and predictions of the best epoch.

        What is recorded is measured on the model that is returned: the built one with the kept
        weights, computing in float32.
        """
        best, name = monitor.best, self.objectives[0].name
        if best is None:
            # A hypermodel with a training loop of its own, which returned what it measured.
            metrics = dict(result) if isinstance(result, dict) else {name: float(result)}
            predictions = None
        else:
            _set_weights(model, best.weights)
            metrics, predictions = dict(best.logs), best.predictions
        returned = model
        if computes_in_16_bits(model) or monitor.trains_another:
            returned, predictions = self._returned_model(task, model), None
            metrics.update(task.evaluate(returned))
        if predictions is None:
            predictions = task.predict(returned)
        if predictions is not None:
            metrics.update(task.describe(predictions))
            if self.spec.executions > 1:
                self.files.keep_execution(run, predictions)
        if not run.index:
            names = [objective.name for objective in self.objectives]
            metrics.update(measure_costs(model, names))
        if not run.execution:
            self.files.keep(model, run.fold, predictions)
        return Outcome(
            fold=run.fold,
            value=metrics[name],
            metrics=metrics,
            best_epoch=monitor.state.done if best is None else best.epoch,
            epochs=monitor.state.trained,
            seconds=monitor.seconds(),
            parameters=int(model.count_params()) if model.built else 0,
            message=monitor.state.message,
            pruned=monitor.state.pruned,
        )

    def _returned_model(self, task: Task, model: keras.Model) -> keras.Model:
        """What a search makes of a trial's weights; it is built once for all trainings."""
        if self.returned is None:
            self.returned = new_model(task.hypermodel, self.spec.hp)
        self.returned.set_weights(model.get_weights())
        return self.returned

    def record(self, status: str | None, message: str | None) -> TrialRecord:
        """The trial as it ended.

        Args:
            status: If it went wrong, how.
            message: If it went wrong, why.
        """
        spec, outcomes = self.spec, self.outcomes
        seconds = sum(outcome.seconds for outcome in outcomes)
        epochs = sum(outcome.epochs for outcome in outcomes)
        if status is not None:
            seconds += time.monotonic() - self.began
            epochs += 0 if self.state is None else self.state.trained
        model = self.model
        parameters = 0 if model is None or not model.built else int(model.count_params())
        return TrialRecord(
            trial_id=spec.trial_id,
            number=spec.number,
            status=status or self._status(),
            values=dict(spec.hp.values),
            metrics=mean_metrics(outcomes) if status is None else {},
            best_epoch=outcomes[0].best_epoch if outcomes else spec.initial_epoch,
            epochs=epochs,
            seconds=round(seconds, 3),
            parameters=outcomes[0].parameters if outcomes else parameters,
            message=message or self.message,
            began=time.time() - seconds,
            scores=tuple(outcome.value for outcome in outcomes),
            backbone=self._backbone(),
        )

    def _backbone(self) -> dict[str, str | None] | None:
        """Where the pre-trained network comes from, if the model has one."""
        origin_of = getattr(self.tasks[0].hypermodel, "backbone_origin", None)
        if origin_of is None or self.model is None:
            return None
        origin = origin_of(self.spec.hp)
        return None if origin is None else dataclasses.asdict(origin)

    def _status(self) -> str:
        if self.paused:
            return PAUSED
        return PRUNED if self.pruned else COMPLETED


def _identity(model: keras.Model) -> list[int]:
    """What a hypermodel's `fit` may have changed of a model: its optimizer, what is trainable."""
    return [id(getattr(model, "optimizer", None)), *map(id, model.trainable_variables)]


def _set_weights(model: keras.Model, weights: Sequence[NDArray[Any]]) -> None:
    """Put the kept weights into the model that the hypermodel built."""
    shapes = [tuple(weight.shape) for weight in model.weights]
    if shapes != [weight.shape for weight in weights]:
        raise TrialFailedError(
            "The hypermodel's `fit` has trained another model than the one that `build` returned: "
            "its weights do not fit that one. Change the model that `fit` is given in place."
        )
    model.set_weights(weights)
