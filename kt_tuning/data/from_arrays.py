"""Pixels in any usual array form become uint8, (N, height, width, 1 or 3)."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.data.colour import bits_of, composite_on_white

#: Images converted at a time, so that the floating-point copy of a large array stays small.
_CHUNK = 1024

#: Brightest value of a whole data set below which another range than 0..255 is suspected.
_DARK = 64

#: Share of a range by which floats may lie outside, as rounding leaves them: half a grey level.
_ROUNDING = 0.5 / 255

#: Largest float that still speaks for 0..1: resizing may overshoot, which is then an error.
_OVERSHOT = 1.1


def to_pixels(x: Any, pixel_range: tuple[float, float], *, name: str = "x") -> NDArray[np.uint8]:
    """Turn an array of images into uint8 pixels.

    Args:
        x: (N, height, width) or (N, height, width, channels) with 1, 3 or 4 channels; bool,
            integers or floats. 4 channels are RGBA and are laid over white.
        pixel_range: The values that stand for black and white.
        name: What to call the array in messages.

    Returns:
        (N, height, width, 1 or 3); `x` itself if it has that form already.

    Raises:
        DataError: if the shape or type is another, a pixel is NaN, or one is outside the range; by
            less than half a grey level, floats are clipped instead.
    """
    array = _as_images(x, name)
    low, high = pixel_range
    smallest, largest = float(array.min()), float(array.max())
    if not (math.isfinite(smallest) and math.isfinite(largest)):
        raise DataError(
            f"{name} has pixels that are NaN or infinite. Replace or drop those images."
        )
    margin = _ROUNDING * (high - low) if array.dtype.kind == "f" else 0
    if smallest < low - margin or largest > high + margin:
        raise DataError(
            f"The pixels of {name} should lie in {low:g}..{high:g}. Received: {smallest:g}.."
            f"{largest:g}. {_remedy(smallest, largest, low, high, name)}"
        )
    if not (array.dtype == np.uint8 and pixel_range == (0, 255)):
        array = _scaled(array, low, high)
    return composite_on_white(array) if array.shape[-1] == 4 else array


def find_range(x: Any, *others: Any) -> tuple[float, float]:
    """Guess the values that stand for black and white.

    Bools, and floats of about 1 at most, are 0..1. uint16 above 255 is 0 to what 10, 12, 14 or 16
    bits hold, which is logged. All else is 0..255, with a warning if that would make every image
    almost black.

    Args:
        x: The images that the guess is made of.
        *others: Images of the same kind: the largest value of uint16 is looked for in all.

    Raises:
        DataError: if `x` does not hold images.
    """
    array = _as_images(x, "x")
    largest = float(array.max())
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and largest <= _OVERSHOT):
        return (0.0, 1.0)
    if array.dtype == np.uint16:
        level = int(max([largest, *(np.max(other) for other in others if np.size(other))]))
        if (bits := bits_of(level)) > 8:
            white = 2**bits - 1
            logging.getLogger("kt_tuning").warning(
                "The 16-bit pixels of x hold %d bits: 0 to %d become 0 to 255.", bits, white
            )
            return (0.0, float(white))
    if 0 < largest <= _DARK:
        logging.getLogger("kt_tuning").warning(
            "The brightest pixel of x is %g of 255. If that is white, give value_range=(0, %g).",
            largest,
            largest,
        )
    return (0.0, 255.0)


def check_range(value_range: tuple[float, float]) -> tuple[float, float]:
    """Check the values that stand for black and white.

    Raises:
        OptionError: unless they are two ascending numbers.
    """
    try:
        low, high = (float(value) for value in value_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise OptionError(
            "value_range should be two ascending numbers, black and white, e.g. (0, 255). "
            f"Received: {value_range!r}"
        )
    return low, high


def _as_images(x: Any, name: str) -> NDArray[Any]:
    """Return `x` as (N, height, width, channels) of its own type."""
    try:
        array = np.asarray(x)
    except ValueError as error:  # NumPy's "inhomogeneous shape"
        raise DataError(f"The images in {name} should all have the same shape: {error}") from error
    if array.ndim == 3:
        array = array[..., np.newaxis]
    usable = array.ndim == 4 and array.size > 0 and array.shape[-1] in (1, 3, 4)
    if not usable or array.dtype.kind not in "biuf":
        hint = ""
        if array.ndim == 4 and array.shape[1] in (1, 3, 4):
            hint = f". Channels come last: np.moveaxis({name}, 1, -1)"
        raise DataError(
            f"{name} should hold at least one image as numbers, (N, height, width) or "
            "(N, height, width, channels) with 1 (grey), 3 (RGB) or 4 (RGBA) channels. "
            f"Received: {array.dtype} {np.shape(x)}{hint}"
        )
    return array


def _remedy(smallest: float, largest: float, low: float, high: float, name: str) -> str:
    """Say what to do about pixels outside their range."""
    width = high - low
    if smallest >= low - 0.1 * width and largest <= high + 0.1 * width and smallest > -0.5:
        return f"Clip them, np.clip({name}, {low:g}, {high:g}), or give their value_range."
    if -1.1 <= smallest < 0 and largest <= _OVERSHOT:
        return "If -1 is black and 1 is white, pass value_range=(-1, 1)."
    if smallest >= 0 and largest == int(largest) and high == 255:
        white = 2 ** bits_of(int(largest)) - 1
        return f"If {white} is white, pass value_range=(0, {white})."
    return (
        "Give the images as they were before they were standardised, or say which values are "
        "black and white: value_range=(…, …)."
    )


def _scaled(array: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    result = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), _CHUNK):
        part = array[start : start + _CHUNK].astype(np.float64)
        part = np.clip((part - low) * (255 / (high - low)), 0, 255)
        result[start : start + _CHUNK] = np.rint(part)
    return result
