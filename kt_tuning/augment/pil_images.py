"""Between arrays (height, width, channels) and PIL's images."""

from __future__ import annotations

import numpy as np
from PIL import Image

from kt_tuning.augment.op_kinds import Floats, PilFunction, Pixels


def to_pil(pixels: Pixels) -> Image.Image:
    """A grey, RGB or RGBA image of 1, 3 or 4 channels."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def to_array(image: Image.Image) -> Pixels:
    """The pixels, read-only."""
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def mean_colour(image: Image.Image) -> Image.Image:
    """One pixel, rounded. By PIL in two steps, as one is slow and its own sums are too coarse."""
    return image.resize((1, 1), Image.Resampling.BOX, reducing_gap=16.0)


def on_colours(
    function: PilFunction, image: Image.Image, amount: float, places: Floats
) -> Image.Image:
    """Apply `function` and leave the opacity as it is."""
    if image.mode != "RGBA":
        return function(image, amount, places)
    changed = function(image.convert("RGB"), amount, places).copy()
    changed.putalpha(image.getchannel("A"))
    return changed
