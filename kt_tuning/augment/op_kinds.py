"""The kinds of operations, which decide what can be fused.

A kind turns the random numbers of a batch, an amount and some parameters for each of n images, into
matrices or tables for all images at once. An operation without these is a PIL function of one
image. Parameters are uniform numbers in [0, 1).
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

# (image, amount, parameters) -> image; the image is grey or RGB.
PilFunction = Callable[[Image.Image, float, Floats], Image.Image]


class Frame(NamedTuple):
    """Width and height of an image in pixels, before and after an operation."""

    width: int
    height: int
    new_width: int
    new_height: int


@dataclasses.dataclass(frozen=True)
class Geometric:
    """Moves pixels; several are fused to one resampling. In PIL: `Image.transform`.

    Attributes:
        matrices: (amounts (n,), parameters (n, k), frame) -> (n, 3, 3), homogeneous, from output to
            input coordinates; the corner of the first pixel is (0, 0), its centre (0.5, 0.5).
        reframes: Whether it chooses the part of the image that the output shows.
        square: Whether it needs square images.
    """

    matrices: Callable[[Floats, Floats, Frame], Floats]
    reframes: bool = False
    square: bool = False


@dataclasses.dataclass(frozen=True)
class Linear:
    """Maps the channels of a pixel and the means of the image linearly; fused to one matrix.

    Attributes:
        matrices: (amounts (n,), parameters (n, k)) -> (n, 3, 7), to be multiplied with the column
            (red, green, blue, mean red, mean green, mean blue, 1).
        pil: The same by PIL, for one image.
    """

    matrices: Callable[[Floats, Floats], Floats]
    pil: PilFunction


@dataclasses.dataclass(frozen=True)
class Pointwise:
    """Replaces each value by that of a table; several are fused to one table.

    Attributes:
        tables: (amounts (n,), parameters (n, k)) -> uint8 (n, 256).
        pil: The same by PIL, for one image.
    """

    tables: Callable[[Floats, Floats], Pixels]
    pil: PilFunction


@dataclasses.dataclass(frozen=True)
class Filter:
    """A PIL function, such as one of neighbouring pixels or the histogram; it is not fused.

    Attributes:
        pil: The function.
    """

    pil: PilFunction


Form = Geometric | Linear | Pointwise | Filter
