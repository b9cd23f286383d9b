"""What classifiers return and learn from: probabilities, and integer or soft labels.

Metrics, ensembles, calibration and served models need one distribution over the classes for each
image; with logits all of them would be wrong without any error. Targets are integer labels, or
probabilities where images are mixed.
"""

from __future__ import annotations

from collections.abc import Callable
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
LEAST_DIFFERENCE = 1e-5
"""Differences of losses below this are rounding errors."""


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
    inputs, outputs = (list(getattr(model, name, None) or ()) for name in ("inputs", "outputs"))
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


def build_metrics(model: keras.Model, targets: NDArray[Any]) -> None:
    """Make the variables of compiled metrics, so that a training step is traced only once.

    Args:
        model: A compiled classifier.
        targets: Targets of one image, whose kind selects the metric "accuracy".
    """
    if type(model).compute_metrics is keras.Model.compute_metrics:
        model.compute_metrics(None, targets, _guess(model))
        model.reset_metrics()


def compiled_metrics(
    model: keras.Model, targets: NDArray[Any], predictions: NDArray[Any] | None
) -> dict[str, float]:
    """Measure what a model is compiled with.

    Args:
        model: A compiled classifier.
        targets: (n,) labels, or (n, C) probabilities.
        predictions: (n, C); None takes a guess, for the names of the metrics.

    Returns:
        The metrics, named `val_…`; those of the training in progress are reset.
    """
    guessed = _guess(model) if predictions is None else keras.ops.convert_to_tensor(predictions)
    model.reset_metrics()
    measured = model.compute_metrics(None, targets, guessed)
    model.reset_metrics()
    return {
        f"val_{name}": float(np.mean(keras.ops.convert_to_numpy(value)))
        for name, value in measured.items()
    }


def check_soft_targets(model: keras.Model, classes: int) -> None:
    """Refuse a loss or a metric that takes integer labels only.

    Raises:
        OptionError: if the model has one.
    """
    targets = np.full((1, classes), 1 / classes, dtype=np.float32)
    labels = f"The recipe mixes images, so that labels are soft, (n, {classes}). "
    own_loss = type(model).compute_loss is not keras.Model.compute_loss
    if model.loss is not None and not own_loss:
        error = _refusal(lambda: model.compute_loss(None, targets, _guess(model)))
        if error is not None:
            raise OptionError(
                f"{labels}The model's loss does not accept them: {_name(model.loss)}. Compile it "
                'with loss="categorical_crossentropy", or leave mixup and cutmix at 0.'
            ) from error
    error = _refusal(lambda: build_metrics(model, targets))
    names = [
        metric.name
        for compiled in model.metrics
        for metric in getattr(compiled, "metrics", [])
        if error is not None or "sparse" in f"{type(metric).__name__} {metric.name}".lower()
    ]
    if names:
        raise OptionError(
            f"{labels}A metric of the model does not accept them: {', '.join(names)}. "
            'Compile it with metrics=["accuracy"], or leave mixup and cutmix at 0.'
        ) from error


def needs_one_hot(model: keras.Model, classes: int) -> bool:
    """Whether the loss takes probabilities (n, classes) and not integer labels.

    Many losses, such as the mean squared error, accept integers but compare each output with the
    number of the class. So the losses of right and wrong predictions are compared.
    """
    own_loss = type(model).compute_loss is not keras.Model.compute_loss
    if getattr(model, "loss", None) is None or own_loss:
        return False
    return not _understands(model, classes, soft=False) and _understands(model, classes, soft=True)


def _understands(model: keras.Model, classes: int, *, soft: bool) -> bool:
    """Whether the loss of each of two classes is lower for the right prediction."""
    predicted = np.full((2, classes), 0.2 / classes, np.float32)
    predicted[[0, 1], [0, 1]] += 0.8

    def loss(label: int, prediction: int) -> float:
        target = np.eye(classes, dtype=np.float32)[[label]] if soft else np.array([label])
        value = model.compute_loss(
            None, target, keras.ops.convert_to_tensor(predicted[[prediction]])
        )
        return float(keras.ops.convert_to_numpy(value))

    try:
        return all(loss(k, k) < loss(k, 1 - k) - LEAST_DIFFERENCE for k in (0, 1))
    except Exception:  # a loss may be any function
        return False


def one_hot(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    uniforms: NDArray[np.float64],
    weights: NDArray[np.float32] | None,
    *,
    classes: int,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32] | None]:
    """Return labels (n,) as probabilities (n, classes); images and weights stay the same."""
    return images, np.eye(classes, dtype=np.float32)[labels], weights


def _refusal(attempt: Callable[[], Any]) -> Exception | None:
    """Return what an attempt raised; losses and metrics may be any functions."""
    try:
        attempt()
    except Exception as error:
        return error
    return None


def _guess(model: keras.Model) -> Any:
    classes = model.output_shape[-1]
    return keras.ops.full((1, classes), 1 / classes)


def _name(loss: Any) -> str:
    return repr(loss) if isinstance(loss, str) else getattr(loss, "name", type(loss).__name__)
