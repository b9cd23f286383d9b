"""Reduction of colour files with 16 bits a channel, of which Pillow keeps only the high bytes."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.data.formats import formats

_MODES = ("RGB", "RGBA")

#: From this high byte on, levels need 15 or 16 bits, whatever the low bytes are.
_BRIGHT = 64


def is_deep(image: Image.Image) -> bool:
    """Return whether an image that is not loaded yet has 16 bits a colour channel."""
    modes = [_raw_mode(tile) for tile in getattr(image, "tile", [])]
    return bool(modes) and all(mode.split(";")[0] in _MODES and ";16" in mode for mode in modes)


def reduce_levels(image: Image.Image, content: bytes, bits: int) -> int:
    """Load an image and reduce it to 8 bits a channel, in place; return its largest level.

    Levels keep the highest 8 of their `bits`, larger ones become 255; alpha always has 16 bits.
    Pillow has kept the high bytes, which is right for 16 bits. Otherwise, and to find out how many
    bits dark images have, the low bytes are decoded as if they were the high ones.

    Args:
        image: For which `is_deep` is true.
        content: The file.
        bits: Bit depth of the levels.
    """
    high = np.asarray(image)
    brightest = int(high[..., :3].max())
    if bits == 16 and brightest >= _BRIGHT:
        return brightest << 8
    levels = (high[..., :3].astype(np.int32) << 8) | _low_bytes(content)[..., :3]
    if bits < 16:
        reduced = high.copy()
        reduced[..., :3] = np.minimum(levels >> (bits - 8), 255)
        image.paste(Image.fromarray(reduced))
    return int(levels.max())


def _low_bytes(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content), formats=formats()) as image:
        image.tile = [tile._replace(args=_swapped(tile.args)) for tile in image.tile]
        return np.asarray(image)


def _swapped(arguments: Any) -> Any:
    """Swap the byte order in a decoder's arguments, so that it keeps the low bytes."""
    if isinstance(arguments, tuple):
        return (_swapped(arguments[0]), *arguments[1:])
    native = "L" if sys.byteorder == "little" else "B"
    order = arguments[-1].replace("N", native)
    return arguments[:-1] + ("L" if order == "B" else "B")


def _raw_mode(tile: object) -> str:
    arguments = getattr(tile, "args", None)
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""
