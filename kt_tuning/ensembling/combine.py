"""Keras models in, one Keras model out: the part of an ensemble that knows Keras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_tuning.core.errors import OptionError
from kt_tuning.ensembling.calibration import SMALLEST_PROBABILITY, Calibration
from kt_tuning.ensembling.combination import GEOMETRIC, Combination, mean_over_folds

if TYPE_CHECKING:
    import keras


def as_model(member: keras.Model | Callable[[], keras.Model]) -> keras.Model:
    """Return a model as it is, and what a loader loads."""
    import keras

    # A model is callable too.
    return member if isinstance(member, keras.Model) else member()


def check_members(models: Sequence[keras.Model]) -> None:
    """Refuse models that cannot be averaged.

    Raises:
        OptionError: if there are none, one is not a functional or built Sequential model with
            one input and one output (n, classes), or their shapes differ.
    """
    import keras

    if not models:
        raise OptionError("An ensemble needs at least one model. Received: none.")
    for index, model in enumerate(models):
        if not isinstance(model, keras.Model):
            raise OptionError(
                f"Members should be Keras models. Received: {type(model).__name__} as number "
                f"{index}. `Ensemble.fit` takes functions that load one, too."
            )
        # A subclassed model has no graph to take up, and an unbuilt one no shapes yet.
        inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
        if not inputs or not outputs or len(inputs) > 1 or len(outputs) > 1:
            raise OptionError(
                "Members should be functional or built Sequential models with one input and "
                f"one output. Received: {model.name!r}, a {type(model).__name__}."
            )
    shapes = [(model.input_shape[1:], model.output_shape[1:]) for model in models]
    if len(set(shapes)) > 1 or len(shapes[0][1]) != 1:
        raise OptionError(
            "Members should take the same pixels (H, W, C) and return the same (classes,). "
            f"Received: {', '.join(f'{pixels} -> {classes}' for pixels, classes in shapes)}."
        )


def member_name(index: int) -> str:
    """Return what a member is called in the combined model."""
    return f"member_{index}"


def weighted_sum(
    models: Sequence[keras.Model], weights: Sequence[float], temperatures: Sequence[float]
) -> keras.Model:
    """Build the weighted mean of `models`, each at its temperature; see `combine_models`."""
    return combine_models(models, Combination(tuple(weights), tuple(temperatures)))


def combine_models(models: Sequence[keras.Model], combination: Combination) -> keras.Model:
    """Build one functional model, of built-in layers, that answers as `combination` says.

    Args:
        models: K models that `check_members` accepts.
        combination: Of K members.

    Returns:
        uint8 pixels (n, H, W, C) -> float32 probabilities (n, classes).
    """
    import keras

    pixels = keras.Input(shape=models[0].input_shape[1:], dtype="uint8", name="pixels")
    shares = []
    rows = zip(models, combination.weights, combination.temperatures, strict=True)
    for index, (model, weight, temperature) in enumerate(rows):
        # The same layers under a name of its own: two members built alike are called alike.
        member = keras.Model(model.inputs, model.outputs[0], name=member_name(index))
        answer = member(pixels)
        if combination.pool == GEOMETRIC:
            answer = _logarithm(answer)
            weight /= temperature
        elif temperature != 1:
            answer = _scaled_softmax(answer, 1 / temperature, f"temperature_{index}")
        # float32 whatever the members' precision is: probabilities are summed here.
        shares.append(
            keras.layers.Rescaling(weight, dtype="float32", name=f"weight_{index}")(answer)
        )
    total = shares[0]
    if len(shares) > 1:
        total = keras.layers.Add(dtype="float32", name="sum")(shares)
    if combination.pool == GEOMETRIC:
        total = keras.layers.Softmax(dtype="float32", name="geometric_mean")(total)
    for index, calibration in enumerate(combination.calibrations):
        total = _calibrated(total, calibration, index)
    return keras.Model(pixels, total, name="ensemble")


def combine_folds(
    members: Sequence[Sequence[keras.Model]], combination: Combination, sharpening: float
) -> keras.Model:
    """Build the mean over the folds of what the models of one fold say together.

    A combination that was fitted on out-of-fold predictions is of one model a member. So the models
    of each fold are combined by it, and the mean is taken over the folds, of the logits; see
    `mean_over_folds`.

    Args:
        members: For each member its models, one a fold, as many as the others have.
        combination: Of the members.
        sharpening: See `sharpening_of`.

    Returns:
        uint8 pixels (n, H, W, C) -> float32 probabilities (n, classes).
    """
    combined = [combine_models(fold, combination) for fold in zip(*members, strict=True)]
    if len(combined) == 1:
        return combined[0]
    return combine_models(combined, mean_over_folds(len(combined), sharpening))


def _calibrated(probabilities: Any, calibration: Calibration, index: int) -> Any:
    import keras

    # Not Rescaling, which takes a list for channels, and turns it if they come first.
    scales, shifts = (
        np.array(numbers, dtype=np.float32) for numbers in (calibration.scales, calibration.shifts)
    )
    logits = keras.ops.add(keras.ops.multiply(_logarithm(probabilities), scales), shifts)
    return keras.layers.Softmax(dtype="float32", name=f"calibrated_{index}")(logits)


def _scaled_softmax(probabilities: Any, scale: float, name: str) -> Any:
    """softmax(scale * log(p)), in layers and operations that Keras can save."""
    import keras

    scaled = keras.layers.Rescaling(scale, dtype="float32", name=name)(_logarithm(probabilities))
    return keras.layers.Softmax(dtype="float32", name=f"{name}_softmax")(scaled)


def _logarithm(probabilities: Any) -> Any:
    import keras

    floor = keras.ops.maximum(keras.ops.cast(probabilities, "float32"), SMALLEST_PROBABILITY)
    return keras.ops.log(floor)
