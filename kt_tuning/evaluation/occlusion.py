"""What a model needs to see: covering an image piece by piece."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.evaluation.predict import Predict, predict_images


def occlusion_map(
    predict: Predict,
    image: NDArray[np.uint8],
    label: int | None = None,
    *,
    patch: int | None = None,
    stride: int | None = None,
) -> NDArray[np.floating[Any]]:
    """Return by how much the probability of a class falls when a place is covered.

    A square of the image's mean colour is moved over it; each place gets the mean fall over all
    squares that covered it.

    Source: Zeiler and Fergus (2014), "Visualizing and understanding convolutional networks",
    section 4.2.

    Args:
        predict: uint8 images (n, H, W, C) -> probabilities (n, classes); any model's.
        image: (H, W, C) uint8.
        label: The class that is asked about; the predicted one if None.
        patch: Side of the square, in pixels; a quarter of the shorter side if None.
        stride: Step of the square, in pixels; half of `patch` if None.

    Returns:
        (H, W): -1 to 1, above 0 where the place speaks for the class.

    Raises:
        OptionError: if the square does not fit into the image, or the step is below 1 or larger
            than the square, which would leave places out.
        DataError: if what comes back is not one distribution an image.
    """
    height, width = image.shape[:2]
    side = max(1, min(height, width) // 4) if patch is None else patch
    step = max(1, side // 2) if stride is None else stride
    if not 1 <= step <= side <= min(height, width):
        raise OptionError(
            "Expected 1 <= stride <= patch <= the image's shorter side. "
            f"Received: stride={step}, patch={side}, image {height} x {width}."
        )
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
    starts = list(range(0, length - side, step))
    return [*starts, length - side]
