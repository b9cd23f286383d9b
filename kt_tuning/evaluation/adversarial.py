"""Images that are changed as little as can be seen, so as to be mistaken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.evaluation.float_twin import as_keras, check_tensorflow, float_twin
from kt_tuning.evaluation.metrics import check_labels
from kt_tuning.evaluation.predict import Predict, predict_function, predict_images
from kt_tuning.evaluation.sample import seconds_per_image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

EPSILONS = (1.0, 2.0, 4.0, 8.0)
BATCH_SIZE = 128
"""Images of a gradient, at most."""
BATCH_PIXELS = 128 * 64 * 64
"""Pixels of a gradient, at most: activations of all layers are kept for it."""
PGD_STEPS = 10
_SMALLEST_PROBABILITY = 1e-30


class LossGradient:
    """The gradient of a model's log-loss with respect to its pixels.

    Args:
        model: An `Ensemble` or a functional Keras model, uint8 pixels -> probabilities.

    Raises:
        OptionError: if it is no such model, the backend is not TensorFlow, or no gradient reaches
            the pixels.
    """

    def __init__(self, model: Any) -> None:
        check_tensorflow("An adversarial attack")
        import tensorflow as tf

        twin = float_twin(as_keras(model))

        @tf.function(reduce_retracing=True, autograph=False)
        def gradient(pixels: Any, labels: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(pixels)
                probabilities = tf.cast(twin(pixels, training=False), tf.float32)
                of_truth = tf.gather(probabilities, labels, batch_dims=1)
                loss = -tf.reduce_sum(tf.math.log(tf.maximum(of_truth, _SMALLEST_PROBABILITY)))
            found = tape.gradient(loss, pixels)
            if found is None:
                raise OptionError(
                    "No gradient reaches the pixels: the model turns them into integers inside. "
                    "An attack needs a model that is differentiable from its input on."
                )
            return found

        self._gradient = gradient

    def __call__(self, pixels: Floats, labels: Labels) -> Floats:
        """Return the gradient (n, H, W, C) at pixels (n, H, W, C), 0 to 255."""
        return self._gradient(pixels.astype(np.float32), labels.astype(np.int64)).numpy()


Attack = Callable[[LossGradient, Floats, Labels, float, np.random.Generator], Floats]
"""(gradient, pixels, labels, epsilon, rng) -> pixels, none further than epsilon from before."""


def _fgsm(
    gradient: LossGradient,
    pixels: Floats,
    labels: Labels,
    epsilon: float,
    rng: np.random.Generator,
) -> Floats:
    """One step of epsilon along the sign of the gradient: Goodfellow et al. (2015), section 4."""
    return pixels + epsilon * np.sign(gradient(pixels, labels))


def _pgd(
    gradient: LossGradient,
    pixels: Floats,
    labels: Labels,
    epsilon: float,
    rng: np.random.Generator,
) -> Floats:
    """Small steps from a random start, each brought back into the epsilon-ball.

    Source: Madry et al. (2018), section 2.1; steps of 2.5 epsilon / number of steps, so that any
    point of the ball can be reached.
    """
    found = pixels + rng.uniform(-epsilon, epsilon, pixels.shape)
    for _ in range(PGD_STEPS):
        found = np.clip(found, 0.0, 255.0)
        found = found + 2.5 * epsilon / PGD_STEPS * np.sign(gradient(found, labels))
        found = np.clip(found, pixels - epsilon, pixels + epsilon)
    return found


ATTACKS: dict[str, Attack] = {"fgsm": _fgsm, "pgd": _pgd}


def attack(
    model: Any,
    images: Pixels,
    labels: Labels,
    *,
    name: str = "pgd",
    epsilon: float = 8.0,
    seed: int = 0,
) -> Pixels:
    """Return images that raise a model's log-loss, no pixel changed by more than `epsilon`.

    Args:
        model: See `LossGradient`; one that is made already is taken as well.
        images: (n, H, W, C) uint8.
        labels: (n,) integers: the truth.
        name: "fgsm" or "pgd".
        epsilon: Largest change of a pixel, at least 1 of 255.
        seed: Of the random start.

    Raises:
        OptionError: on an unknown attack, an epsilon below 1, or a model that `LossGradient`
            refuses.
    """
    name = find_name(name, ATTACKS, "attack")
    if not epsilon >= 1:
        raise OptionError(
            "epsilon is in units of a pixel's 0 to 255; below 1 no pixel would change. "
            f"Received: {epsilon}."
        )
    gradient = model if isinstance(model, LossGradient) else LossGradient(model)
    rng = np.random.default_rng(seed)
    changed = []
    size = max(1, min(BATCH_SIZE, BATCH_PIXELS // math.prod(images.shape[1:3])))
    for start in range(0, len(images), size):
        pixels = images[start : start + size].astype(np.float64)
        found = ATTACKS[name](gradient, pixels, labels[start : start + size], epsilon, rng)
        # Whole pixels, rounded towards the ball's centre at its border.
        whole = np.clip(np.rint(found), np.ceil(pixels - epsilon), np.floor(pixels + epsilon))
        changed.append(np.clip(whole, 0, 255).astype(np.uint8))
    return np.concatenate(changed)


def seconds_per_attacked_image(
    gradient: LossGradient, predict: Predict, images: Pixels, labels: Labels
) -> float:
    """Estimate the time that all attacks on one image take, and their predictions.

    Args:
        gradient: Of the model.
        predict: uint8 images (n, H, W, C) -> probabilities (n, classes).
        images: (n, H, W, C) uint8: a batch to time.
        labels: (n,) integers.
    """
    slope = seconds_per_image(lambda batch: gradient(batch, labels), images)
    each = seconds_per_image(predict, images)
    return len(EPSILONS) * ((1 + PGD_STEPS) * slope + len(ATTACKS) * each)


def adversarial_accuracy(
    model: Any,
    images: Pixels,
    labels: Labels,
    *,
    attacks: Sequence[str] = tuple(ATTACKS),
    epsilons: Sequence[float] = EPSILONS,
    seed: int = 0,
    gradient: LossGradient | None = None,
) -> dict[str, dict[float, float]]:
    """Attack a model with its own gradient and measure what is still classified right.

    PGD takes ten gradients an image and epsilon, each about three predictions' time.

    Args:
        model: An `Ensemble` or a functional Keras model, uint8 pixels -> probabilities.
        images: (n, H, W, C) uint8.
        labels: (n,) integers: the truth.
        attacks: Names in `ATTACKS`.
        epsilons: Largest changes of a pixel, each at least 1 of 255.
        seed: Of the random starts.
        gradient: Of the model, if it was made before.

    Returns:
        Attack -> epsilon -> accuracy, 0 to 1.

    Raises:
        OptionError: as `attack` does.
        DataError: if labels and predictions do not fit together.
    """
    predict = predict_function(model)
    check_labels(labels, predict_images(predict, images))
    gradient = LossGradient(model) if gradient is None else gradient
    found: dict[str, dict[float, float]] = {}
    for name in attacks:
        found[name] = {}
        for epsilon in epsilons:
            changed = attack(gradient, images, labels, name=name, epsilon=epsilon, seed=seed)
            predicted = predict_images(predict, changed).argmax(axis=1)
            found[name][float(epsilon)] = float((predicted == labels).mean())
    return found
