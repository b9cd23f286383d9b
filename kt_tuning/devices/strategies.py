"""Data parallelism: every device has all weights and a part of each batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kt_tuning.devices.found import TPU, Devices


def strategy(devices: Devices) -> Any:
    """TensorFlow's strategy for some devices.

    A TPU has a `tf.distribute.TPUStrategy`, several GPUs a `MirroredStrategy`, and one device a
    `OneDeviceStrategy`.

    Args:
        devices: As `find_devices` returns them.
    """
    import tensorflow as tf

    if devices.kind == TPU:
        return tf.distribute.TPUStrategy(devices.resolver)
    if devices.count == 1:
        return tf.distribute.OneDeviceStrategy(devices.names[0])
    return tf.distribute.MirroredStrategy(devices.names)


@contextlib.contextmanager
def scope(devices: Devices) -> Iterator[None]:
    """Build models, and train them, on all of the devices.

    Within the block batches are divided among the devices, whose number must divide them. On JAX
    `keras.distribution.DataParallel` does so. The only device that there is needs nothing of this.

    Args:
        devices: As `find_devices` returns them.
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
