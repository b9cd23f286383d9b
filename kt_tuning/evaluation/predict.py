"""Predictions of any model, in batches, checked to be probabilities; samples of images."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import DataError, OptionError

_SUM_TOLERANCE = 1e-3

Predict = Callable[[NDArray[np.uint8]], ArrayLike]
"""uint8 images (n, H, W, C) -> predictions (n, …)."""


class Split(Protocol):
    """Labelled images, such as an `ImageSplit`."""

    @property
    def labels(self) -> NDArray[np.integer[Any]]:
        """(N,) integers in 0..C-1."""

    def __len__(self) -> int: ...

    def take(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Return the images at `indices`, uint8 (n, H, W, C)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of labelled images.

    Attributes:
        labels: (N,) integers in 0..C-1.
        probabilities: (N, C).
    """

    labels: NDArray[np.integer[Any]]
    probabilities: NDArray[np.floating[Any]]

    @classmethod
    def by(cls, model: Any, split: Split, places: NDArray[np.integer[Any]] | None = None) -> Self:
        """Predict a split, or its images at `places`; see `predict_probabilities`."""
        labels = np.asarray(split.labels)
        labels = labels if places is None else labels[places]
        return cls(labels, predict_probabilities(model, split, places))

    @classmethod
    def joined(cls, *parts: Predicted) -> Self:
        """Put the predictions of several sets of images one after the other."""
        return cls(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.probabilities for part in parts]),
        )


def predict_split(
    model: Any,
    split: Split,
    places: NDArray[np.integer[Any]] | None = None,
    *,
    predict: Predict | None = None,
) -> NDArray[np.floating[Any]]:
    """Return the predictions (N, …) of a split, in order, batch by batch.

    Args:
        model: See `predict_function`.
        split: The images, N at least 1.
        places: (N,) which of the images; all if None.
        predict: What predicts with the model, if that is not `predict_function(model)`.
    """
    predict = predict or predict_function(model)
    chosen = np.arange(len(split)) if places is None else places
    divided = batches(model, len(chosen), split.take(chosen[:1]).shape[1:])
    parts = [np.asarray(predict(split.take(chosen[batch]))) for batch in divided]
    return np.concatenate(parts)[: len(chosen)]


def batches(model: Any, count: int, shape: Sequence[int]) -> list[NDArray[np.int64]]:
    """Divide images into batches of one size; see `hypermodels.prediction_batches`.

    Args:
        model: See `predict_function`; or a method of a model.
        count: Number of images.
        shape: (height, width, channels) of the images.
    """
    # Deferred: it imports Keras.
    from hypermodels.prediction_batches import equal_batches, prediction_batch_size

    model = getattr(model, "__self__", model)
    network = model.to_keras() if hasattr(model, "to_keras") else model
    return equal_batches(count, prediction_batch_size(network, shape))


