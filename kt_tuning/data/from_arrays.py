"""Conversion of arrays of images and labels to uint8 pixels and integer labels."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.names import composed
from kt_tuning.data.decode import bits_of, composite_on_white
from kt_tuning.data.label_encoding import encode_labels, is_missing, refuse_masked

_CHUNK = 1024
"""Images converted at a time, so that the floating-point copy of a large array stays small."""

_DARK = 64
"""Brightest value of a whole data set up to which another range than 0..255 is suspected."""

_ROUNDING = 0.5 / 255
"""Share of a range by which floats may lie outside, from rounding: half a grey level."""

_OVERSHOT = 1.1
"""Largest float taken for the range 0..1; resizing overshoots it, which is then an error."""

_BEYOND = 2
"""Floats above this are not an overshoot of the range 0..1."""


class Values(NamedTuple):
    """The type of images, and the smallest and largest of their values."""

    dtype: np.dtype[Any]
    smallest: float
    largest: float

    @classmethod
    def of(cls, x: Any, name: str) -> Values:
        """Return the type and the range of an array; `name` is its name in messages.

        Raises:
            DataError: if it does not hold images.
        """
        array = _as_images(x, name)
        return cls(array.dtype, float(array.min()), float(array.max()))

    @property
    def to_one(self) -> bool:
        """Whether the range is taken for 0..1."""
        return self.dtype.kind == "b" or (self.dtype.kind == "f" and self.largest <= _OVERSHOT)

    def __str__(self) -> str:
        return f"{self.dtype}, {self.smallest:g}..{self.largest:g}"


def join_arrays(
    x: Any,
    y: Any,
    pairs: dict[str, tuple[Any, Any] | None],
    *,
    class_names: Sequence[str] | None,
    value_range: tuple[float, float] | None,
    groups: Any,
) -> tuple[
    NDArray[np.uint8],
    NDArray[np.int64],
    tuple[str, ...],
    dict[str, NDArray[np.int64]],
    NDArray[np.int64] | None,
]:
    """Check and convert the arguments of `ImageData.from_arrays`; `pairs` are those of splits.

    Returns:
        Of all splits, one after the other: uint8 pixels (N, height, width, 1 or 3); labels (N,);
        class names by label; ascending places of the images by split, "train" always; and numbers
        (N,), equal for images of a group, or None if no groups were given.
    """
    given = {part: pair for part, pair in pairs.items() if pair is not None}
    for part, pair in given.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(f"{part} should be a pair (x, y). Received: {type(pair).__name__}")
    if value_range is None:
        pixel_range = find_range(x, *(pair[0] for pair in given.values()))
    else:
        pixel_range = check_range(value_range)
    pixels = [to_pixels(x, pixel_range)]
    values = Values.of(x, "x")
    for part, (more, _) in given.items():
        if value_range is None:
            check_same_range(values, Values.of(more, f"{part}[0]"), part)
        pixels.append(to_pixels(more, pixel_range, name=f"{part}[0]"))
        if pixels[-1].shape[1:] != pixels[0].shape[1:]:
            raise DataError(
                f"The {part} images should have the shape of the training images, "
                f"{pixels[0].shape[1:]}. Received: {pixels[-1].shape[1:]}"
            )
    labels, names = encode_labels([y, *(pair[1] for pair in given.values())], class_names)
    for name, images, numbers in zip(["x and y", *given], pixels, labels, strict=True):
        if len(images) != len(numbers):
            raise DataError(
                f"{name}: expected one label per image. Received: {len(images)} images, "
                f"{len(numbers)} labels"
            )
    ends = np.cumsum([len(part_labels) for part_labels in labels])
    places = np.split(np.arange(int(ends[-1])), ends[:-1])
    return (
        # A single uint8 array is not copied.
        pixels[0] if len(pixels) == 1 else np.concatenate(pixels),
        np.concatenate(labels),
        names,
        dict(zip(["train", *given], places, strict=True)),
        _group_numbers(groups, len(labels[0]), int(ends[-1])),
    )


def to_pixels(x: Any, pixel_range: tuple[float, float], *, name: str = "x") -> NDArray[np.uint8]:
    """Convert an array of images to uint8 pixels.

    Args:
        x: (N, height, width) or (N, height, width, channels) with 1, 3 or 4 channels; bool,
            integers or floats. 4 channels are RGBA and are laid over white.
        pixel_range: The values of black and white.
        name: Name of the array in messages.

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
        scaled = np.empty(array.shape, np.uint8)
        for start in range(0, len(array), _CHUNK):
            part = array[start : start + _CHUNK].astype(np.float64)
            part = np.clip((part - low) * (255 / (high - low)), 0, 255)
            scaled[start : start + _CHUNK] = np.rint(part)
        array = scaled
    return composite_on_white(array) if array.shape[-1] == 4 else array


