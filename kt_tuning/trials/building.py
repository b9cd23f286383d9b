"""Building a model for a trial, ready to be trained at no more cost than needed."""

from __future__ import annotations

import gc

import keras
import keras_tuner

from kt_tuning.errors import OptionError
from kt_tuning.evaluation import count_flops
from kt_tuning.trials.spec import InfeasibleError


def build_model(hypermodel: keras_tuner.HyperModel, hp: keras_tuner.HyperParameters) -> keras.Model:
    """Build a model after letting go of all that Keras keeps of earlier ones.

    Raises:
        OptionError: if what is built is no Keras model.
    """
    keras.backend.clear_session()
    gc.collect()
    return new_model(hypermodel, hp)


def new_model(hypermodel: keras_tuner.HyperModel, hp: keras_tuner.HyperParameters) -> keras.Model:
    """Build a model beside others that are in use.

    Raises:
        OptionError: if what is built is no Keras model.
    """
    model = hypermodel.build(hp)
    if not isinstance(model, keras.Model):
        raise OptionError(
            f"The hypermodel should build a compiled keras.Model. Received: {type(model).__name__}"
        )
    if model.built and model.optimizer is not None and not model.optimizer.built:
        # A training step that had to make the optimizer's variables would be traced twice.
        model.optimizer.build(model.trainable_variables)
    return model


def check_size(model: keras.Model, max_parameters: int | None, max_flops: int | None) -> None:
    """Refuse a model that is over a limit, before it is trained.

    Raises:
        InfeasibleError: if it is.
    """
    if not model.built:
        return
    parameters = model.count_params()
    if max_parameters is not None and parameters > max_parameters:
        raise InfeasibleError(
            f"{parameters:,} parameters, more than max_parameters={max_parameters:,}"
        )
    if max_flops is not None and (flops := count_flops(model)) > max_flops:
        raise InfeasibleError(f"{flops:,} FLOPs an image, more than max_flops={max_flops:,}")
