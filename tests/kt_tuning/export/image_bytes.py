"""Image files of all kinds, made in memory."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kt_tuning.core.records import PixelFormat
from kt_tuning.export.decode import DECODES_WEBP

COLOUR = PixelFormat(24, 40, 3)
GREY = PixelFormat(33, 7, 1)
needs_webp = pytest.mark.skipif(not DECODES_WEBP, reason="this TensorFlow has no decode_webp")


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Smooth on the left, ever more textured to the right."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    smooth = [
        127 + 100 * np.sin(columns / 17 + rows / 31),
        127 + 90 * np.cos(columns / 23 - rows / 13),
        127 + 100 * np.sin((columns + rows) / 41),
    ]
    texture = rng.normal(0, 25, (height, width, 3)) * (columns / width)[..., None]
    pixels = np.clip(np.stack(smooth, axis=-1) + texture, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    alpha = Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8))
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 2**16, (height, width), dtype=np.uint16))
    if mode in ("RGBA", "LA"):
        image = image.convert(mode[:-1])
        image.putalpha(alpha)
        return image
    return image.quantize(37) if mode == "P" else image.convert(mode)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(bits: int, colour_type: int, *chunks: tuple[bytes, bytes], channels: int = 1) -> bytes:
    """A PNG file of 37x29 random pixels, with `chunks` before them: Pillow cannot write all."""
    rng = np.random.default_rng(bits + colour_type)
    stride = (37 * bits * channels + 7) // 8
    lines = [b"\0" + rng.bytes(stride) for _ in range(29)]
    header = struct.pack(">IIBBBBB", 37, 29, bits, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def bmp(bits: int, *, compression: int = 0, top_down: bool = False) -> bytes:
    """A BMP file of 37x29 random pixels; up to 8 bits with a palette of random colours."""
    rng = np.random.default_rng(bits)
    pixels = rng.bytes((37 * bits + 31) // 32 * 4 * 29)
    palette = rng.bytes(4 * 2**bits) if bits <= 8 else b""
    height = -29 if top_down else 29
    info = (40, 37, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    return head + struct.pack("<IiiHHIIiiII", *info) + palette + pixels
