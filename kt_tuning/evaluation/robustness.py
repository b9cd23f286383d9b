"""Robustness: a metric on corrupted images and under attacks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.core.names import find_name
from kt_tuning.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from kt_tuning.evaluation.float_twin import as_keras, check_tensorflow, float_twin
from kt_tuning.evaluation.metrics import check_labels, find_metric
from kt_tuning.evaluation.predict import Predict, predict_function, predict_images

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
EPSILONS = (1.0, 2.0, 4.0, 8.0)
BATCH_SIZE = 128
"""Largest number of images in a batch."""
BATCH_PIXELS = 128 * 64 * 64
"""Largest number of pixels in a batch: activations of all layers are kept for a gradient."""
_SMALLEST_PROBABILITY = 1e-30


@dataclasses.dataclass(frozen=True)
class Robustness(Record):
    """A metric under corruptions and attacks.

    Attributes:
        metric: Name in `METRICS`.
        images: Number of images.
        clean: The metric on the images as they are.
        severities: Severities that were measured, 1 to 5.
        corrupted: Corruption -> the metric at each severity; empty if none was measured.
        adversarial: Attack -> largest change of a pixel, of 255 -> accuracy; empty if no attack
            was measured.
        available: Images of the split that `images` were chosen from; None in older records, and
            where nothing was chosen.
    """

    metric: str
    images: int
    clean: float
    severities: tuple[int, ...]
    corrupted: dict[str, tuple[float, ...]]
    adversarial: dict[str, dict[float, float]] = dataclasses.field(default_factory=dict)
    available: int | None = None

    @property
    def sample(self) -> str:
        """Such as "100 of 400 images", or "400 images" if they are all."""
        of = "" if self.available in (None, self.images) else f" of {self.available:,}"
        return f"{self.images:,}{of} images"

    def mean(self, name: str | None = None) -> float:
        """Return the mean over the severities of one corruption, or over everything measured.

        It is nan if no corruption was measured.
        """
        rows = self.corrupted.values() if name is None else [self.corrupted[name]]
        return float(np.mean(list(rows))) if rows else float("nan")

    def completed_by(self, other: Robustness | None) -> Robustness:
        """Return this, with corruptions or attacks that were only measured in another table.

        One of other images, or of another model, adds nothing.
        """
        if other is None or (self.metric, self.images, self.clean) != (
            other.metric,
            other.images,
            other.clean,
        ):
            return self
        table = self if self.corrupted else other
        return dataclasses.replace(table, adversarial={**other.adversarial, **self.adversarial})

    def __str__(self) -> str:
        width = max(len(name) for name in (*self.corrupted, *self.adversarial, "corruption"))
        header = "".join(f"{severity:>8}" for severity in self.severities)
        title = f"{self.metric} on {self.sample}: {self.clean:.4f} clean"
        lines = [title]
        if self.corrupted:
            lines = [
                f"{title}, {self.mean():.4f} corrupted on average",
                f"{'corruption':<{width}}{header}    mean",
            ]
        for name, values in self.corrupted.items():
            cells = "".join(f"{value:8.4f}" for value in values)
            lines.append(f"{name:<{width}}{cells}{self.mean(name):8.4f}")
        for name, row in self.adversarial.items():
            cells = ", ".join(f"{value:.4f} at {epsilon:g}/255" for epsilon, value in row.items())
            lines.append(f"{name:<{width}}  accuracy {cells}")
        return "\n".join(lines)


def robustness(
    predict: Predict,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    *,
    corruptions: Sequence[str] = tuple(CORRUPTIONS),
    severities: Sequence[int] = SEVERITIES,
    metric: str = "accuracy",
    seed: int = 0,
) -> Robustness:
    """Measure a model under natural corruptions.

    Each of the 15 corruptions at 5 severities is one more pass over the images.

    Args:
        predict: uint8 images (n, H, W, C) -> probabilities (n, classes).
        images: (n, H, W, C) uint8.
        labels: (n,) integers in 0..classes-1.
        corruptions: Names in `CORRUPTIONS`.
        severities: From 1 (mild) to 5.
        metric: Name in `METRICS`.
        seed: Seed of the corruptions.

    Returns:
        The table; `adversarial_accuracy` measures attacks, to be put beside it with
        `dataclasses.replace(table, adversarial=…)`.

    Raises:
        OptionError: on an unknown corruption, severity or metric, or none of them.
        DataError: if images, labels and predictions do not fit together.
    """
    measure = find_metric(metric).function
    if not corruptions or not severities:
        raise OptionError("Give at least one corruption and one severity. Received: none.")
    if len(images) != len(labels):
        raise DataError(
            f"Expected one label per image. Received: {len(images)} images, {len(labels)} labels."
        )
    clean = predict_images(predict, images)
    check_labels(labels, clean)
    corrupted = {
        name: tuple(
            measure(labels, predict_images(predict, corrupt(images, name, severity, seed=seed)))
            for severity in severities
        )
        for name in corruptions
    }
    return Robustness(metric, len(labels), measure(labels, clean), tuple(severities), corrupted)


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
                    "No gradient reaches the pixels: the model converts them to integers. An "
                    "attack needs a model that is differentiable with respect to its input."
                )
            return found

        self._gradient = gradient

    def __call__(self, pixels: Floats, labels: Labels) -> Floats:
        """Return the gradient (n, H, W, C) at pixels (n, H, W, C), 0 to 255."""
        return self._gradient(pixels.astype(np.float32), labels.astype(np.int64)).numpy()


class Attack(NamedTuple):
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
            f"epsilon should be at least 1, on the scale 0 to 255 of pixels. Received: {epsilon}."
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
