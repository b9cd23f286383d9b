"""Pixels as whole numbers of 64 bits: four channels side by side, 16 bits each.

They are looked up, weighted and added up for all channels at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.augment.op_kinds import Pixels

Lanes = NDArray[np.uint64]


def channels_of(lanes: Lanes) -> NDArray[np.uint16]:
    """The same memory with an axis of 4 channels more."""
    return lanes.view(np.uint16).reshape(*lanes.shape, 4)


def fill(channels: NDArray[Any], pixels: Pixels) -> None:
    """Copy the levels of (n, height, width, channels) to as many of 4 channels."""
    # One by one, as NumPy is slow at rows of three.
    for channel in range(pixels.shape[3]):
        channels[..., channel] = pixels[..., channel]


def to_pixels(lanes: Lanes, channels: int) -> Pixels:
    """(n, height, width, channels), as many channels as there are."""
    pixels = np.empty((*lanes.shape, channels), np.uint8)
    levels = channels_of(lanes)
    for channel in range(channels):
        pixels[..., channel] = levels[..., channel]
    return pixels
