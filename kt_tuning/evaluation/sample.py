"""Samples: the number of images of a costly measurement, and their choice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST = 50
"""Images that are measured whatever they cost, if there are so many."""
TIMED = 16
"""Images in the batch that is timed."""

_MANTISSAS = (1, 2, 5)


def affordable(available: int, seconds_per_image: float, seconds: float) -> int:
    """Return the number of images that can be measured in a given time.

    It is rounded down to 1, 2 or 5 times a power of ten, so that measuring again on the same
    machine takes the same number.

    Args:
        available: Images that there are.
        seconds_per_image: Estimated time of one.
        seconds: Time for all of them.

    Returns:
        `available`, if all of them can be measured; otherwise at least `FEWEST`.
    """
    if available <= FEWEST or available * seconds_per_image <= seconds:
        return available
    most = max(float(FEWEST), seconds / seconds_per_image)
    power = 10 ** int(np.log10(most))
    rounded = max(mantissa * power for mantissa in _MANTISSAS if mantissa * power <= most)
    return min(available, max(FEWEST, rounded))


def stratified_sample(labels: ArrayLike, size: int, seed: int) -> NDArray[np.int64]:
    """Choose images at random so that each class has its share, to one image.

    This is systematic sampling with equal steps through the images, shuffled and sorted by class
    (Cochran, 1977, "Sampling techniques", chapter 8).

    Args:
        labels: (N,) integers.
        size: Images to choose; all if there are not more.
        seed: Seed of the choice.

    Returns:
        (min(size, N),) ascending places in `labels`.
    """
    classes = np.asarray(labels)
    if size >= len(classes):
        return np.arange(len(classes))
    order = np.random.default_rng(seed).permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    return np.sort(order[np.arange(size) * len(classes) // size])


def seconds_per_image(call: Callable[[Any], Any], images: NDArray[Any]) -> float:
    """Time a call on a batch (n, …), after one that is not counted as it may trace and compile."""
    call(images)
    start = time.perf_counter()
    call(images)
    return (time.perf_counter() - start) / len(images)
