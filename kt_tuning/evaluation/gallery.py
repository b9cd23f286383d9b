"""Pictures of a model's worst mistakes and some other images, each with an explanation."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.evaluation.diagnostics import Mistake
from kt_tuning.evaluation.explanations import grad_cam, occlusion_map
from kt_tuning.evaluation.predict import Split, predict_function, predict_images

MISTAKES, EXAMPLES = 12, 12
"""Pictures, at most."""

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

_LARGEST, _SMALLEST = 192, 64
"""Side of a picture in pixels: smaller images are enlarged by a whole factor."""
_HEAT = np.array([235.0, 100.0, 20.0])
"""An orange that stands out of grey; it is told apart with every kind of colour blindness."""
_OPACITY = 0.8


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

    way_on: ClassVar[str] = "`kt-tuning evaluate`, or in Python `tuner.evaluate()`, writes it anew."

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
        DataError: if what the model returns is not one distribution an image.
    """
    worst = [mistake.index for mistake in mistakes[:MISTAKES]]
    examples = _one_of_each(np.asarray(split.labels))
    places = np.array([*worst, *examples], dtype=np.int64)
    images = split.take(places)
    labels = np.asarray(split.labels)[places]
    probabilities = predict_images(predict_function(model), images)
    predicted = probabilities.argmax(axis=1)
    method, heat = _explain(model, images, predicted)
    pictures = [
        Picture(
            index=int(places[row]),
            label=int(labels[row]),
            predicted=int(predicted[row]),
            confidence=float(probabilities[row, predicted[row]]),
            image=_data_uri(images[row]),
            heat=_data_uri(_overlay(images[row], heat[row])),
        )
        for row in range(len(places))
    ]
    return Gallery(method, tuple(pictures[: len(worst)]), tuple(pictures[len(worst) :]))


def _one_of_each(labels: NDArray[np.integer[Any]]) -> list[int]:
    """Return the place of the first image of each of the first classes."""
    _, first = np.unique(labels, return_index=True)
    return [int(place) for place in first[:EXAMPLES]]


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


def _overlay(image: Pixels, heat: Floats) -> Pixels:
    """Return an image (H, W, 3) in grey, with heat (H, W) in 0..1 over it."""
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    opacity = _OPACITY * heat[..., None]
    return np.rint(grey * (1 - opacity) + _HEAT * opacity).astype(np.uint8)


def _data_uri(pixels: Pixels) -> str:
    """Return an image as small as it can be without looking worse."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
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
