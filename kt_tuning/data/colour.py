"""Conversion of the colour modes of image files to uint8 grey or RGB.

Pillow keeps only the high bytes of colour files with 16 bits a channel; their low bytes are decoded
here where they count.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.data.image_files import formats

#: Modes of Pillow with one grey value a pixel, alpha aside.
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})

_DEEP_MODES = ("RGB", "RGBA")

#: From this high byte on, levels need 15 or 16 bits, whatever the low bytes are.
_BRIGHT = 64


def composite_on_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay (…, 4) RGBA over white: `(c·a + 255·(255 − a) + 127) // 255`, for each colour c.

    Returns:
        (…, 3) RGB.
    """
    # 255 · 255 + 127 < 2 ** 16, so uint16 holds every term
    colour = rgba[..., :3].astype(np.uint16)
    alpha = rgba[..., 3:].astype(np.uint16)
    colour *= alpha
    colour += 255 * (255 - alpha) + 127
    colour //= 255
    return colour.astype(np.uint8)


def to_channels(image: Image.Image, channels: int, *, bits: int = 16) -> Image.Image:
    """Convert an image of any mode to "L" (1 channel) or "RGB" (3 channels).

    Alpha and transparent palette entries are laid over white, 16-bit grey keeps the highest 8 of
    its `bits`, colour becomes grey by `(19595 R + 38470 G + 7471 B + 32768) >> 16` (ITU-R 601-2, as
    Pillow).

    Args:
        image: Of any mode.
        channels: 1 or 3.
        bits: Bit depth of 16-bit grey; larger levels become 255.

    Raises:
        ValueError: if the pixels have no known range (floating point, 32-bit integers).
    """
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "I" and (values.min() < 0 or values.max() > 0xFFFF):
            raise ValueError("32-bit pixels have no known range; save it with 8 or 16 bits")
        image = Image.fromarray(np.minimum(values >> (bits - 8), 255).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 or 16 bits")
    elif image.has_transparency_data:
        image = Image.fromarray(composite_on_white(np.asarray(image.convert("RGBA"))))
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    wanted = "L" if channels == 1 else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def largest_level(image: Image.Image) -> int:
    """Return the largest level of a 16-bit grey image; 0 for an image of another mode."""
    return int(np.asarray(image).max()) if image.mode.startswith("I") else 0


def bits_of(largest: int) -> int:
    """Return the bit depth of levels up to `largest`: 8, 10, 12, 14 or 16.

    These are the depths of cameras and scanners, which all write files of 16 bits. It is 16 if all
    pixels are black.
    """
    return next((bits for bits in (8, 10, 12, 14) if 0 < largest < 2**bits), 16)


def is_deep(image: Image.Image) -> bool:
    """Return whether an image that is not loaded yet has 16 bits a colour channel."""
    modes = [_raw_mode(tile) for tile in getattr(image, "tile", [])]
    return bool(modes) and all(
        mode.split(";")[0] in _DEEP_MODES and ";16" in mode for mode in modes
    )


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
