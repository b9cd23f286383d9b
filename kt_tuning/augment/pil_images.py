"""Conversion between arrays (height, width, channels) and PIL images."""

from __future__ import annotations

import numpy as np
from PIL import Image

from kt_tuning.augment.op_kinds import Floats, PilFunction, Pixels


def to_pil(pixels: Pixels) -> Image.Image:
    """Convert 1, 3 or 4 channels to a grey, RGB or RGBA image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def to_array(image: Image.Image) -> Pixels:
    """Return the pixels (height, width, channels), read-only."""
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def mean_colour(image: Image.Image) -> Image.Image:
    """Return one pixel of the mean colour, rounded.

    PIL reduces in two steps: in one it is slow, and its own sums are too coarse.
    """
    return image.resize((1, 1), Image.Resampling.BOX, reducing_gap=16.0)


def on_colours(
    function: PilFunction, image: Image.Image, amount: float, parameters: Floats
) -> Image.Image:
    """Apply `function` to the colours and keep the opacity."""
    if image.mode != "RGBA":
        return function(image, amount, parameters)
    changed = function(image.convert("RGB"), amount, parameters).copy()
    changed.putalpha(image.getchannel("A"))
    return changed
