"""Conversion of all colour modes of image files to uint8 grey or RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Modes of Pillow with one grey value a pixel, alpha aside.
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})


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
        image = _high_byte(image, bits)
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


def _high_byte(image: Image.Image, bits: int) -> Image.Image:
    values = np.asarray(image)
    if image.mode == "I" and (values.min() < 0 or values.max() > 0xFFFF):
        raise ValueError("32-bit pixels have no known range; save it with 8 or 16 bits")
    return Image.fromarray(np.minimum(values >> (bits - 8), 255).astype(np.uint8))
