"""Number of epochs for a training that has no validation images left."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from kt_tuning.errors import StorageError
from kt_tuning.records import TrialRecord
from kt_tuning.run import read_history
from kt_tuning.run.layout import HISTORY


def chosen_epochs(folder: Path, record: TrialRecord, *, objective: str, maximise: bool) -> int:
    """Return the number of epochs after which the trial was best.

    Epochs are kept, not steps: each image is seen as often as in the trial. With several folds or
    executions it is the median over them, the higher one of two.

    Args:
        folder: Folder of the trial.
        record: Its record.
        objective: Name of the metric that decides which epoch is best.
        maximise: Whether higher values are better.

    Raises:
        StorageError: if the trial has several trainings and their curves cannot be read.
    """
    if len(record.scores) <= 1:
        return record.best_epoch + 1
    path = folder / HISTORY
    try:
        history = read_history(path)
        runs, epochs, values = (history[name] for name in ("run", "epoch", objective))
    except (StorageError, KeyError) as error:
        raise StorageError(
            f"{path} should have the columns run, epoch and {objective}. Received: {error!r}. "
            "Pass the number of `epochs` to train for."
        ) from error
    best = []
    for run in np.unique(runs):
        of_run = np.where(runs == run, values if maximise else -values, -np.inf)
        best.append(int(epochs[np.nanargmax(of_run)]))
    return statistics.median_high(best) + 1
