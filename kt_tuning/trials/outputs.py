"""Checks that a classifier returns one distribution over the classes for each image.

Metrics, ensembles, calibration and served models need probabilities; with logits all of them would
be wrong without any error.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.evaluation.predict import checked_probabilities

ADVICE = (
    'End the model with `keras.layers.Dense({classes}, activation="softmax")`, or with '
    "`keras.layers.Softmax()` after the logits, and compile it with a loss that has "
    '`from_logits=False`, such as "sparse_categorical_crossentropy".'
)


def check_classifier(model: keras.Model, images: NDArray[np.uint8], classes: int) -> None:
    """Refuse a model that does not return probabilities, before its first epoch.

    Args:
        model: Built by a hypermodel.
        images: (n, height, width, channels), n at least 1: what the model is tried on.
        classes: Of the data.

    Raises:
        OptionError: if the model takes other images, has not one output (n, classes), or its
            outputs are no distributions, as logits and independent sigmoids are none.
    """
    shape, advice = images.shape[1:], ADVICE.format(classes=classes)
    inputs, outputs = _tensors(model, "inputs"), _tensors(model, "outputs")
    if not inputs or not outputs:
        raise OptionError(
            "With an ImageData the hypermodel should build a functional model, or a Sequential one "
            f"that begins with `keras.Input({shape})`. Received: {type(model).__name__} "
            f"{model.name!r}, whose inputs are not known before it is trained."
        )
    shapes = [tuple(tensor.shape[1:]) for tensor in (*inputs, *outputs)]
    # Not compiled: a graph would be traced for a few images.
    answer = model(images, training=False) if shapes == [shape, (classes,)] else None
    if answer is None or isinstance(answer, (dict, list, tuple)):
        taken, returned = (
            ", ".join(str(found) for found in part)
            for part in (shapes[: len(inputs)], shapes[len(inputs) :])
        )
        raise OptionError(
            f"The hypermodel maps {taken} to {returned}"
            f"{'' if answer is None else f' in a {type(answer).__name__}'}, the data need {shape} "
            f"to ({classes},). Make it with (data.input_shape, data.classes). A yes/no question "
            f"has two classes, too, not one output. {advice}"
        )
    _check_probabilities(model, keras.ops.convert_to_numpy(answer), advice)


def _check_probabilities(model: keras.Model, answer: NDArray[np.floating], advice: str) -> None:
    if not np.isfinite(answer).all():
        raise OptionError(
            f"The model {model.name!r} returns nan or infinite values before it is trained: look "
            "at its initial weights, and at what it does to pixels from 0 to 255."
        )
    if getattr(model.layers[-1], "activation", None) is keras.activations.sigmoid:
        raise OptionError(
            f"The model's last layer, {model.layers[-1].name!r}, has a sigmoid for each class: "
            f"probabilities that do not sum to 1. {advice}"
        )
    try:
        checked_probabilities(answer, len(answer))
    except DataError as error:
        losses = keras.tree.flatten(getattr(model, "loss", None))
        if not any(getattr(loss, "from_logits", False) for loss in losses):
            raise OptionError(f"{error} {advice}") from error
        raise OptionError(
            "The model returns logits, and its loss has from_logits=True: metrics, ensembles and "
            f"exports need probabilities. {advice}"
        ) from error


def _tensors(model: keras.Model, name: str) -> list[Any]:
    return list(getattr(model, name, None) or [])
