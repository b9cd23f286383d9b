"""What a model computes with while it is trained. GPUs: not tested on hardware."""

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
    """What builds the model of a configuration: of several families the chosen one.

    Args:
        hypermodel: If it has a method `member(values)`, as `hypermodels.Families`, that is asked.
        values: Of the hyperparameters, by name.
    """
    find = getattr(hypermodel, "member", None)
    return hypermodel if find is None else find(values)


def training_precision(
    hypermodel: keras_tuner.HyperModel, precision: str, values: Mapping[str, Any]
) -> str:
    """What the model of a configuration is trained in.

    Args:
        hypermodel: One whose `allows_mixed_precision` is true, as that of the classes in
            `hypermodels`, builds models that are known to bear 16 bits; of several families the
            chosen one decides.
        precision: One of `kt_tuning.recipe.PRECISIONS`.
        values: Of the hyperparameters, by name.

    Returns:
        The same, but "float32" for "auto" on any other hypermodel: a number such as a year is
        rounded to the next multiple of 8 by a bfloat16.
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
    """Build models of a precision in this block; Keras' policy is restored after it.

    Args:
        precision: One of `kt_tuning.recipe.PRECISIONS`. "auto" is the fastest that the device
            has; it and "float32" leave a policy that was set in Keras before as it is.

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
    """Whether a model of mixed precision returns float32; its last layers are made to, if possible.

    A bfloat16 has 8 bits of mantissa, too few for a loss.

    Args:
        model: Before anything of it is traced.

    Returns:
        False for what is returned by something else than a plain layer, and for a model of whose
        outputs nothing is known.
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
