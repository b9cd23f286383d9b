"""Strategies of hypothesis for hostile input: damaged bytes, odd names, JSON values, image files.

Cases are plain values, so that a printed one can be fed again.
"""

from __future__ import annotations

import copy
import functools
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from image_bytes import bmp, encode, photo, png, png_chunks, resized
from PIL import Image

Edit = tuple[str, int, Any]
"""Kind of edit, position (taken modulo the length of the content), and what is written."""

# --- Bytes ---------------------------------------------------------------------------------

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Values at the limits of integer types."""
_POSITIONS = st.integers(0, 63) | st.integers(0, 2**16)
_WRITTEN = st.binary(min_size=1, max_size=4) | st.builds(
    lambda number, size, order: (number % 256**size).to_bytes(size, order),
    st.sampled_from(NUMBERS),
    st.sampled_from((1, 2, 4, 8)),
    st.sampled_from(("little", "big")),
)


def edits(most: int = 4) -> st.SearchStrategy[list[Edit]]:
    """Return a strategy for the edits of `edited`."""
    length = st.integers(1, 64)
    return st.lists(
        st.tuples(st.sampled_from(("set", "insert")), _POSITIONS, _WRITTEN)
        | st.tuples(st.sampled_from(("delete", "repeat", "cut")), _POSITIONS, length),
        max_size=most,
    )


def edited(content: bytes, changes: list[Edit]) -> bytes:
    """Return `content` with edits, one after the other."""
    changed = bytearray(content)
    for kind, place, value in changes:
        at = place % (len(changed) + 1)
        if kind == "set":
            changed[at : at + len(value)] = value
        elif kind == "insert":
            changed[at:at] = value
        elif kind == "delete":
            del changed[at : at + value]
        elif kind == "repeat":
            changed[at:at] = changed[at : at + value] * 3
        else:
            del changed[at:]
    return bytes(changed)


# --- Image files ---------------------------------------------------------------------------


@functools.cache
def image_bases() -> dict[str, bytes]:
    """Return image files that can be read, by what they are."""
    frames = [photo(20, 20), photo(20, 20).rotate(90)]
    moving = {"save_all": True, "append_images": frames[1:]}
    exif = Image.Exif()
    exif[0x0112] = 6
    modes = {
        "JPEG": ("RGB", "L", "CMYK"),
        "PNG": ("RGB", "RGBA", "LA", "P", "1", "I;16"),
        "GIF": ("RGB", "L"),
        "BMP": ("RGB", "L"),
        "WEBP": ("RGB", "RGBA"),
        "TIFF": ("RGB", "CMYK", "I;16", "1"),
        **dict.fromkeys(("JPEG2000", "AVIF", "PPM", "TGA", "PCX", "ICO", "SGI", "DDS"), ("RGB",)),
    }
    Image.init()
    bases = {
        f"{kind} {mode}": encode(photo(41, 29, mode), kind)
        for kind, found in modes.items()
        if kind in Image.SAVE  # of this build of Pillow
        for mode in found
    }
    bases |= {
        f"TIFF {compression}": encode(photo(41, 29), "TIFF", compression=compression)
        for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    }
    bases |= {f"{kind} EXIF": encode(photo(41, 29), kind, exif=exif) for kind in ("JPEG", "PNG")}
    return bases | {
        "JPEG progressive": encode(photo(41, 29), "JPEG", progressive=True),
        "WEBP lossless": encode(photo(41, 29), "WEBP", lossless=True),
        "WEBP EXIF": encode(photo(41, 29), "WEBP", exif=exif),
        "PNG 16 bits": png(16, 2, channels=3),
        "PNG transparent": png(4, 0, (b"tRNS", b"\0\1")),
        "BMP 16 bits": bmp(16),
        "BMP palette": bmp(8),
        "GIF moving": encode(frames[0], "GIF", **moving),
        "WEBP moving": encode(frames[0], "WEBP", **moving),
        "PNG moving": encode(frames[0], "PNG", **moving),
        "MPO": encode(frames[0], "MPO", **moving),
        "text": b"This is not an image.",
        "nothing": b"",
    }


LARGE = {
    "large RGB": (8, 2, 3, (10_000, 8_940)),
    "large RGBA": (8, 6, 4, (10_000, 8_940)),
    "large deep": (16, 6, 4, (10_000, 8_940)),
    "column": (8, 0, 1, (1, 3_000_000)),
    "row": (8, 0, 1, (80_000_000, 1)),
}
"""PNG files of almost as many pixels as are taken: bits, type of colour, channels, and size."""


@functools.cache
def large(name: str) -> bytes:
    """Return one of the files of `LARGE`: black, of a few megabytes."""
    bits, colour_type, channels, (width, height) = LARGE[name]
    packer = zlib.compressobj(1)
    line = bytes(1 + width * bits * channels // 8)
    rows = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return png_chunks((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))


def repaired(content: bytes) -> bytes:
    """Return a PNG file with the right checksums, which a reader compares before all else."""
    if not content.startswith(b"\x89PNG"):
        return content
    result, at = io.BytesIO(content[:8]), 8
    result.seek(8)
    while at + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        body = content[at + 4 : at + 8 + size]
        result.write(content[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + size
    return result.getvalue()


CLAIMED = ("JPEG", "PNG", "GIF", "GIF frame", "BMP", "WEBP")
SIDES = (0, 1, 41, 1000, 8940, 9000, 10_000, 16_383, 65_535, 65_536, 3_000_000, 2**31 - 1)
Picture = tuple[str, tuple[int, int] | None, list[Edit], bool]
"""Name of the base, the size that its header is made to state, edits, whether to repair sums."""


def pictures() -> st.SearchStrategy[Picture]:
    """Return a strategy for the image files of `picture_bytes`."""
    side = st.sampled_from(SIDES)
    honest = st.tuples(st.sampled_from(sorted(image_bases())), st.none(), edits(), st.booleans())
    claimed = st.tuples(st.sampled_from(CLAIMED), st.tuples(side, side), edits(1), st.just(True))
    return st.one_of(honest, honest, honest, claimed)


def picture_bytes(picture: Picture) -> bytes:
    """Return the content of an image file."""
    base, size, changes, repairs = picture
    if base in LARGE:
        return large(base)
    content = image_bases()[base] if size is None else claiming(base, *size)
    changed = edited(content, changes)
    return repaired(changed) if repairs else changed


def claiming(kind: str, width: int, height: int) -> bytes:
    """Return an image file whose header states this size, as far as its fields can hold it."""
    bits = {"PNG": 31, "BMP": 31, "WEBP": 14}.get(kind, 16)
    return resized(kind, width % 2**bits, height % 2**bits)


# --- Names and values ----------------------------------------------------------------------

ODD_NAMES = (
    *("train", "Val", "test_set", "valid", "images", ".hidden", "@eaDir", "__MACOSX", "CON", "~"),
    *(
        "a\nb",
        "a\tb",
        "\x1b[31mred\x1b[0m",
        "a\rb",
        "\x07",
        " ",
        " a ",
        "a.",
        "...",
        "-rf",
        "--out",
    ),
    *("[bold]b[/bold]", "{a}", "%s", "%d%n", "$HOME", "`id`", "';--", "<script>", "a\\b", "*", "?"),
    *("é", "e\u0301", "\u202eabc", "\u200b", "\ufeff", "日本", "😀", "\udcff", "\udc80\udcfe", "ﬁ"),
    *("x" * 255, "é" * 127, "a.jpg", "b.PNG", "trial_0", "runs", "export", "0", "-1", "1e5", "nan"),
    *("None", "null", "true", "labels.txt", "a\x85b", "a\u2028b", "İ", "ß", "a=b", "a,b", '"', "'"),
)


def names() -> st.SearchStrategy[str]:
    """Return a strategy for names of files and classes; bytes that are no UTF-8 are surrogates."""
    letters = st.sampled_from([chr(code) for code in range(1, 128) if chr(code) != "/"])
    return (
        st.sampled_from(("cat", "dog")) | st.sampled_from(ODD_NAMES) | st.text(letters, max_size=6)
    )


def texts() -> st.SearchStrategy[str]:
    """Return a strategy for texts where numbers and names are expected."""
    numbers = ("0", "1", "-1", "2", "0.5", "1e999", "nan", "inf", "-inf", "9" * 400, "1_000", "٣")
    odd = ("", " 5 ", "0x10", "1e3", "²", "true", "none", "auto", "[1, 2]", "{}", "a=1", "=", "a=")
    return st.sampled_from(numbers) | st.sampled_from(odd) | names()


def json_values() -> st.SearchStrategy[Any]:
    """Return a strategy for what Python's reader of JSON can return."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from((*NUMBERS, -1, 10**30, -(10**400))),
        st.sampled_from((0.5, -0.0, 1e308, float("nan"), float("inf"), -float("inf"))),
        texts(),
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
    )


