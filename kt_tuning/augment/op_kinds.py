"""What an operation is made of, which decides what it can be fused with.

A form turns the numbers drawn for a batch, an amount and some places for each of n images, into
what carries it out: matrices or tables for all of them at once. Whatever has neither is a PIL
function of one image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# (image, amount, places) -> image; the image is grey or RGB.
PilFunction = Callable[[Image.Image, float, Floats], Image.Image]


class Frame(NamedTuple):
    """Width and height, in pixels, before and after an operation."""

    width: int
    height: int
    new_width: int
    new_height: int


@dataclasses.dataclass(frozen=True)
class Geometric:
    """Moves pixels; several are one resampling. In PIL: `Image.transform`.

    Attributes:
        matrices: (amounts (n,), places (n, k), frame) -> (n, 3, 3), homogeneous, from output to
            input coordinates; the corner of the first pixel is (0, 0), its centre (0.5, 0.5).
        reframes: Whether it decides which part of the image the output shows.
        square: Whether it needs images that are as wide as high.
    """

    matrices: Callable[[Floats, Floats, Frame], Floats]
    reframes: bool = False
    square: bool = False


@dataclasses.dataclass(frozen=True)
class Linear:
    """Mixes the channels of each pixel, and the image's mean; several are one matrix.

    Attributes:
        matrices: (amounts (n,), places (n, k)) -> (n, 3, 7), to be multiplied with the column
            (red, green, blue, mean red, mean green, mean blue, 1).
        pil: The same by PIL.
    """

    matrices: Callable[[Floats, Floats], Floats]
    pil: PilFunction


@dataclasses.dataclass(frozen=True)
class Pointwise:
    """Replaces each value by another one; several are one table.

    Attributes:
        tables: (amounts (n,), places (n, k)) -> uint8 (n, 256).
        pil: The same by PIL.
    """

    tables: Callable[[Floats, Floats], Pixels]
    pil: PilFunction


@dataclasses.dataclass(frozen=True)
class Filter:
    """Looks at neighbours, at the histogram or at nothing: done by PIL, in its place in the order.

    Attributes:
        pil: What does it.
    """

    pil: PilFunction


Form = Geometric | Linear | Pointwise | Filter
