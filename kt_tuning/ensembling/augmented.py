"""Test-time augmentation: a model's mean answer to several versions of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.augment import Policy, augment
from kt_tuning.core.errors import OptionError
from kt_tuning.evaluation.predict import predict_function, predict_images

Floats = NDArray[np.floating[Any]]


class AugmentedPredictor:
    """Predicts the mean over the image as it is and several augmented versions.

    What is drawn is drawn once, and is the same for all images: an image's prediction depends on
    that image alone. It answers wherever a model is asked to predict, such as in `evaluate` and
    `candidates_of`; as PIL augments, it has no Keras model that could be exported.

    Args:
        model: A Keras model, an `Ensemble`, or a function: uint8 images (n, H, W, C) ->
            probabilities (n, classes).
        policy: How images are varied, or the name of a policy; gentle ones help most.
        draws: Augmented versions of each image, at least 1.
        seed: Of what is drawn.

    Raises:
        OptionError: if an argument is wrong.
    """

    def __init__(self, model: Any, policy: Policy | str, *, draws: int = 8, seed: int = 0) -> None:
        if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
            raise OptionError(
                f"`draws` is a number of augmented versions, at least 1. Received: draws={draws!r}"
            )
        self._predict = predict_function(model)
        self.policy = Policy.named(policy) if isinstance(policy, str) else policy
        self.uniforms = latin_hypercube(draws, self.policy.draws, np.random.default_rng(seed))

    def predict_on_batch(self, images: NDArray[np.uint8]) -> Floats:
        """Return probabilities (n, classes) of uint8 images (n, H, W, C), in one go."""
        total = np.asarray(self._predict(images), dtype=np.float64)
        for drawn in self.uniforms:
            versions = augment(self.policy, images, np.tile(drawn, (len(images), 1)))
            total = total + np.asarray(self._predict(versions))
        return (total / (1 + len(self.uniforms))).astype(np.float32)

    def predict(self, images: NDArray[np.uint8]) -> Floats:
        """Return probabilities (N, classes) of uint8 images (N, H, W, C).

        Raises:
            DataError: if there are no images, or the model returns no probabilities.
        """
        return predict_images(self.predict_on_batch, images)


def predict_augmented(
    model: Any,
    images: NDArray[np.uint8],
    policy: Policy | str,
    draws: int = 8,
    *,
    seed: int = 0,
) -> Floats:
    """Return the mean prediction (N, classes) of images and augmented versions of them.

    Args:
        model: See `AugmentedPredictor`, as for the other arguments.
        images: uint8 (N, H, W, C).
        policy: How images are varied, or the name of a policy.
        draws: Augmented versions of each image, besides the image itself.
        seed: Of what is drawn.

    Raises:
        OptionError: if an argument is wrong.
        DataError: if there are no images, or the model returns no probabilities.
    """
    return AugmentedPredictor(model, policy, draws=draws, seed=seed).predict(images)


def latin_hypercube(count: int, dimensions: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return points (count, dimensions) in [0, 1), one in each of `count` slices of each dimension.

    So half of 8 draws are mirrored where every second image should be, not 2 or 6 of them.

    Source: McKay, Beckman and Conover (1979), "A comparison of three methods for selecting values
    of input variables in the analysis of output from a computer code".
    """
    slices = rng.permuted(np.tile(np.arange(count), (dimensions, 1)), axis=1).T
    return (slices + rng.random((count, dimensions))) / count