def predict_images(predict: Predict, images: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
    """Return the checked probabilities (N, C) of images, batch by batch.

    Raises:
        DataError: if there are no images, or what comes back is not one distribution per image.
    """
    if len(images) == 0:
        raise DataError("There is nothing to predict: 0 images. Give at least one.")
    parts = [
        checked_probabilities(np.asarray(predict(images[places])), len(places))
        for places in batches(predict, len(images), images.shape[1:])
    ]
    return np.concatenate(parts)[: len(images)]


def predict_probabilities(
    model: Any, split: Split, places: NDArray[np.integer[Any]] | None = None
) -> NDArray[np.floating[Any]]:
    """Return the checked probabilities (N, C) of a split.

    Args:
        model: See `predict_function`.
        split: The images and labels.
        places: (N,) which of the images; all if None.

    Raises:
        DataError: if the split is empty, or what the model returns is not one distribution an
            image.
        OptionError: on a model that cannot be called.
    """
    predict = predict_function(model)
    if len(split) == 0:
        raise DataError("The split is empty: it needs at least one labelled image.")

    def checked(images: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
        return checked_probabilities(np.asarray(predict(images)), len(images))

    return predict_split(model, split, places, predict=checked)


def predict_function(model: Any) -> Predict:
    """Return the function that predicts with `model`.

    That is its `predict_on_batch` if it has one (in Keras the compiled path that neither prints
    nor sets up an epoch), else its `predict`, else itself.

    Raises:
        OptionError: on a model that cannot be called.
    """
    for name in ("predict_on_batch", "predict"):
        if hasattr(model, name):
            return getattr(model, name)
    if callable(model):
        return model
    raise OptionError(
        "The model should have a `predict` method or be callable: uint8 images (n, H, W, C) -> "
        f"probabilities (n, C). Received: {type(model).__name__}."
    )


def checked_probabilities(probabilities: NDArray[Any], images: int) -> NDArray[np.floating[Any]]:
    """Refuse a batch of predictions that is not one distribution per image.

    Raises:
        DataError: if it is not.
    """
    shape = probabilities.shape
    if len(shape) != 2 or shape[0] != images:
        raise DataError(
            f"The model should return probabilities ({images}, classes) for {images} images. "
            f"Received: shape {shape}."
        )
    if not np.isfinite(probabilities).all():
        raise DataError(
            "The model returned nan or infinite probabilities: its training diverged. Train it "
            "with a smaller learning rate, or take another trial."
        )
    sums = probabilities.sum(axis=1, dtype=np.float64)
    worst = int(np.abs(sums - 1.0).argmax())
    if probabilities.min() < 0 or abs(sums[worst] - 1.0) > _SUM_TOLERANCE:
        raise DataError(
            "The model should return probabilities: no value below 0, every row summing to 1. "
            f"Received: smallest value {probabilities.min():.4g}, a row summing to "
            f"{sums[worst]:.4g}. End the model with a softmax over two or more classes."
        )
    return probabilities


def seconds_per_image(call: Callable[[Any], Any], images: NDArray[Any]) -> float:
    """Time a call on a batch (n, …), after one that is not counted as it may trace and compile."""
    call(images)
    start = time.perf_counter()
    call(images)
    return (time.perf_counter() - start) / len(images)


FEWEST = 50
"""Images that are measured whatever they cost, if there are so many."""


def affordable(available: int, seconds_per_image: float, seconds: float) -> int:
    """Return the number of images that can be measured in a given time.

    It is rounded down to 1, 2 or 5 times a power of ten, so that measuring again on the same
    machine takes the same number.

    Args:
        available: Images that there are.
        seconds_per_image: Estimated time of one.
        seconds: Time for all of them.

    Returns:
        `available`, if all of them can be measured; otherwise at least `FEWEST`.
    """
    if available <= FEWEST or available * seconds_per_image <= seconds:
        return available
    most = max(float(FEWEST), seconds / seconds_per_image)
    power = 10 ** int(np.log10(most))
    rounded = max(mantissa * power for mantissa in (1, 2, 5) if mantissa * power <= most)
    return min(available, max(FEWEST, rounded))


def stratified_sample(labels: ArrayLike, size: int, seed: int) -> NDArray[np.int64]:
    """Choose images at random so that each class has its share, to one image.

    This is systematic sampling with equal steps through the images, shuffled and sorted by class
    (Cochran, 1977, "Sampling techniques", chapter 8).

    Args:
        labels: (N,) integers.
        size: Images to choose; all if there are not more.
        seed: Seed of the choice.

    Returns:
        (min(size, N),) ascending places in `labels`.
    """
    classes = np.asarray(labels)
    if size >= len(classes):
        return np.arange(len(classes))
    order = np.random.default_rng(seed).permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    return np.sort(order[np.arange(size) * len(classes) // size])


def names_of_classes(names: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """Return the names of a model's classes; without names, their numbers."""
    if names is None:
        return tuple(str(label) for label in range(classes))
    if len(names) != classes:
        raise OptionError(
            f"The model has {classes} classes, so class_names should have {classes} names. "
            f"Received: {len(names)}."
        )
    return tuple(names)
