"""Building the model of a trial."""

from __future__ import annotations

import logging

import keras
import keras_tuner

from kt_tuning.core.errors import OptionError
from kt_tuning.trials.fatal_errors import NoModelError
from kt_tuning.trials.precision import AUTO, FLOAT32, computing, returns_float32
from kt_tuning.trials.unsafe_layers import warn_of_unsafe_layers

logger = logging.getLogger("kt_tuning")


def build_model(
    hypermodel: keras_tuner.HyperModel,
    hp: keras_tuner.HyperParameters,
    precision: str = FLOAT32,
) -> keras.Model:
    """Build a model to be trained, after Keras has released earlier models.

    A warning is logged for layers that can crash the process, see `unsafe_layers`.

    Args:
        hypermodel: Builds the model.
        hp: The configuration.
        precision: Precision of the training, see `computing`.

    Raises:
        OptionError: if the result is not a Keras model, or returns probabilities in 16 bits.
    """
    # Collects garbage as well.
    keras.backend.clear_session()
    model = new_model(hypermodel, hp, precision)
    warn_of_unsafe_layers(model)
    return model


def new_model(
    hypermodel: keras_tuner.HyperModel,
    hp: keras_tuner.HyperParameters,
    precision: str = FLOAT32,
) -> keras.Model:
    """Build a model while others are in use; see `build_model`."""
    model = _built(hypermodel, hp, precision)
    optimizer = getattr(model, "optimizer", None)
    if model.built and optimizer is not None and not getattr(optimizer, "built", True):
        # A training step that makes the optimizer's variables would be traced twice.
        optimizer.build(model.trainable_variables)
    return model


def _built(
    hypermodel: keras_tuner.HyperModel, hp: keras_tuner.HyperParameters, precision: str
) -> keras.Model:
    with computing(precision) as computed:
        reduced = computed != FLOAT32 and precision != FLOAT32
        asked_for = precision != AUTO
        reason = "its last layer cannot return float32"
        try:
            model = hypermodel.build(hp)
        except Exception as error:
            if asked_for or not reduced:
                raise
            model, reason = None, f"{type(error).__name__}: {error}"
    is_model = isinstance(model, keras.Model)
    usable = is_model and (not reduced or returns_float32(model))
    if usable:
        return model
    if reduced and not asked_for:
        logger.info("The model is built in float32; building it in %s failed: %s", computed, reason)
        return _built(hypermodel, hp, FLOAT32)
    if is_model:
        raise OptionError(
            "In mixed precision the last layer should return float32: pass it dtype='float32', or "
            "set the recipe's `precision` to 'float32'."
        )
    raise NoModelError(
        "Expected the model-building function, or HyperModel.build(), to return a compiled "
        f"keras.Model. Received: {type(model).__name__}"
    )