def find_range(x: Any, *others: Any) -> tuple[float, float]:
    """Guess the values of black and white.

    Bools, and floats of about 1 at most, are 0..1. uint16 above 255 is 0 to what 10, 12, 14 or 16
    bits hold, which is logged. All else is 0..255, with a warning if that would make every image
    almost black.

    Args:
        x: The images that the guess is made of.
        *others: Images of the same kind: the largest value of uint16 is looked for in all.

    Raises:
        DataError: if `x` does not hold images.
    """
    values = Values.of(x, "x")
    largest = values.largest
    if values.to_one:
        return (0.0, 1.0)
    if values.dtype == np.uint16:
        level = int(max([largest, *(np.max(other) for other in others if np.size(other))]))
        if (bits := bits_of(level)) > 8:
            white = 2**bits - 1
            logging.getLogger("kt_tuning").warning(
                "The 16-bit pixels of x hold %d bits: 0 to %d become 0 to 255.", bits, white
            )
            return (0.0, float(white))
    if 0 < largest <= _DARK and values.smallest >= 0:  # values below 0 are refused later
        logging.getLogger("kt_tuning").warning(
            "The brightest pixel of x is %g of 255. If %g is white, %s.",
            largest,
            largest,
            _range_advice(0, largest, "x"),
        )
    return (0.0, 255.0)


def check_same_range(train: Values, other: Values, part: str) -> None:
    """Check that the range guessed for the training images serves the images of another split.

    Raises:
        DataError: if one of them has the range 0..1 and the other does not, or one has floats and
            the other integers.
    """
    brighter = train.to_one and other.smallest >= 0 and _BEYOND < other.largest < math.inf
    darker = other.to_one and other.largest > 0 and not train.to_one
    floats = [values.dtype.kind == "f" for values in (train, other)]
    if not (brighter or darker or floats[0] != floats[1]):
        return
    remedy = "Convert one of them"
    if brighter:
        remedy = f"Divide the {part} images by {2 ** bits_of(math.ceil(other.largest)) - 1}"
    elif darker:
        remedy = f"Multiply the {part} images by {2 ** bits_of(math.ceil(train.largest)) - 1}"
        remedy += f" and convert them to {train.dtype}" if floats == [False, True] else ""
    raise DataError(
        f"The {part} images should have the type and the range of the training images ({train}). "
        f"Received: {other}. {remedy}, or pass value_range=(black, white) if both have the same "
        "range."
    )


def check_range(value_range: tuple[float, float]) -> tuple[float, float]:
    """Check the values of black and white.

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
    refuse_masked(x, name)
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
    if -1.1 <= smallest < -0.5 and largest <= _OVERSHOT:
        return f"If -1 is black and 1 is white, {_range_advice(-1, 1, name)}."
    levels = high == 255 and largest == int(largest)
    if smallest >= 0 and (levels or (high == 1 and largest > _BEYOND)):
        white = 2 ** bits_of(math.ceil(largest)) - 1
        return f"If {white} is white, {_range_advice(0, white, name)}."
    return (
        f"Clip them, np.clip({name}, {low:g}, {high:g}), or use the images as they were before "
        f"they were standardised. Where {smallest:g} is black and {largest:g} is white, "
        f"{_range_advice(smallest, largest, name)}."
    )


def _range_advice(black: float, white: float, name: str) -> str:
    """Say how to declare the values of black and white, which only Python calls can take."""
    shifted = name if black == 0 else f"({name} {'-' if black > 0 else '+'} {abs(black):g})"
    return (
        f"pass value_range=({black:g}, {white:g}) in Python; in an .npz file, save "
        f"{shifted} * (255 / {white - black:g}) instead of {name}"
    )


def _group_numbers(groups: Any, train: int, total: int) -> NDArray[np.int64] | None:
    """Number the groups of the `train` images of x; the images after them have no group.

    Nor have those of which it is None or NaN.
    """
    if groups is None:
        return None
    array = np.asarray(groups)
    if array.shape != (train,) or array.dtype.kind not in "biufUSO":
        raise DataError(
            f"groups should hold one number or string per image of x, ({train},). "
            f"Received: {array.dtype} {array.shape}"
        )
    alone = np.array([is_missing(group) for group in array.tolist()], bool)
    if array.dtype.kind in "OU":
        array = np.array([composed(str(group)) for group in array.tolist()])
    numbers = np.unique(array, return_inverse=True)[1]
    numbers[alone] = np.flatnonzero(alone) + train
    return np.concatenate([numbers, np.arange(train, total) + train])
