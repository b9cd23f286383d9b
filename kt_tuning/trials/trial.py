"""One trial: build, train, keep the best epoch."""

from __future__ import annotations

import dataclasses
import functools
import gc
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from kt_tuning.errors import KtTuningError, OptionError
from kt_tuning.records import (
    COMPLETED,
    FAILED,
    HISTORY,
    PREDICTIONS,
    PRUNED,
    RESULT,
    WEIGHTS,
    TrialRecord,
)
from kt_tuning.trials.monitor import Monitor, Report, TrialFailedError
from kt_tuning.trials.tasks import Task
from kt_tuning.trials.weights import load_weights, save_weights

logger = logging.getLogger("kt_tuning")


@dataclasses.dataclass(frozen=True)
class TrialSpec:
    """What a trial is told.

    Attributes:
        trial_id: KerasTuner's id.
        number: Order of start, from 0.
        hp: Hyperparameters with their values.
        epochs: Epochs of the training.
        initial_epoch: Epochs already trained by the trial that `weights` come from.
        weights: Weights to start from, or None.
        seed: Seed of initial weights, order and augmentation.
        directory: Where the trial writes.
        deadline: Value of `time.monotonic()` at which training stops, or None.
        least_epochs: The trial is given up at once if so many epochs cannot end by the deadline.
    """

    trial_id: str
    number: int
    hp: keras_tuner.HyperParameters
    epochs: int
    initial_epoch: int
    weights: Path | None
    seed: int
    directory: Path
    deadline: float | None
    least_epochs: int


def run_trial(
    spec: TrialSpec, report: Report, *, task: Task, objective: keras_tuner.Objective
) -> TrialRecord:
    """Train one configuration and write what came of it into `spec.directory`.

    Args:
        spec: The configuration.
        report: Called after each epoch; says whether to go on.
        task: The hypermodel and the data, and how to train and measure.
        objective: What is optimised.

    Returns:
        The record, also written as `result.json`. A trial whose build or training raises is
        "FAILED" with the reason; only errors that every trial would share are raised.

    Raises:
        KtTuningError: if the cause is in the arguments or data.
        keras_tuner.errors.FatalError: if the hypermodel says that nothing can work.
    """
    began, started = time.time(), time.monotonic()
    monitor = Monitor(
        task,
        objective,
        epochs=spec.epochs,
        initial_epoch=spec.initial_epoch,
        history=spec.directory / HISTORY,
        patience=task.patience(spec.hp.values),
        deadline=spec.deadline,
        least_epochs=spec.least_epochs,
        report=report,
    )
    model = None
    failure = None
    metrics: dict[str, float] = {}
    try:
        keras.utils.set_random_seed(spec.seed)
        model = build_model(task.hypermodel, spec.hp)
        if spec.weights is not None:
            load_weights(model, spec.weights)
        result = task.fit(
            spec.hp,
            model,
            epochs=spec.epochs,
            initial_epoch=spec.initial_epoch,
            seed=spec.seed,
            callbacks=[monitor],
        )
        metrics = _keep(spec, model, task, monitor, result, objective)
    except (KtTuningError, keras_tuner.errors.FatalError):
        raise
    except TrialFailedError as error:
        failure = str(error)
    except Exception as error:
        failure = _reason(error)
        logger.debug("trial %d failed", spec.number, exc_info=True)
    record = TrialRecord(
        trial_id=spec.trial_id,
        number=spec.number,
        status=FAILED if failure else PRUNED if monitor.pruned else COMPLETED,
        values=dict(spec.hp.values),
        metrics=metrics,
        best_epoch=monitor.best_epoch,
        epochs=monitor.epochs_done,
        seconds=round(time.monotonic() - started, 3),
        parameters=0 if model is None or not model.built else int(model.count_params()),
        message=failure or monitor.message,
        began=began,
    )
    record.save(spec.directory / RESULT)
    return record


def build_model(hypermodel: keras_tuner.HyperModel, hp: keras_tuner.HyperParameters) -> keras.Model:
    """Build a model after letting go of all that Keras keeps of earlier ones.

    Raises:
        OptionError: if what is built is no Keras model.
    """
    keras.backend.clear_session()
    gc.collect()
    model = hypermodel.build(hp)
    if not isinstance(model, keras.Model):
        raise OptionError(
            f"The hypermodel should build a compiled keras.Model. Received: {type(model).__name__}"
        )
    if model.built and model.optimizer is not None and not model.optimizer.built:
        # A training step that had to make the optimizer's variables would be traced twice.
        model.optimizer.build(model.trainable_variables)
    return model


def _keep(
    spec: TrialSpec,
    model: keras.Model,
    task: Task,
    monitor: Monitor,
    result: Any,
    objective: keras_tuner.Objective,
) -> dict[str, float]:
    """Write weights and predictions of the best epoch; return its metrics."""
    if monitor.best_weights is None:
        # A hypermodel with a training loop of its own, which returned what it measured.
        metrics = dict(result) if isinstance(result, dict) else {objective.name: float(result)}
    else:
        model.set_weights(monitor.best_weights)
        metrics = dict(monitor.best_logs)
    predictions = monitor.best_predictions
    if predictions is None:
        predictions = task.predict(model)
    if predictions is not None:
        metrics.update(task.describe(predictions))
        _replace(spec.directory / PREDICTIONS, lambda path: np.save(path, predictions))
    _replace(spec.directory / WEIGHTS, functools.partial(save_weights, model))
    return metrics


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file under a temporary name first: it is whole or it is not there."""
    temporary = path.with_name(f"writing.{path.name}")
    write(temporary)
    os.replace(temporary, path)


def _reason(error: Exception) -> str:
    name = type(error).__name__
    text = str(error).strip()
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError":
        return f"out of memory: {text.splitlines()[0] if text else name}"
    return f"{name}: {text}" if text else name
