"""Records that one stage writes into the run directory and a later one reads.

`kt_tuning.run.layout` lists the files.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from kt_tuning.core.errors import DataError
from kt_tuning.core.json_record import Record

PARTS = ("train", "validation", "test")
"""Names of the splits of a data set."""
COMPLETED = "COMPLETED"
PRUNED = "PRUNED"
FAILED = "FAILED"
INFEASIBLE = "INFEASIBLE"
PAUSED = "PAUSED"
UNEVEN = 3
"""Ratio of the largest to the smallest class from which a warning is due."""
REFITTED = "trained again on training and validation images"
"""How messages, reports and model cards describe models that were refitted."""
OUT_OF_MEMORY = "out of memory"
"""Start of the message of a trial that is infeasible because memory ran out."""


LONGEST_SIDE = 65_535
"""Pixels of the longer side of an image file, at most; a JPEG cannot have more. Resizing a line of
millions of pixels, of a file of kilobytes, would take gigabytes."""


@dataclasses.dataclass(frozen=True)
class PixelFormat(Record):
    """The shape of a model's input, uint8 (height, width, channels), and the depth of 16-bit files.

    Attributes:
        height: Rows of the model's input.
        width: Columns of the model's input.
        channels: 1 (grey) or 3 (RGB).
        bits: Bit depth of the levels in files with 16 bits per pixel: 12 for a camera with 12 bits,
            whose white is 4095.
    """

    height: int
    width: int
    channels: int
    bits: int = 16

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return (self.height, self.width, self.channels)


def check_image_batch(images: Any, shape: Sequence[int | None], name: str = "images") -> None:
    """Refuse images that a model does not take.

    Args:
        images: A NumPy array.
        shape: (height, width, channels) of each image; None for any number.
        name: Name of the argument, for the message.

    Raises:
        DataError: if they are not uint8 of shape (N, height, width, channels), or there are none.
    """
    sizes = zip(shape, images.shape[1:], strict=False)
    fits = len(images.shape) == 4 and all(wanted in (None, size) for wanted, size in sizes)
    # Floats in 0..1 would all be cut to 0, and predicted without a word.
    if images.dtype != "uint8" or not fits or not len(images):
        raise DataError(
            f"{name} should be uint8 of shape (N, {', '.join(map(str, shape))}), values 0 to 255, "
            f"at least one of them. Received: {images.dtype} of shape {images.shape}."
        )


@dataclasses.dataclass(frozen=True)
class TableSource:
    """A table of image files and labels.

    Attributes:
        path: Path of the file; "" for a DataFrame.
        columns: Meaning ("file", "label", "split", "group") -> name of the column, where given.
        max_missing: Largest share of the rows that may be left out, 0 to 1.
    """

    path: str
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    max_missing: float = 0.0


@dataclasses.dataclass(frozen=True)
class DataCard(Record):
    """The data that a search was run on.

    Attributes:
        fingerprint: Hex digest of pixels, labels and split; equal data have equal fingerprints.
        class_names: Names by label, 0 first.
        pixels: Shape of the model's input.
        counts: Images by split and class, `{"train": [n_class0, …], "validation": …, "test": …}`.
        source: The folder, or "arrays".
        table: The table that labels the images; None if sub-folders do.
    """

    fingerprint: str
    class_names: tuple[str, ...]
    pixels: PixelFormat
    counts: dict[str, list[int]]
    source: str = "arrays"
    table: TableSource | None = None


@dataclasses.dataclass(frozen=True)
class SearchRecord(Record):
    """The arguments of a search.

    Attributes:
        objective: Name of the metric, such as "val_accuracy".
        direction: "max" or "min".
        strategy: Name in `STRATEGIES`, or the class of a KerasTuner oracle.
        seed: Seed of trials, initial weights and augmentation.
        epochs: Maximum number of epochs of a trial.
        max_trials: Maximum number of trials; None if only time limits them.
        time_limit: Total training time in seconds, or None.
        hypermodel: Name of the hypermodel's class or function; for several families the names of
            all: "Families(convnet, resnet)".
        versions: Versions of kt-tuning, Keras, its backend, KerasTuner, NumPy, Python.
        folds: Trainings of each configuration on different splits; 1 is no cross-validation.
        executions: Trainings of each configuration on each fold.
        defaults_first: Whether trial 0 is the default configuration; with `hypermodel="auto"` it
            is a starting point of the first family.
    """

    way_on: ClassVar[str] = (
        "Start the same search again (`kt-tuning run`, `tuner.search`): it writes this file again."
    )

    objective: str
    direction: str
    strategy: str
    seed: int
    epochs: int
    max_trials: int | None
    time_limit: float | None
    hypermodel: str
    versions: dict[str, str]
    folds: int = 1
    executions: int = 1
    defaults_first: bool = True


@dataclasses.dataclass(frozen=True)
class TrialRecord(Record):
    """The result of one trial.

    Attributes:
        trial_id: KerasTuner's id; the folder is `trial_<trial_id>`.
        number: Number in the order of starting, from 0.
        status: "COMPLETED", "PRUNED" (with the best epoch until then), "FAILED", "INFEASIBLE" (over
            a limit, never trained) or "PAUSED" (may go on in the same search).
        values: Values of the active hyperparameters.
        metrics: All metrics at the best epoch; with several folds or executions their means. Names
            that begin with "val_" are of the returned float32 model, regardless of the precision of
            training; the others were measured during the epoch.
        best_epoch: Index of that epoch, from 0; of the first fold and execution.
        epochs: Number of epochs trained, over all folds and executions.
        seconds: Wall-clock time of the trial in seconds, including building the model.
        parameters: Number of scalars in the model's weights.
        message: Reason of a failure or an early end, or None.
        began: Start time in seconds since 1970; for an interrupted trial its end less `seconds`.
        scores: The objective of each fold and execution.
        backbone: Name, licence, data, source and digest of the pre-trained network, each None if
            unknown; None for a trial without one.
    """

    way_on: ClassVar[str] = (
        "Start the same search again (`kt-tuning run`, `tuner.search`): it trains this trial again."
    )

    trial_id: str
    number: int
    status: str
    values: dict[str, Any]
    metrics: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float
    parameters: int
    message: str | None = None
    began: float = 0.0
    scores: tuple[float, ...] = ()
    backbone: dict[str, str | None] | None = None

    @property
    def usable(self) -> bool:
        """Whether the trial has a model and a score."""
        return self.status in (COMPLETED, PRUNED, PAUSED)

    def provenance(self) -> dict[str, Any]:
        """Return what an export records of the trial."""
        found = {"values": self.values, "metrics": self.metrics, "best_epoch": self.best_epoch}
        return found if self.backbone is None else {**found, "backbone": self.backbone}


def best_first(trials: Iterable[TrialRecord], objective: str, direction: str) -> list[TrialRecord]:
    """Return the trials with a score, best first; equal ones stay in their order.

    Args:
        trials: Any trials.
        objective: Name of the metric that is the score.
        direction: "max" or "min".
    """
    scores = ((trial, trial.metrics.get(objective)) for trial in trials if trial.usable)
    scored = [(t, score) for t, score in scores if score is not None and not math.isnan(score)]
    scored.sort(key=lambda pair: pair[1], reverse=direction == "max")
    return [trial for trial, _ in scored]


def pareto_records(
    records: Sequence[TrialRecord], objectives: Sequence[tuple[str, str]]
) -> list[TrialRecord]:
    """Return the records that no other one dominates; records without an objective are ignored.

    One dominates another if it is worse in no objective and better in at least one.

    Args:
        records: Of trials with a score.
        objectives: Name and direction ("max" or "min") of each objective.
    """
    names = {name for name, _ in objectives}
    whole = [record for record in records if record.metrics.keys() >= names]
    costs = [
        [
            -record.metrics[name] if way == "max" else record.metrics[name]
            for name, way in objectives
        ]
        for record in whole
    ]
    return [
        record
        for record, cost in zip(whole, costs, strict=True)
        if not any(other != cost and all(map(operator.le, other, cost)) for other in costs)
    ]


def backbones_of(
    trials: Iterable[TrialRecord],
) -> list[tuple[dict[str, str | None], list[TrialRecord]]]:
    """Return the distinct pre-trained networks of trials, each with the trials that use it."""
    found: list[tuple[dict[str, str | None], list[TrialRecord]]] = []
    for trial in trials:
        if trial.backbone is None:
            continue
        same = next((users for origin, users in found if origin == trial.backbone), None)
        if same is None:
            found.append((trial.backbone, [trial]))
        else:
            same.append(trial)
    return found


def first_trial_failure(trials: Iterable[TrialRecord], search: SearchRecord) -> str | None:
    """Return a warning if trial 0 failed, as the search then had no baseline; None otherwise.

    A configuration that exceeds a limit set by the user has not failed.

    Args:
        trials: The trials of a search.
        search: Settings of the search.
    """
    first = next((record for record in trials if record.number == 0), None)
    if first is None or first.usable:
        return None
    message = first.message or "no reason is known."
    if first.status == INFEASIBLE and not message.startswith(OUT_OF_MEMORY):
        return None
    if search.defaults_first:
        return (
            f"Trial 0, the default configuration, failed: {message}\n"
            "The best trial cannot be compared with the defaults."
        )
    return (
        f"Trial 0, the first of the starting points for these images, failed: {message}\n"
        "The search continued with the others."
    )
