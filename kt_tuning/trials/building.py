"""Building a model for a trial, ready to be trained at no more cost than needed."""

from __future__ import annotations

import keras
import keras_tuner

from kt_tuning.errors import OptionError
from kt_tuning.trials.precision import FLOAT32, computing


def build_model(
    hypermodel: keras_tuner.HyperModel,
    hp: keras_tuner.HyperParameters,
    precision: str = FLOAT32,
) -> keras.Model:
    """Build a model after letting go of all that Keras keeps of earlier ones.

    Args:
        hypermodel: What to build.
        hp: Of which configuration.
        precision: What it computes with, see `computing`.

    Raises:
        OptionError: if what is built is no Keras model, or loses the precision of probabilities.
    """
    # Which collects, too.
    keras.backend.clear_session()
    return new_model(hypermodel, hp, precision)


def new_model(
    hypermodel: keras_tuner.HyperModel,
    hp: keras_tuner.HyperParameters,
    precision: str = FLOAT32,
) -> keras.Model:
    """Build a model beside others that are in use; see `build_model`."""
    with computing(precision):
        model = hypermodel.build(hp)
    if not isinstance(model, keras.Model):
        raise OptionError(
            f"The hypermodel should build a compiled keras.Model. Received: {type(model).__name__}"
        )
    if precision != FLOAT32 and getattr(model, "outputs", None):
        _check_outputs(model)
    if model.built and model.optimizer is not None and not model.optimizer.built:
        # A training step that had to make the optimizer's variables would be traced twice.
        model.optimizer.build(model.trainable_variables)
    return model


def _check_outputs(model: keras.Model) -> None:
    """Half a float32's digits are too few for a loss."""
    dtype = model.outputs[0].dtype
    if dtype != FLOAT32:
        raise OptionError(
            "In mixed precision the last layer should return float32: pass it dtype='float32', or "
            f"leave the recipe's `precision` at 'float32'. Received: {dtype}"
        )
