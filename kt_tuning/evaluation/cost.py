"""What a model costs: its size, its arithmetic, its speed."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import Record
from kt_tuning.core.records import COMPLETED, DataCard, SearchRecord, TrialRecord
from kt_tuning.evaluation.complexity import measure_complexity
from kt_tuning.evaluation.keras_models import as_keras
from kt_tuning.evaluation.latency import Throughput, measure_latency, measure_throughput
from kt_tuning.evaluation.predict import predict_function

LATENCY_CALLS = 300
LATENCY_SECONDS = 1.0
"""Calls that time a prediction, at most; and their time, after which they end."""


@dataclasses.dataclass(frozen=True)
class Cost(Record):
    """What one model costs, measured on this machine as loaded as it was.

    Attributes:
        parameters: Scalars in its weights.
        weight_bytes: Bytes of its weights in memory.
        multiply_adds: Of convolutions and matrix products for one image; None if the backend is
            not TensorFlow.
        flops: All floating-point operations for one image, a multiply-add as two; None likewise.
        latency_ms: Milliseconds for one image: the percentiles "p50", "p95" and "p99".
        throughput: Images a second at the best batch size.
    """

    parameters: int
    weight_bytes: int
    multiply_adds: int | None
    flops: int | None
    latency_ms: dict[str, float]
    throughput: Throughput

    def __post_init__(self) -> None:
        if isinstance(self.throughput, dict):
            object.__setattr__(self, "throughput", Throughput(**self.throughput))


def measure_cost(model: Any, image: NDArray[np.uint8] | None = None) -> Cost:
    """Measure a model's size, arithmetic, latency and throughput.

    It takes 300 single predictions, and some seconds for the throughput.

    Args:
        model: A `keras.Model` with one input, or an `Ensemble`.
        image: (1, H, W, C) uint8 to predict; grey if None.

    Raises:
        OptionError: if it is no such model.
    """
    import keras

    network = as_keras(model)
    if image is None:
        image = np.full((1, *network.input_shape[1:]), 128, np.uint8)
    counted = None
    if keras.backend.backend() == "tensorflow":
        counted = measure_complexity(network)
    predict = predict_function(model)
    return Cost(
        parameters=int(network.count_params()),
        weight_bytes=_weight_bytes(network),
        multiply_adds=None if counted is None else counted.multiply_adds,
        flops=None if counted is None else counted.flops,
        latency_ms=measure_latency(predict, image, repeats=LATENCY_CALLS, seconds=LATENCY_SECONDS),
        throughput=measure_throughput(predict, image),
    )


def _weight_bytes(model: Any) -> int:
    import keras

    return sum(
        math.prod(weight.shape) * np.dtype(keras.backend.standardize_dtype(weight.dtype)).itemsize
        for weight in model.weights
    )


def stored_bytes(path: str | Path) -> int:
    """Return the bytes of a file, or of all files in a folder such as a SavedModel.

    Raises:
        StorageError: if there is nothing.
    """
    path = Path(path)
    if not path.exists():
        raise StorageError(f"No such file or folder: {path}")
    files = [path] if path.is_file() else [found for found in path.rglob("*") if found.is_file()]
    return sum(file.stat().st_size for file in files)


def training_speed(
    trials: Iterable[TrialRecord], data: DataCard, search: SearchRecord
) -> float | None:
    """Return the images a second that a search's trials trained on: the median completed trial.

    Building, validation and checkpoints are in the time.

    Args:
        trials: Of the search.
        data: What it was run on.
        search: How; with folds, a training sees all images but one fold's.

    Returns:
        Images a second, or None if no trial has completed.
    """
    images = float(sum(data.counts["train"]))
    if search.folds > 1:
        images = (images + sum(data.counts["validation"])) * (search.folds - 1) / search.folds
    speeds = [
        images * trial.epochs / trial.seconds
        for trial in trials
        if trial.status == COMPLETED and trial.seconds > 0
    ]
    return statistics.median(speeds) if speeds else None
