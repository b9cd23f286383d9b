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


def png(
    bits: int,
    colour_type: int,
    *chunks: tuple[bytes, bytes],
    channels: int = 1,
    size: tuple[int, int] = (37, 29),
) -> bytes:
    """A PNG file of random pixels, with `chunks` before them: Pillow cannot write all kinds.

    `size` is (width, height).
    """
    rng = np.random.default_rng(bits + colour_type)
    width, height = size
    stride = (width * bits * channels + 7) // 8
    lines = [b"\0" + rng.bytes(stride) for _ in range(height)]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")]
    return png_chunks(*parts)


def png_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of these chunks: kind and content."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
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


def resized(kind: str, width: int, height: int) -> bytes:
    """A small file whose header states another size."""
    if kind == "PNG":
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        content = png(8, 0)
        at = content.index(b"IHDR")
        crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
        return content[: at + 4] + header + crc + content[at + 21 :]
    content = bytearray(encode(photo(61, 45), kind.removesuffix(" frame")))
    if kind == "JPEG":
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", height, width)
    elif kind == "GIF":
        content[6:10] = struct.pack("<HH", width, height)
    elif kind == "GIF frame":
        colours = 3 * 2 ** (content[10] % 8 + 1)
        comment = b"!\xfe\x05,,,,,\x00"  # with the byte that begins a frame
        content[13 + colours : 13 + colours] = comment
        at = content.index(b",", 13 + colours + len(comment)) + 5
        content[at : at + 4] = struct.pack("<HH", width, height)
    elif kind == "BMP":
        content[18:26] = struct.pack("<ii", width, -height)
    else:
        content[26:30] = struct.pack("<HH", width, height)
    return bytes(content)
