"""Choosing the size and channels that all images of a folder are brought to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from numbers import Integral
from typing import NamedTuple

from kt_tuning.errors import OptionError
from kt_tuning.records import PixelFormat

_LARGEST = 224
_STEP = 32


class Look(NamedTuple):
    """What an image file says before it is decoded."""

    width: int
    height: int
    grey: bool


def check_size(image_size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """Return (height, width), or None to choose by the images.

    Raises:
        OptionError: if it is not one or two whole numbers above 0.
    """
    if image_size is None:
        return None
    sides = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
    whole = all(isinstance(side, Integral) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or min(sides) < 1:
        raise OptionError(
            "image_size should be one side of a square or (height, width), in whole pixels above "
            f"0. Received: {image_size!r}"
        )
    return int(sides[0]), int(sides[1])


def check_channels(channels: int | None) -> int | None:
    """Return the channels, or None to choose by the images.

    Raises:
        OptionError: unless they are 1, 3 or None.
    """
    if channels not in (None, 1, 3):
        raise OptionError(
            "channels should be 1 (grey), 3 (RGB) or None (grey if every image is). "
            f"Received: {channels!r}"
        )
    return channels


def choose_format(
    looks: Sequence[Look], size: tuple[int, int] | None, channels: int | None
) -> PixelFormat:
    """Fill in what was not asked for.

    Size: that of the images if all have the same and no side exceeds 224; else a square with the
    median of their shorter sides, rounded down to a multiple of 32, from 32 to 224. Channels: 1 if
    every image is grey, else 3.

    Args:
        looks: The readable images; only needed where `size` or `channels` is None.
        size: (height, width), or None to choose.
        channels: 1, 3, or None to choose.
    """
    if size is None:
        sizes = {(look.height, look.width) for look in looks}
        same = next(iter(sizes)) if len(sizes) == 1 else None
        size = same if same and max(same) <= _LARGEST else _median_square(looks)
    if channels is None:
        channels = 1 if looks and all(look.grey for look in looks) else 3
    return PixelFormat(*size, channels)


def size_origin(looks: Sequence[Look], size: tuple[int, int] | None) -> str:
    """Return in words where the size that `choose_format` returns comes from.

    Args:
        looks: As for `choose_format`.
        size: Likewise.
    """
    if size is not None:
        return "as asked for"
    if len({(look.height, look.width) for look in looks}) == 1 and max(looks[0][:2]) <= _LARGEST:
        return "the size of all files"
    shorter = statistics.median(min(look.width, look.height) for look in looks) if looks else _STEP
    return (
        f"as the median of the files' shorter sides is {shorter:g}, in steps of {_STEP} up to "
        f"{_LARGEST}"
    )


def _median_square(looks: Sequence[Look]) -> tuple[int, int]:
    shorter = statistics.median([min(look.width, look.height) for look in looks] or [_STEP])
    side = min(max(int(shorter) // _STEP * _STEP, _STEP), _LARGEST)
    return (side, side)
