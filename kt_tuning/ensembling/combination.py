"""Combinations: weights, temperatures and calibration, as arithmetic and as one Keras model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.ensembling.calibration import (
    SMALLEST_PROBABILITY,
    Calibration,
    fit_temperature,
    logarithm,
    softmax,
    temper,
)

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

ARITHMETIC = "arithmetic"
GEOMETRIC = "geometric"
POOLS = (ARITHMETIC, GEOMETRIC)
MEMBER = "member_{}"
"""Name of a member in the combined model, by its position."""


@dataclasses.dataclass(frozen=True)
class Combination(Record):
    """Weights, temperatures, the kind of mean, and the calibration of the whole.

    Attributes:
        weights: (K,) on the simplex: none below 0, summing to 1.
        temperatures: (K,) above 0, by which each member's logits are divided first. All 1 if
            none are given.
        pool: "arithmetic", the weighted mean of the probabilities; or "geometric", the softmax of
            the weighted mean of their logarithms (the logarithmic opinion pool).
        calibrations: Calibrations of the pooled probabilities, one after the other.
    """

    weights: tuple[float, ...]
    temperatures: tuple[float, ...] = ()
    pool: str = ARITHMETIC
    calibrations: tuple[Calibration, ...] = ()

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.ndim != 1 or not weights.size:
            raise OptionError(
                f"Expected weights (K,), one per member. Received: shape {weights.shape}."
            )
        # Written so that nan fails it.
        if not (weights.min() >= 0 and abs(weights.sum() - 1.0) <= 1e-6):
            raise OptionError(
                "Weights should be 0 or more and sum to 1: divide them by their sum. "
                f"Received: {weights.tolist()}, summing to {weights.sum():.6g}."
            )
        temperatures = np.array(self.temperatures or np.ones(len(weights)), dtype=np.float64)
        if temperatures.shape != weights.shape or not np.all(
            (temperatures > 0) & np.isfinite(temperatures)
        ):
            raise OptionError(
                f"Expected one temperature above 0 for each of the {len(weights)} members. "
                f"Received: {temperatures.tolist()}."
            )
        if self.pool not in POOLS:
            raise OptionError(f"No pool is called {self.pool!r}. Known pools: {', '.join(POOLS)}.")
        object.__setattr__(self, "weights", tuple(weights.tolist()))
        object.__setattr__(self, "temperatures", tuple(temperatures.tolist()))

    def kept(self) -> list[int]:
        """Return the positions of the members that count."""
        return [index for index, weight in enumerate(self.weights) if weight > 0]

    def among(self, places: Sequence[int], count: int) -> Self:
        """Return the same combination of `count` members, those of this one at `places`."""
        weights, temperatures = np.zeros(count), np.ones(count)
        kept = list(places)
        weights[kept], temperatures[kept] = self.weights, self.temperatures
        return dataclasses.replace(
            self, weights=tuple(weights.tolist()), temperatures=tuple(temperatures.tolist())
        )

    def predict(self, predictions: Sequence[Floats] | Floats) -> Floats:
        """Combine the members' probabilities.

        Args:
            predictions: (K, N, C).

        Returns:
            (N, C), float64.
        """
        rows = zip(predictions, self.weights, self.temperatures, strict=True)
        counted = [(weight, temperature, member) for member, weight, temperature in rows if weight]
        if self.pool == GEOMETRIC:
            # Each member's own softmax would divide its row by a number, which the last one undoes.
            logits = sum(
                weight / temperature * logarithm(member) for weight, temperature, member in counted
            )
            probabilities = softmax(np.asarray(logits))
        else:
            mean = sum(
                weight * temper(member, temperature) for weight, temperature, member in counted
            )
            probabilities = np.asarray(mean)
        for calibration in self.calibrations:
            probabilities = calibration.apply(probabilities)
        return probabilities


def mean_over_folds(folds: int, sharpening: float) -> Combination:
    """Return how the predictions of all folds' models become one: softmax(s * mean of log p).

    Args:
        folds: Number of predictions.
        sharpening: s; see `sharpening_of`.
    """
    return Combination(
        (1 / folds,) * folds, pool=GEOMETRIC, calibrations=(Calibration(scales=(sharpening,)),)
    )


def sharpening_of(
    combination: Combination, predictions: Floats, labels: Integers, folds: int
) -> float:
    """Return what the logits of a mean over folds are multiplied by, 1 or more.

    No row is unseen by the models of all folds, so the temperature of their mean cannot be fitted.
    What is fitted, on out-of-fold predictions, is the temperature T of single models. If it makes
    them surer, it is right for their mean as well. If it makes them less sure, T > 1, because their
    errors differ, then averaging k of them does part of that: with independent errors of the
    logits, of variance v, T^2 = 1 + c v, and the mean needs 1 + c v / k. So the logits are
    multiplied by T / sqrt(1 + (T^2 - 1) / k). `benchmarks/fold_calibration.py` measures what that
    brings. Models that are all too sure in the same way remain so in part.

    Args:
        combination: Fitted on the predictions.
        predictions: (K, N, C) out-of-fold probabilities of the members.
        labels: (N,).
        folds: k.

    Returns:
        The factor, where T is the temperature of the combination without its members' temperatures
        and calibration; 1 if T is below 1, or if the combination has neither.

    Sources: MacKay (1992), "The evidence framework applied to classification networks", for logits
    with an error; Rahaman and Thiery (2021), "Uncertainty quantification and deep ensembles": the
    mean of models that were calibrated one by one is not sure enough.
    """
    if set(combination.temperatures) == {1.0} and not combination.calibrations:
        return 1.0
    plain = Combination(combination.weights, pool=combination.pool).predict(predictions)
    temperature = max(1.0, fit_temperature(plain, labels))
    return temperature / math.sqrt(1 + (temperature**2 - 1) / folds)


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


def combine_models(models: Sequence[keras.Model], combination: Combination) -> keras.Model:
    """Build one functional model, of built-in layers, that answers as `combination` says.

    Args:
        models: K models that `check_members` accepts.
        combination: The combination of K members.

    Returns:
        uint8 pixels (n, H, W, C) -> float32 probabilities (n, classes).
    """
    import keras

    pixels = keras.Input(shape=models[0].input_shape[1:], dtype="uint8", name="pixels")
    shares = []
    rows = zip(models, combination.weights, combination.temperatures, strict=True)
    for index, (model, weight, temperature) in enumerate(rows):
        # The same layers under a name of its own: two members built alike are called alike.
        member = keras.Model(model.inputs[0], model.outputs[0], name=MEMBER.format(index))
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


def average_mirrored(model: keras.Model) -> keras.Model:
    """Build the mean of a model's probabilities of an image and of its mirror image.

    Args:
        model: A functional or built Sequential model: uint8 pixels (n, H, W, C) -> probabilities
            (n, classes).

    Returns:
        uint8 pixels (n, H, W, C) -> float32 probabilities (n, classes).
    """
    import keras

    pixels = keras.Input(shape=model.input_shape[1:], dtype="uint8", name="pixels")
    # The same layers without an optimizer.
    plain = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    # The image first: that is the call which Grad-CAM shows.
    answers = [plain(pixels), plain(keras.ops.flip(pixels, axis=2))]
    mean = keras.layers.Average(dtype="float32", name="mirrored_mean")(answers)
    return keras.Model(pixels, mean, name=f"{model.name}_mirrored")


def combine_folds(
    members: Sequence[Sequence[keras.Model]], combination: Combination, sharpening: float
) -> keras.Model:
    """Build the mean over the folds of the combined models of each fold.

    A combination that was fitted on out-of-fold predictions is of one model per member. So the
    models of each fold are combined by it, and the mean is taken over the folds, of the logits; see
    `mean_over_folds`.

    Args:
        members: For each member its models, one per fold, as many as the others have.
        combination: The combination of the members.
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
