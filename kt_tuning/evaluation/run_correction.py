"""The winner's-curse correction of a search, from what its run directory holds."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import SearchRecord, TrialRecord
from kt_tuning.core.run_layout import EXECUTIONS, HISTORY, PREDICTIONS, trial_records
from kt_tuning.evaluation.metrics import find_metric, metric_of
from kt_tuning.evaluation.winners_curse import CorrectedBest, corrected_best


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
    directory = Path(directory)
    search = SearchRecord.load(directory / "search.json")
    metric = metric_of(search.objective)
    labels = _labels(directory / "split.npz")
    if metric is None or labels is None or len(labels) < 2:
        return None
    usable = [trial for trial in trial_records(directory) if trial.usable]
    found = [trial for trial in usable if _predicted(directory, trial) == len(labels)]
    if not found:
        return None
    if resamples is None:
        resamples = 100 if find_metric(metric).per_row is None else 1000
    single = search.folds == search.executions == 1
    corrected = corrected_best(
        _predictions(directory, found),
        labels,
        metric,
        other_epochs=_other_epochs(directory, found, search.objective) if single else None,
        resamples=resamples,
        seed=seed,
    )
    return dataclasses.replace(
        corrected,
        best=found[corrected.best].number,
        best_epochs=corrected.epochs == 0 and any(trial.epochs > 1 for trial in found),
    )


def _other_epochs(directory: Path, trials: Sequence[TrialRecord], objective: str) -> list[float]:
    """Return the objective after each epoch that is not the best one of its trial."""
    found = []
    for trial in trials:
        path = directory / f"trial_{trial.trial_id}" / HISTORY
        if not path.is_file():
            continue
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                try:
                    epoch, value = int(row["epoch"]), float(row[objective])
                except (KeyError, TypeError, ValueError):
                    # Half written by a killed worker, or without that metric.
                    continue
                if epoch != trial.best_epoch:
                    found.append(value)
    return found


def _labels(path: Path) -> NDArray[np.int64] | None:
    """Return the labels of the rows that were predicted; None if the search knew none."""
    if not path.is_file():
        return None
    try:
        with np.load(path) as arrays:
            return arrays["labels"][arrays["predicted"]]
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise StorageError(
            f"{path} should hold the labels and the split that `search` wrote. Received: {error}"
        ) from error


def _file(directory: Path, trial: TrialRecord) -> Path:
    folder = directory / f"trial_{trial.trial_id}"
    executions = folder / EXECUTIONS
    return executions if executions.is_file() else folder / PREDICTIONS


def _predicted(directory: Path, trial: TrialRecord) -> int:
    """Return the number of rows that a trial predicted, 0 if it kept none."""
    path = _file(directory, trial)
    return _load(path, mapped=True).shape[-2] if path.is_file() else 0


def _predictions(directory: Path, trials: Sequence[TrialRecord]) -> Iterator[NDArray[np.float32]]:
    for trial in trials:
        yield _load(_file(directory, trial))


def _load(path: Path, *, mapped: bool = False) -> NDArray[np.float32]:
    try:
        return np.load(path, mmap_mode="r" if mapped else None)
    except (OSError, ValueError) as error:
        raise StorageError(f"Cannot read {path}: {error}") from error
