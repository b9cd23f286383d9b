"""The precision of a training. GPUs: not tested on hardware."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import keras_tuner

from kt_tuning import devices

FLOAT32 = "float32"
AUTO = "auto"
HALVES = ("float16", "bfloat16")


def member_of(
    hypermodel: keras_tuner.HyperModel, values: Mapping[str, Any]
) -> keras_tuner.HyperModel:
    """Return the hypermodel of a configuration: that of the chosen family if there are several.

    Args:
        hypermodel: With a method `member(values)`, such as `hypermodels.Families`, or without.
        values: Hyperparameter values by name.
    """
    find = getattr(hypermodel, "member", None)
    return hypermodel if find is None else find(values)


def training_precision(
    hypermodel: keras_tuner.HyperModel, precision: str, values: Mapping[str, Any]
) -> str:
    """Return the precision in which the model of a configuration is trained.

    Args:
        hypermodel: Its `allows_mixed_precision` (that of the chosen family) is true if its models
            are known to work in 16 bits, as those of `hypermodels`.
        precision: One of `kt_tuning.recipe.PRECISIONS`.
        values: Hyperparameter values by name.

    Returns:
        `precision`, but "float32" for "auto" on other hypermodels: a bfloat16 rounds a number such
        as a year to a multiple of 8.
    """
    allowed = getattr(member_of(hypermodel, values), "allows_mixed_precision", False)
    return FLOAT32 if precision == AUTO and not allowed else precision


def computes_in_16_bits(model: Any) -> bool:
    """Whether a layer of a model, or of a model inside it, computes in 16 bits."""
    return any(
        getattr(layer, "compute_dtype", None) in HALVES or computes_in_16_bits(layer)
        for layer in getattr(model, "layers", ())
    )


@contextlib.contextmanager
def computing(precision: str) -> Iterator[str]:
    """Build models of a precision in the block; Keras' policy is restored afterwards.

    Args:
        precision: One of `kt_tuning.recipe.PRECISIONS`. "auto" is the fastest of the device; "auto"
            and "float32" keep a policy that was set in Keras before.

    Yields:
        The name of Keras' policy in the block.
    """
    before = keras.config.dtype_policy()
    if precision == AUTO and before.name == FLOAT32:
        keras.config.set_dtype_policy(devices.precision(devices.unasked_devices()))
    elif precision not in (AUTO, FLOAT32):
        keras.config.set_dtype_policy(precision)
    try:
        yield keras.config.dtype_policy().name
    finally:
        keras.config.set_dtype_policy(before)


def returns_float32(model: keras.Model) -> bool:
    """Set the last layers of a model to float32; return whether its outputs are float32.

    A bfloat16 has 8 bits of mantissa, too few for a loss.

    Args:
        model: A model of which nothing has been traced.

    Returns:
        False if an output does not come from a plain layer, or the outputs are unknown.
    """
    outputs = getattr(model, "outputs", None) or []
    for output in outputs:
        if output.dtype == FLOAT32:
            continue
        layer = next((found for found in model.layers if found.output is output), None)
        if layer is None or isinstance(layer, keras.Model):
            return False
        layer.dtype_policy = FLOAT32
    return bool(outputs)
