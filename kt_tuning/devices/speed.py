"""How slow this machine is, for estimates of time that were measured on another one.

Machines differ more in the speed of networks, which depends on the instructions of their
processors, than in that of everything else.
"""

from __future__ import annotations

import functools
import statistics
import time

import keras
import numpy as np

REFERENCE = 0.055
"""Seconds of the measured work on the machine that the estimates are of. Inferred: on another one
the work took 0.1 seconds, and the stages after a search 1.9 times as long."""
NETWORK_REFERENCE = 0.0077
"""Seconds of two blocks of a network on that machine. Inferred: on others, and with other load,
EfficientNet-Lite0 computed features of about 108,000 pixels in the time of the two blocks."""
MEASURED_UNTIL = 900.0
"""Time limit in seconds up to which the measurement is worth its time."""


def slowness(time_limit: float | None) -> float:
    """Return how many times as long as estimated something takes on this machine.

    Args:
        time_limit: Seconds of the search or run that is planned, or None.

    Returns:
        At least 1; 1 if there is no limit, or one of `MEASURED_UNTIL` or more.
    """
    return _measured() if _matters(time_limit) else 1.0


def network_slowness(time_limit: float | None) -> float:
    """Return how many times as long as estimated a pre-trained network takes on this machine.

    Args:
        time_limit: As for `slowness`.

    Returns:
        As `slowness`.
    """
    return _network_measured() if _matters(time_limit) else 1.0


def _matters(time_limit: float | None) -> bool:
    return time_limit is not None and time_limit < MEASURED_UNTIL


@functools.cache
def _network_measured() -> float:
    """Time two blocks of inverted bottlenecks, as in EfficientNet; once per process."""
    inputs = keras.Input((40, 40, 24))
    x = inputs
    for _ in range(2):
        wide = keras.layers.Conv2D(144, 1, activation="relu6")(x)
        wide = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu6")(wide)
        x = keras.layers.Add()([x, keras.layers.Conv2D(24, 1)(wide)])
    model = keras.Model(inputs, x)
    maps = np.zeros((16, 40, 40, 24), np.float32)
    model.predict_on_batch(maps)
    times = []
    for _ in range(7):
        began = time.monotonic()
        model.predict_on_batch(maps)
        times.append(time.monotonic() - began)
    return max(1.0, statistics.median(times) / NETWORK_REFERENCE)


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
