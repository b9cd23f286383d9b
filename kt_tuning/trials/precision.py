"""What a model computes with while it is trained. GPUs: not tested on hardware."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from kt_tuning import devices

FLOAT32 = "float32"
AUTO = "auto"


@contextlib.contextmanager
def computing(precision: str) -> Iterator[None]:
    """Build models of a precision in this block; Keras' policy is restored after it.

    Args:
        precision: One of `kt_tuning.recipe.PRECISIONS`. "auto" is the fastest that the device
            has; it and "float32" leave a policy that was set in Keras before as it is.
    """
    before = keras.config.dtype_policy()
    if precision == AUTO and before.name == FLOAT32:
        keras.config.set_dtype_policy(devices.precision(devices.unasked_devices()))
    elif precision not in (AUTO, FLOAT32):
        keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
