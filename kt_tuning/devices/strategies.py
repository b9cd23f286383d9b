"""Data parallelism: each device has all weights and a part of each batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kt_tuning.devices.found import TPU, Devices


def strategy(devices: Devices) -> Any:
    """Return TensorFlow's strategy for devices.

    A `tf.distribute.TPUStrategy` for a TPU, a `OneDeviceStrategy` for one device, else a
    `MirroredStrategy`.

    Args:
        devices: Result of `find_devices`.
    """
    import tensorflow as tf

    if devices.kind == TPU:
        return tf.distribute.TPUStrategy(devices.resolver)
    if devices.count == 1:
        return tf.distribute.OneDeviceStrategy(devices.names[0])
    return tf.distribute.MirroredStrategy(devices.names)


@contextlib.contextmanager
def scope(devices: Devices) -> Iterator[None]:
    """Build and train models on all of the devices in the block.

    Batches are divided among the devices, whose number must divide the batch size; on JAX by
    `keras.distribution.DataParallel`. A single device needs no strategy.

    Args:
        devices: Result of `find_devices`.
    """
    import keras

    if devices.alone:
        yield
    elif keras.backend.backend() == "jax":
        with keras.distribution.DataParallel(devices=list(devices.names)).scope():
            yield
    else:
        with strategy(devices).scope():
            yield
