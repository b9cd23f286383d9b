"""Cost of a model: size, arithmetic, latency and throughput."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import Record
from kt_tuning.core.records import COMPLETED, DataCard, SearchRecord, TrialRecord
from kt_tuning.evaluation.float_twin import as_keras
from kt_tuning.evaluation.flops import measure_complexity
from kt_tuning.evaluation.predict import Predict, predict_function

LATENCY_CALLS = 300
LATENCY_SECONDS = 0.5
"""Calls that time a prediction, at most; and their time, after which they end."""


WARM_UP = 5
REPEATS = 100
FEWEST = 25
"""Least number of timed calls, however long they take."""
LARGEST_BATCH = 512
_SECONDS_A_BATCH_SIZE = 0.3
_LONGEST_CALL = 2.0
_GAIN = 1.05


@dataclasses.dataclass(frozen=True)
class Cost(Record):
    """The cost of one model, measured on this machine under its load at that time.

    Attributes:
        parameters: Scalars in its weights.
        weight_bytes: Bytes of its weights in memory.
        multiply_adds: Those of convolutions and matrix products for one image; None if the backend
            is not TensorFlow.
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
        weight_bytes=sum(array.nbytes for array in network.get_weights()),
        multiply_adds=None if counted is None else counted.multiply_adds,
        flops=None if counted is None else counted.flops,
        latency_ms=measure_latency(predict, image, repeats=LATENCY_CALLS, seconds=LATENCY_SECONDS),
        throughput=measure_throughput(predict, image),
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
    """Return the images per second that a search's trials trained on: the median completed trial.

    Building, validation and checkpoints are in the time.

    Args:
        trials: Trials of the search.
        data: Its data.
        search: Its record; with folds, a training sees all images but one fold's.

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


def measure_latency(
    predict_one: Predict,
    image: NDArray[np.uint8],
    *,
    repeats: int = REPEATS,
    seconds: float = math.inf,
) -> dict[str, float]:
    """Time single predictions, one after the other, after a warm-up that is not counted.

    The warm-up excludes tracing, compiling and cold caches, which a server pays for once. The rest
    is wall-clock, from pixels in memory to probabilities in memory, under the machine's present
    load.

    Args:
        predict_one: Called as it is; give the path that serves, not one that prints.
        image: (1, H, W, C) uint8.
        repeats: Calls that are timed, at least 1; of fewer than some hundred, p99 is hardly more
            than the slowest one.
        seconds: Time after which no more than `FEWEST` calls are timed.

    Returns:
        Milliseconds: {"p50": …, "p95": …, "p99": …}.
    """
    for _ in range(WARM_UP):
        predict_one(image)
    milliseconds: list[float] = []
    while len(milliseconds) < repeats:
        if len(milliseconds) >= FEWEST and sum(milliseconds) >= 1000.0 * seconds:
            break
        milliseconds.append(1000.0 * _seconds(predict_one, image))
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Images that a model predicts a second.

    Attributes:
        batch_size: The best one.
        images_per_second: With it.
        by_batch_size: Batch size -> images per second, of all sizes that were tried.
    """

    batch_size: int
    images_per_second: float
    by_batch_size: dict[int, float]


def measure_throughput(
    predict: Predict, image: NDArray[np.uint8], *, largest: int = LARGEST_BATCH
) -> Throughput:
    """Double the batch until that brings less than 5% twice in a row.

    Each size is predicted twice uncounted, then for 0.3 s. It ends, too, when a single call takes
    more than 2 s.

    Args:
        predict: See `measure_latency`.
        image: (1, H, W, C) uint8; batches are copies of it.
        largest: Batch size, at most.
    """
    rates: dict[int, float] = {}
    size, in_vain = 1, 0
    while size <= largest and in_vain < 2:
        images = np.repeat(image, size, axis=0)
        for _ in range(2):
            longest = _seconds(predict, images)
        calls, spent = 0, 0.0
        while spent < _SECONDS_A_BATCH_SIZE:
            spent += _seconds(predict, images)
            calls += 1
        best_before = max(rates.values(), default=0.0)
        rates[size] = calls * size / spent
        in_vain = 0 if rates[size] > _GAIN * best_before else in_vain + 1
        if longest > _LONGEST_CALL:
            break
        size *= 2
    best = max(rates, key=lambda tried: rates[tried])
    return Throughput(best, rates[best], rates)


def _seconds(predict: Predict, images: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    predict(images)
    return time.perf_counter() - start
