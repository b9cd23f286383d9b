"""How slow this machine is, for estimates of time that were measured on another one."""

from __future__ import annotations

import functools
import statistics
import time

import keras
import numpy as np

REFERENCE = 0.055
"""Seconds of the measured work on the machine that the estimates are of. Inferred: on another one
the work took 0.1 seconds, and the stages after a search 1.9 times as long."""
MEASURED_UNTIL = 900.0
"""Time limit in seconds up to which the measurement is worth its time."""


def slowness(time_limit: float | None) -> float:
    """Return how many times as long as estimated something takes on this machine.

    Args:
        time_limit: Seconds of the search or run that is planned, or None.

    Returns:
        At least 1; 1 if there is no limit, or one of `MEASURED_UNTIL` or more.
    """
    return 1.0 if time_limit is None or time_limit >= MEASURED_UNTIL else _measured()


@functools.cache
def _measured() -> float:
    """Time how long it takes to build a small network and predict with it; once per process."""
    times = []
    for _ in range(4):
        began = time.monotonic()
        inputs = keras.Input((32, 32, 3))
        x = inputs
        for filters in (16, 32, 64):
            x = keras.layers.Conv2D(filters, 3, 2, activation="relu")(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        keras.Model(inputs, x).predict_on_batch(np.zeros((64, 32, 32, 3), np.float32))
        times.append(time.monotonic() - began)
    # The first one starts the backend.
    return max(1.0, statistics.median(times[1:]) / REFERENCE)
