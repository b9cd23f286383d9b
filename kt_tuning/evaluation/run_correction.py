"""The winner's-curse correction of a search, from what its run directory holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.records import TrialRecord
from kt_tuning.evaluation.metrics import find_metric, metric_of
from kt_tuning.evaluation.selection_bias import CorrectedBest, corrected_best
from kt_tuning.run import Run


def corrected_best_of_run(
    directory: str | Path, *, resamples: int | None = None, seed: int = 0
) -> CorrectedBest | None:
    """Correct a search's best validation score for having been chosen; see `corrected_best`.

    The choice of each trial's epoch is corrected, too, by what the objective was after the other
    epochs, from their `history.csv`; but not with folds, several executions of a trial, or a single
    trial. The result says so.

    Every trial with a score is a candidate, pruned ones included. One of several executions is one
    candidate: its score is the mean over them, as it was when it was chosen. With folds the rows
    are the out-of-fold ones; one that was pruned before its last fold is left out. Reading goes
    trial by trial: memory does not grow with their number if the objective is a mean over rows.

    Args:
        directory: The run directory.
        resamples: Number of resamples, at least 1. If None, 1,000 for a mean over rows, and 100
            for others, which take longer.
        seed: Seed of the resamples.

    Returns:
        The correction; `best` is the trial's number. None where there is nothing to correct: no
        trial has kept predictions on labelled images, or the objective is none of `METRICS`.

    Raises:
        StorageError: if the directory holds no search, or a file of it is damaged.
    """
    run = Run(directory)
    search, split = run.read_search(), run.split()
    metric = metric_of(search.objective)
    labels = None if split is None else split.predicted_labels
    if metric is None or labels is None or len(labels) < 2:
        return None
    usable = [trial for trial in run.trials() if trial.usable]
    found = [trial for trial in usable if run.predicted_rows(trial.trial_id) == len(labels)]
    if not found:
        return None
    if resamples is None:
        resamples = 100 if find_metric(metric).per_row is None else 1000
    single = search.folds == search.executions == 1
    corrected = corrected_best(
        _predictions(run, found),
        labels,
        metric,
        other_epochs=_other_epochs(run, found, search.objective) if single else None,
        resamples=resamples,
        seed=seed,
    )
    return dataclasses.replace(
        corrected,
        best=found[corrected.best].number,
        best_epochs=corrected.epochs == 0 and any(trial.epochs > 1 for trial in found),
    )


def _other_epochs(run: Run, trials: Sequence[TrialRecord], objective: str) -> list[float]:
    """Return the objective after each epoch that is not the best one of its trial."""
    found: list[float] = []
    for trial in trials:
        history = run.history(trial.trial_id)
        if objective in history:
            values = history[objective][history["epoch"] != trial.best_epoch]
            found += values[~np.isnan(values)].tolist()
    return found


def _predictions(run: Run, trials: Sequence[TrialRecord]) -> Iterator[NDArray[np.float32]]:
    for trial in trials:
        executions = run.executions(trial.trial_id)
        predictions = run.predictions(trial.trial_id) if executions is None else executions
        assert predictions is not None
        yield predictions
