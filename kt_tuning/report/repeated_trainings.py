"""Reads repeated trainings of one configuration, after the search and within a trial."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kt_tuning.ensembling import EnsembleRecord, read_scores
from kt_tuning.errors import StorageError
from kt_tuning.evaluation import Decomposition, Scores, bias_variance
from kt_tuning.records import CONFIGURATION, EXECUTIONS, PREDICTIONS, read_json

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
    folders = [path.parent for path in sorted(directory.glob(f"*/{CONFIGURATION}"))]
    return tuple(
        TrainedAgain(
            folder.name,
            EnsembleRecord.load(folder / "ensemble.json"),
            read_scores(folder),
        )
        for folder in folders
        if (folder / "ensemble.json").is_file()
    )


def load_repeats(directory: Path, best: str | None) -> tuple[Repeats, ...]:
    """Measure bias and variance of every configuration that was trained several times.

    Args:
        directory: The run directory.
        best: Id of its best trial, whose executions are compared if there are several; or None.

    Raises:
        StorageError: if predictions are not of the validation images.
    """
    found = []
    executions = directory / f"trial_{best}" / EXECUTIONS
    if best is not None and executions.is_file():
        found.append(_repeats(directory, "the best trial", np.load(executions)))
    for path in sorted(directory.glob(f"*/{CONFIGURATION}")):
        members = [np.load(file) for file in sorted(path.parent.glob(f"trial_*/{PREDICTIONS}"))]
        if read_json(path).get("kind") == BAG and len(members) > 1:
            found.append(_repeats(path.parent, path.parent.name, np.stack(members)))
    return tuple(found)


def _repeats(directory: Path, name: str, predictions: npt.NDArray[np.floating]) -> Repeats:
    try:
        with np.load(directory / "split.npz") as arrays:
            labels = arrays["labels"][arrays["predicted"]]
        return Repeats(name, len(predictions), bias_variance(predictions, labels))
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise StorageError(
            f"The predictions of {name} in {directory} should be of the validation images in "
            f"split.npz. Received: {error}"
        ) from error
