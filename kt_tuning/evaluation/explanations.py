"""Explanations: Grad-CAM for convolutional networks, occlusion maps for any model."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.core.pictures import to_pil
from kt_tuning.evaluation.diagnostics import Mistake
from kt_tuning.evaluation.float_twin import (
    as_keras,
    check_tensorflow,
    float_twin,
    functional_view,
    is_functional,
)
from kt_tuning.evaluation.predict import Predict, Split, predict_function, predict_images

Floats = NDArray[np.floating[Any]]

BATCH_SIZE = 32
_SMALLEST_PROBABILITY = 1e-30
MISTAKES, EXAMPLES = 12, 12
"""Pictures, at most."""
Pixels = NDArray[np.uint8]
_LARGEST, _SMALLEST = 192, 64
"""Side of a picture in pixels: smaller images are enlarged by a whole factor."""
_HEAT = np.array([235.0, 100.0, 20.0])
"""An orange that stands out of grey; it is told apart with every kind of colour blindness."""
_OPACITY = 0.8


def grad_cam(model: Any, images: NDArray[np.uint8], labels: ArrayLike | None = None) -> Floats:
    """Return how much each pixel supports a class, by Grad-CAM.

    The feature maps A_k of the last convolutional stage (before pooling, also in nested models) are
    weighted by the mean gradient α_k of the score of the class and summed, and negative values are
    set to 0: L = ReLU(Σ_k α_k A_k). The score is the logit of the class minus the mean of all
    logits, log p_c - mean_j log p_j: unlike the probability it does not saturate. For an ensemble
    the maps of the members are added with their weights.

    Source: Selvaraju et al. (2017), "Grad-CAM: visual explanations from deep networks via
    gradient-based localization", equations 1 and 2.

    Args:
        model: An `Ensemble` or a functional Keras model, uint8 pixels -> probabilities, with
            convolutions.
        images: (n, H, W, C) uint8.
        labels: (n,) the class of each image to explain; the predicted one if None.

    Returns:
        (n, H, W) in 0..1; the maximum of each map is 1, or 0 if no pixel supports the class.

    Raises:
        OptionError: if the model has no convolutions, the backend is not TensorFlow, or images are
            channels first.
    """
    check_tensorflow("Grad-CAM")
    import keras
    import tensorflow as tf

    if keras.config.image_data_format() != "channels_last":
        raise OptionError("Grad-CAM needs maps (n, h, w, channels). Received: channels_first.")
    network = as_keras(model)
    twin = float_twin(network, _last_feature_map)
    if len(twin.outputs) < 2:
        raise OptionError(
            f"{network.name!r} has no convolutional feature map. `occlusion_map` explains any "
            "model."
        )

    @tf.function(reduce_retracing=True, autograph=False)
    def weighted(pixels: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            probabilities, *maps = twin(pixels, training=False)
            logs = tf.math.log(
                tf.maximum(tf.cast(probabilities, tf.float32), _SMALLEST_PROBABILITY)
            )
            of_class = tf.gather(logs, classes, batch_dims=1)
            score = tf.reduce_sum(of_class - tf.reduce_mean(logs, axis=1))
        size, shown = tf.shape(pixels)[1:3], []
        for slope, one in zip(tape.gradient(score, maps), maps, strict=True):
            weights = tf.reduce_mean(slope, (1, 2), keepdims=True)
            summed = tf.nn.relu(tf.reduce_sum(weights * one, axis=3, keepdims=True))
            shown.append(tf.image.resize(tf.cast(summed, tf.float32), size)[..., 0])
        return tf.add_n(shown)

    asked = None if labels is None else np.asarray(labels, np.int64)
    found = []
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        if asked is None:
            classes = np.asarray(network.predict_on_batch(batch)).argmax(axis=1)
        else:
            classes = asked[start : start + BATCH_SIZE]
        found.append(weighted(batch.astype(np.float32), classes).numpy())
    summed = np.concatenate(found)
    highest = summed.max(axis=(1, 2), keepdims=True)
    return np.divide(summed, highest, out=np.zeros_like(summed), where=highest > 0)


def _last_feature_map(model: Any) -> Any:
    """Return the last operation that yields feature maps of a convolution, before any pooling."""
    import keras

    convolutions = (
        keras.layers.Conv2D,
        keras.layers.SeparableConv2D,
        keras.layers.DepthwiseConv2D,
        keras.layers.Conv2DTranspose,
    )
    last, convolved = None, False
    for operation in model.operations:
        nested = is_functional(operation)
        # A backbone without its head is a convolution as a whole.
        convolved |= isinstance(operation, convolutions) or (
            nested and _last_feature_map(functional_view(operation)) is not None
        )
        if convolved and _is_map(operation) and "Pool" not in type(operation).__name__:
            last = operation
    return last


def _is_map(operation: Any) -> bool:
    """Whether it yields one tensor (n, h, w, k) of more than one place."""
    shape = getattr(operation.output, "shape", ())
    return len(shape) == 4 and shape[1:3] != (1, 1)


def occlusion_map(
    predict: Predict,
    image: NDArray[np.uint8],
    label: int | None = None,
    *,
    patch: int | None = None,
) -> NDArray[np.floating[Any]]:
    """Return by how much the probability of a class decreases when a pixel is covered.

    A square with the mean colour of the image is moved over it in steps of half of its side; each
    pixel gets the mean decrease over all squares that covered it.

    Source: Zeiler and Fergus (2014), "Visualizing and understanding convolutional networks",
    section 4.2.

    Args:
        predict: Function of any model: uint8 images (n, H, W, C) -> probabilities (n, classes).
        image: (H, W, C) uint8.
        label: The class to explain; the predicted one if None.
        patch: Side of the square, in pixels; a quarter of the shorter side if None.

    Returns:
        (H, W) in -1..1, positive where a pixel supports the class.

    Raises:
        OptionError: if the square does not fit into the image.
        DataError: if `predict` does not return one distribution per image.
    """
    height, width = image.shape[:2]
    side = max(1, min(height, width) // 4) if patch is None else patch
    if not 1 <= side <= min(height, width):
        raise OptionError(
            "Expected 1 <= patch <= the image's shorter side. "
            f"Received: patch={side}, image {height} x {width}."
        )
    step = max(1, side // 2)
    corners = [
        (top, left) for top in _starts(height, side, step) for left in _starts(width, side, step)
    ]
    covered = np.repeat(image[None], len(corners) + 1, axis=0)
    colour = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    for one, (top, left) in zip(covered, corners, strict=False):
        one[top : top + side, left : left + side] = colour
    # The last one is the image as it is.
    probabilities = predict_images(predict, covered)
    asked = int(probabilities[-1].argmax()) if label is None else label
    falls, times = np.zeros((height, width)), np.zeros((height, width))
    for fall, (top, left) in zip(
        probabilities[-1, asked] - probabilities[:, asked], corners, strict=False
    ):
        falls[top : top + side, left : left + side] += fall
        times[top : top + side, left : left + side] += 1
    return falls / times


def _starts(length: int, side: int, step: int) -> list[int]:
    """Return where squares begin; the last one ends at the border."""
    return [*range(0, length - side, step), length - side]


@dataclasses.dataclass(frozen=True)
class Picture(Record):
    """An image, and the places that speak for the predicted class.

    Attributes:
        index: Its place in the split.
        label: The true class.
        predicted: The predicted class.
        confidence: Probability of the predicted class, 0 to 1.
        image: The image, as a `data:` URI.
        heat: The image in grey with the places that speak for `predicted` in orange, likewise.
    """

    index: int
    label: int
    predicted: int
    confidence: float
    image: str
    heat: str


@dataclasses.dataclass(frozen=True)
class Gallery(Record):
    """The content of `gallery.json`.

    Attributes:
        method: "grad_cam"; or "occlusion", for a model without convolutions.
        mistakes: The worst mistakes, the worst first.
        examples: One image of each of the first classes, right or wrong.
    """

    way_on: ClassVar[str] = "`kt-tuning evaluate`, or in Python `tuner.evaluate()`, writes it."

    method: str
    mistakes: tuple[Picture, ...]
    examples: tuple[Picture, ...]


def make_gallery(model: Any, split: Split, mistakes: Sequence[Mistake]) -> Gallery:
    """Explain a model's predictions of its worst mistakes and of one image of each class.

    Args:
        model: See `evaluate`.
        split: The evaluated images.
        mistakes: Those of the scores, the worst first.

    Raises:
        DataError: if what the model returns is not one distribution per image.
    """
    worst = [mistake.index for mistake in mistakes[:MISTAKES]]
    every = np.asarray(split.labels)
    _, first_of_each = np.unique(every, return_index=True)
    places = np.array([*worst, *first_of_each[:EXAMPLES]], dtype=np.int64)
    images, labels = split.take(places), every[places]
    probabilities = predict_images(predict_function(model), images)
    predicted = probabilities.argmax(axis=1)
    method, heat = _explain(model, images, predicted)
    # The images in grey with the heat over them.
    opacity = _OPACITY * heat[..., None]
    grey = images.mean(axis=3, keepdims=True)
    overlaid = np.rint(grey * (1 - opacity) + _HEAT * opacity).astype(np.uint8)
    pictures = [
        Picture(
            index=int(places[row]),
            label=int(labels[row]),
            predicted=int(predicted[row]),
            confidence=float(probabilities[row, predicted[row]]),
            image=_data_uri(images[row]),
            heat=_data_uri(pixels),
        )
        for row, pixels in enumerate(overlaid)
    ]
    return Gallery(method, tuple(pictures[: len(worst)]), tuple(pictures[len(worst) :]))


def _explain(model: Any, images: Pixels, predicted: NDArray[np.integer[Any]]) -> tuple[str, Floats]:
    """Return the method, and for each image what speaks for the class: (n, H, W) in 0..1."""
    try:
        return "grad_cam", grad_cam(model, images, predicted)
    except OptionError:
        predict = predict_function(model)
        falls = [
            np.maximum(occlusion_map(predict, image, int(label)), 0.0)
            for image, label in zip(images, predicted, strict=True)
        ]
        return "occlusion", np.stack([fall / max(fall.max(), 1e-12) for fall in falls])


def _data_uri(pixels: Pixels) -> str:
    """Return an image as small as it can be without looking worse."""
    image = to_pil(pixels)
    file = io.BytesIO()
    if max(image.size) < _SMALLEST:
        factor = -(-_SMALLEST // max(image.size))
        size = (factor * image.width, factor * image.height)
        image.resize(size, Image.Resampling.NEAREST).save(file, "PNG")
        kind = "png"
    else:
        image.thumbnail((_LARGEST, _LARGEST))
        image.save(file, "JPEG", quality=85)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
