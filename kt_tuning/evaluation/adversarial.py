"""Adversarial attacks: images changed by a few levels so that a model misclassifies them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.evaluation.float_twin import as_keras, check_tensorflow, float_twin
from kt_tuning.evaluation.metrics import check_labels
from kt_tuning.evaluation.predict import predict_function, predict_images

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

EPSILONS = (1.0, 2.0, 4.0, 8.0)
BATCH_SIZE = 128
"""Largest number of images in a batch."""
BATCH_PIXELS = 128 * 64 * 64
"""Largest number of pixels in a batch: activations of all layers are kept for a gradient."""
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


@dataclasses.dataclass(frozen=True)
class Attack:
    """One row of `ATTACKS`: steps along the sign of the gradient, kept within epsilon.

    Attributes:
        steps: Number of steps.
        length: Length of a step, as a share of epsilon.
        random_start: Whether it starts at a random point within epsilon, instead of the image.
    """

    steps: int
    length: float
    random_start: bool


ATTACKS: dict[str, Attack] = {
    "fgsm": Attack(1, 1.0, random_start=False),
    "pgd": Attack(10, 0.25, random_start=True),
}
"""FGSM of Goodfellow et al. (2015), section 4; PGD of Madry et al. (2018), section 2.1, whose steps
together are 2.5 epsilon long, so that any point within epsilon can be reached."""


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
        seed: Seed of the random start.

    Raises:
        OptionError: on an unknown attack, an epsilon below 1, or a model that `LossGradient`
            refuses.
    """
    row = ATTACKS[find_name(name, ATTACKS, "attack")]
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
        found = pixels
        if row.random_start:
            found = pixels + rng.uniform(-epsilon, epsilon, pixels.shape)
        for _ in range(row.steps):
            found = np.clip(found, 0.0, 255.0)
            slope = gradient(found, labels[start : start + size])
            found = found + row.length * epsilon * np.sign(slope)
            found = np.clip(found, pixels - epsilon, pixels + epsilon)
        # Whole pixels, rounded towards the original pixel at the limit.
        whole = np.clip(np.rint(found), np.ceil(pixels - epsilon), np.floor(pixels + epsilon))
        changed.append(np.clip(whole, 0, 255).astype(np.uint8))
    return np.concatenate(changed)


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
    """Attack a model with its own gradient and measure its accuracy.

    PGD takes ten gradients an image and epsilon, each about three predictions' time.

    Args:
        model: An `Ensemble` or a functional Keras model, uint8 pixels -> probabilities.
        images: (n, H, W, C) uint8.
        labels: (n,) integers: the truth.
        attacks: Names in `ATTACKS`.
        epsilons: Largest changes of a pixel, each at least 1 of 255.
        seed: Seed of the random starts.
        gradient: The model's gradient, if it was made before.

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
