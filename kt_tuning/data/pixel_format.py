"""Choice of the size and channels to which the images of a folder are converted."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from numbers import Integral
from typing import NamedTuple

from kt_tuning.core.errors import OptionError
from kt_tuning.core.records import PixelFormat

LARGEST_FOR_BACKBONE = 288
"""Pixels of the side of images that a pre-trained network sees, at most, by default."""
LARGEST = 224
"""Pixels of a side that is chosen by the images, at most: what ImageNet's networks expect."""
SIDES = (224, 192, 160, 128)
"""Largest sides to choose from. Below 128 pixels the default network is no cheaper: its stem
shrinks less."""
EPOCHS = 30
"""Epochs of a training that should fit into `SHARE` of the time limit. A search of few images has
more of them by default (`kt_tuning.search.budget.default_epochs`), but is told its epochs only
after the images have their size, and shortens trainings that would not end in time."""
FLOPS_PER_PIXEL = 20_000
"""Floating-point operations for each pixel of an image of 128 or more in one training step of the
default `ConvNet`: three times those of a prediction, where a multiply-add counts as two."""
FLOPS_PER_SECOND = 2e11
"""Of two recent processors while they train; a rough figure."""
SHARE = 0.25
"""Share of the time limit in which a network should be trained."""
MOST_PIXELS = 4096**2
"""Pixels of an image, at most."""
_STEP = 32


class Look(NamedTuple):
    """The header of an image file."""

    width: int
    height: int
    grey: bool


def check_size(image_size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """Return (height, width), or None to choose by the images.

    Raises:
        OptionError: if it is not one or two whole numbers above 0, or more than `MOST_PIXELS`.
    """
    if image_size is None:
        return None
    sides = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
    whole = all(isinstance(side, Integral) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or min(sides) < 1 or sides[0] * sides[1] > MOST_PIXELS:
        raise OptionError(
            "image_size should be one side of a square or (height, width), in whole pixels above "
            f"0, and at most {MOST_PIXELS:,} pixels in all. Received: {image_size!r}"
        )
    return int(sides[0]), int(sides[1])


def check_channels(channels: int | None) -> int | None:
    """Return the channels, or None to choose by the images.

    Raises:
        OptionError: unless they are 1, 3 or None.
    """
    whole = isinstance(channels, Integral) and not isinstance(channels, bool)
    if channels is not None and not (whole and channels in (1, 3)):
        raise OptionError(
            "channels should be 1 (grey), 3 (RGB) or None (grey if every image is). "
            f"Received: {channels!r}"
        )
    return None if channels is None else int(channels)


def largest_side(images: int, *, time_limit: float | None, backbone: bool) -> int:
    """Return the largest side in pixels at which networks can be trained within a time limit.

    The largest of `SIDES` at which one training of the default `ConvNet` for `EPOCHS` epochs on
    these many images takes `SHARE` of the time limit at most, at `FLOPS_PER_SECOND`; the smallest
    of them if there is none. A pre-trained network, `backbone`, resizes images itself, and sees
    most in large ones: then `LARGEST_FOR_BACKBONE`.
    """
    if backbone:
        return LARGEST_FOR_BACKBONE
    if time_limit is None:
        return LARGEST
    budget = SHARE * time_limit * FLOPS_PER_SECOND
    cost_per_pixel = images * EPOCHS * FLOPS_PER_PIXEL
    return next((side for side in SIDES if side**2 * cost_per_pixel <= budget), SIDES[-1])


def choose_format(
    looks: Sequence[Look],
    size: tuple[int, int] | None,
    channels: int | None,
    largest: int = LARGEST,
) -> tuple[PixelFormat, str]:
    """Choose the format of the images where it is not given, and say where the size comes from.

    Size: that of the images if all have the same and no side exceeds `largest`; else a square with
    the median of their shorter sides, rounded down to a multiple of 32, from 32 to `largest`.
    Channels: 1 if every image is grey, else 3. `looks` is only needed where either is None.
    """
    origin = "as asked for"
    if size is None:
        sizes = [(look.height, look.width) for look in looks]
        if len(set(sizes)) == 1 and max(sizes[0]) <= largest:
            size, origin = sizes[0], "the size of all files"
        else:
            median = statistics.median(list(map(min, sizes)) or [_STEP])
            side = min(max(int(median) // _STEP * _STEP, _STEP), largest)
            size = (side, side)
            limited = "" if largest >= LARGEST else ", which fits the time limit"
            origin = (
                f"as the median of the files' shorter sides is {median:g}, in steps of {_STEP} up "
                f"to {largest}{limited}"
            )
    if channels is None:
        channels = 1 if looks and all(look.grey for look in looks) else 3
    return PixelFormat(*size, channels), origin