Change = tuple[list[int], str, Any]
"""Way into a JSON value (indices modulo the number of items), what is done there, and a value."""


def json_changes() -> st.SearchStrategy[list[Change]]:
    """Return a strategy for the changes of `json_changed`."""
    way = st.lists(st.integers(0, 15), min_size=1, max_size=4)
    kinds = st.sampled_from(("replace", "replace", "remove", "add", "repeat"))
    return st.lists(st.tuples(way, kinds, json_values()), min_size=1, max_size=3)


def json_changed(content: Any, changes: list[Change]) -> Any:
    """Return a JSON value with other values in some places."""
    content = copy.deepcopy(content)
    for way, kind, value in changes:
        place, key = content, None
        for step in way:
            inner = place if key is None else place[key]
            if not isinstance(inner, (dict, list)) or not inner:
                break
            place, key = (
                inner,
                (list(inner) if isinstance(inner, dict) else range(len(inner)))[step % len(inner)],
            )
        if key is not None:
            _CHANGES[kind](place, key, value)
    return content


def _add(place: Any, key: Any, value: Any) -> None:
    if isinstance(place, list):
        place.insert(key, value)
    else:
        place[str(value)[:50]] = value


def _repeat(place: Any, key: Any, value: Any) -> None:
    if isinstance(place, list):
        place.append(place[key])
    elif isinstance(place[key], (str, list)):
        place[key] = place[key] * 2


_CHANGES: dict[str, Callable[[Any, Any, Any], None]] = {
    "replace": lambda place, key, value: place.__setitem__(key, value),
    "remove": lambda place, key, value: place.__delitem__(key),
    "add": _add,
    "repeat": _repeat,
}
