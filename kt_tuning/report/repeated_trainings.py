"""Reads repeated trainings of one configuration, after the search and within a trial."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json
from kt_tuning.ensembling import EnsembleRecord, read_scores
from kt_tuning.evaluation import Decomposition, Scores, bias_variance
from kt_tuning.run import Run
from kt_tuning.run.layout import CONFIGURATION, ENSEMBLE, SPLIT

BAG = "bag"
"""The kind whose members are independent trainings of one configuration."""


@dataclasses.dataclass(frozen=True)
class TrainedAgain:
    """A folder of a run directory with a student, a bag, a boosting or snapshots.

    Attributes:
        folder: Its name.
        ensemble: Its members and weights.
        scores: Scores on the test split, or None.
    """

    folder: str
    ensemble: EnsembleRecord
    scores: Scores | None


@dataclasses.dataclass(frozen=True)
class Repeats:
    """Bias and variance of trainings of one configuration, on the validation images.

    Attributes:
        name: Name of the group of trainings, e.g. "bag".
        trainings: Number of trainings.
        losses: "error", "brier" and "log_loss" -> its bias and variance.
    """

    name: str
    trainings: int
    losses: dict[str, Decomposition]


def load_trained_again(directory: Path) -> tuple[TrainedAgain, ...]:
    """Read the folders that `kt-tuning distill`, `bag`, `boost` and `snapshots` have written.

    Raises:
        StorageError: if a file is damaged.
    """
    return tuple(
        TrainedAgain(run.path.name, record, read_scores(run.path))
        for run in Run(directory).trained_later()
        if (record := run.read(EnsembleRecord, ENSEMBLE)) is not None
    )


def load_repeats(directory: Path, best: str | None) -> tuple[Repeats, ...]:
    """Measure bias and variance of every configuration that was trained several times.

    Args:
        directory: The run directory.
        best: Id of its best trial, whose executions are compared if there are several; or None.

    Raises:
        StorageError: if predictions are not of the validation images.
    """
    run = Run(directory)
    executions = None if best is None else run.executions(best)
    found = [] if executions is None else [_repeats(run, "the best trial", executions)]
    for folder in run.trained_later():
        trials = map(folder.predictions, folder.trial_folders())
        members = [predictions for predictions in trials if predictions is not None]
        kind = read_json(folder.path / CONFIGURATION).get("kind")
        if kind == BAG and len(members) > 1:
            found.append(_repeats(folder, folder.path.name, np.stack(members)))
    return tuple(found)


def _repeats(run: Run, name: str, predictions: npt.NDArray[np.floating]) -> Repeats:
    labels = run.read_split().predicted_labels
    try:
        return Repeats(name, len(predictions), bias_variance(predictions, labels))
    except (ValueError, IndexError) as error:
        raise StorageError(
            f"The predictions of {name} in {run.path} should be of the validation images in "
            f"{SPLIT}. Received: {error}"
        ) from error
