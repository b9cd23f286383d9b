"""How long one image takes, and how many a second go through in batches."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Predict = Callable[[NDArray[np.uint8]], Any]

WARM_UP = 10
REPEATS = 100
FEWEST = 50
"""Calls that are timed even if they take longer than they may."""
LARGEST_BATCH = 512
_SECONDS_A_BATCH_SIZE = 0.3
_LONGEST_CALL = 2.0
_GAIN = 1.05


def measure_latency(
    predict_one: Predict,
    image: NDArray[np.uint8],
    *,
    repeats: int = REPEATS,
    seconds: float = math.inf,
) -> dict[str, float]:
    """Time single predictions, one after the other, after a warm-up that is not counted.

    The warm-up takes tracing, compiling and cold caches out: a server pays them once. What is
    left is wall-clock, from pixels in memory to probabilities in memory, on this machine as
    loaded as it is.

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
    """How many images a second a model predicts.

    Attributes:
        batch_size: The best one.
        images_per_second: With it.
        by_batch_size: Batch size -> images a second, of all sizes that were tried.
    """

    batch_size: int
    images_per_second: float
    by_batch_size: dict[int, float]

    def __post_init__(self) -> None:
        # JSON knows no integers as names.
        rates = {int(size): rate for size, rate in self.by_batch_size.items()}
        object.__setattr__(self, "by_batch_size", rates)


def measure_throughput(
    predict: Predict, image: NDArray[np.uint8], *, largest: int = LARGEST_BATCH
) -> Throughput:
    """Double the batch until that brings less than 5% twice in a row.

    Each size is predicted twice uncounted, then for 0.3 s. It ends, too, when a single call takes
    more than 2 s.

    Args:
        predict: As for `measure_latency`.
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
