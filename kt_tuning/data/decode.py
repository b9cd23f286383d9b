"""Decoding of image files to pixels, shared by training and serving."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from kt_tuning.core.errors import DataError, StorageError
from kt_tuning.core.records import LONGEST_SIDE, PixelFormat
from kt_tuning.data.image_files import formats, tensorflow_decodes_webp

#: Raised by one whenever the rule below gives other pixels for the same file.
DECODE_RULE = 2

#: Formats of files that an exported model decodes itself, see `kt_tuning.export.decode`.
_SERVED = frozenset({"JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP"})

#: Modes of Pillow with one grey value per pixel, alpha aside.
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})

_DEEP_MODES = ("RGB", "RGBA")

#: From this high byte on, levels need 15 or 16 bits, whatever the low bytes are.
_BRIGHT = 64

#: Pixels of a band of rows that is converted at once.
_BAND = 1 << 20


class Decoded(NamedTuple):
    """An image file, decoded.

    Attributes:
        picture: The image in the target size, mode "L" or "RGB".
        largest_level: The largest level of a file with 16 bits per pixel, 0 of any other.
        unserved: What kind of file it is if an exported model cannot decode it, else "".
    """

    picture: Image.Image
    largest_level: int
    unserved: str


def decode_image(
    file: bytes | str | os.PathLike[str] | IO[bytes], pixels: PixelFormat
) -> NDArray[np.uint8]:
    """Decode one image file to the pixels of a model's input.

    The rule: decode the first frame (a large JPEG at 1/2, 1/4 or 1/8 of its size, see
    `draft_ratio`); turn it upright by its EXIF orientation; convert it to grey or RGB, alpha over
    white (see `to_channels`); resize it to the target with Pillow's antialiased bilinear
    filter, without keeping the aspect ratio, unless it has that size already.

    Args:
        file: Encoded bytes, a path, or a binary file.
        pixels: The target.

    Returns:
        uint8 pixels, (height, width, channels).

    Raises:
        DataError: if the content is no whole image of one of `image_files.formats`, has more
            pixels than Pillow's limit for decompression bombs, `PIL.Image.MAX_IMAGE_PIXELS`, or
            more than `LONGEST_SIDE` on a side.
        StorageError: if the path cannot be read.
    """
    if isinstance(file, bytes):
        name, content = "the image", file
    elif isinstance(file, str | os.PathLike):
        name, content = os.fspath(file), _read(file)
    else:
        name, content = str(getattr(file, "name", "the image")), file.read()
    try:
        with quiet_pillow():
            return np.array(decode(content, pixels).picture).reshape(pixels.shape)
    except Exception as error:  # a broken file makes Pillow's readers raise almost anything
        raise DataError(f"Cannot decode {name}: {explain(error)}.") from error


def decode(content: bytes, pixels: PixelFormat) -> Decoded:
    """Decode like `decode_image`, inside `quiet_pillow`; exceptions are not converted."""
    with Image.open(io.BytesIO(content), formats=formats()) as image:
        if max(image.size) > LONGEST_SIDE:
            raise ValueError(f"a side has {max(image.size):,} pixels, more than {LONGEST_SIDE:,}")
        unserved = _unserved(image, content)
        ratio = draft_ratio(image.size, pixels)
        if ratio > 1:
            # Pillow picks the largest scale s of 1, 2, 4, 8 with width // size[0] >= s, for both
            # sides: these sizes give exactly `ratio`. Other formats than JPEG ignore the call.
            image.draft(None, (image.width // ratio, image.height // ratio))
        if image.format in ("PNG", "TIFF") and is_deep(image):
            largest = reduce_levels(image, content, pixels.bits)
        else:
            largest = largest_level(image)
        turn_upright(image)
        result = to_channels(image, pixels.channels, bits=pixels.bits)
        size = (pixels.width, pixels.height)
        if result.size != size:
            # In one call, the order of the two passes depends on Pillow's version; each rounds.
            across = result.resize((pixels.width, result.height), Image.Resampling.BILINEAR)
            result = across.resize(size, Image.Resampling.BILINEAR)
        return Decoded(result, largest, unserved)


def _unserved(image: Image.Image, content: bytes) -> str:
    """Return the kind of file if an exported model cannot decode it, else ""."""
    kind = image.format or ""
    if kind not in _SERVED:
        return kind
    if kind == "WEBP" and getattr(image, "is_animated", False):
        return "animated WebP"
    if kind == "WEBP" and not tensorflow_decodes_webp():
        return "WebP, which needs TensorFlow 2.20"
    if kind == "GIF" and "transparency" in image.info:
        return "GIF with transparency"
    # Bytes 28 and 30 of a BMP file: bits per pixel, and the compression or masks.
    if kind == "BMP" and (
        image.mode not in ("L", "RGB") or content[28] not in (8, 24, 32) or content[30]
    ):
        return "BMP with a palette, masks, 16 bits or run lengths"
    return ""


def draft_ratio(size: tuple[int, int], pixels: PixelFormat) -> int:
    """Return by how much libjpeg shrinks a JPEG of `size` while it decodes: 1, 2, 4 or 8.

    The shorter side stays at least twice the target's longer side, so the resize that follows
    still sees more detail than it keeps, and the ratio is the same for either orientation.
    """
    spare = min(size) // (2 * max(pixels.height, pixels.width))
    return next((ratio for ratio in (8, 4, 2) if spare >= ratio), 1)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return the (width, height) after `turn_upright`, without decoding."""
    orientation = 1
    if "exif" in image.info:  # a TIFF's size is upright already, and its tags are not in `info`
        with contextlib.suppress(Exception):  # as in `turn_upright`
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return image.size[::-1] if orientation in (5, 6, 7, 8) else image.size


def turn_upright(image: Image.Image) -> None:
    """Apply the EXIF orientation, in place; unreadable EXIF counts as none."""
    image.load()
    with contextlib.suppress(Exception):  # the pixels are whole: broken metadata must not cost them
        ImageOps.exif_transpose(image, in_place=True)


def explain(error: Exception) -> str:
    """Return a short reason why an image could not be decoded."""
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        limit = Image.MAX_IMAGE_PIXELS
        return f"refused as a decompression bomb, more than {limit} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a supported format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


class _QuietPillow:
    """A context that counts its threads, which share the interpreter's warning filters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Refuse decompression bombs and ignore Pillow's warnings within the block."""
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._filters.__exit__(None, None, None)


quiet_pillow = _QuietPillow()


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}") from error


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
        image = _by_bands(lambda band: _grey(band, bits), image, "L")
    elif image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 or 16 bits")
    elif image.has_transparency_data:
        image = _by_bands(_on_white, image, "RGB")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    wanted = "L" if channels == 1 else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield (left, top, right, bottom) of bands of rows, which cover the image.

    Arrays of a whole image, of 16 or 32 bits, would take gigabytes at the limit of its size.
    """
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _by_bands(
    convert: Callable[[Image.Image], NDArray[np.uint8]], image: Image.Image, mode: str
) -> Image.Image:
    """Return an image in another mode, converted band by band."""
    result = Image.new(mode, image.size)
    for box in _bands(image):
        result.paste(Image.fromarray(convert(image.crop(box))), box)
    return result


def _on_white(image: Image.Image) -> NDArray[np.uint8]:
    return composite_on_white(np.asarray(image.convert("RGBA")))


def _grey(image: Image.Image, bits: int) -> NDArray[np.uint8]:
    """Return the highest 8 of `bits` bits of grey levels."""
    values = np.asarray(image)
    if image.mode == "I" and (values.min() < 0 or values.max() > 0xFFFF):
        raise ValueError("32-bit pixels have no known range; save it with 8 or 16 bits")
    return np.minimum(values >> (bits - 8), 255).astype(np.uint8)


def largest_level(image: Image.Image) -> int:
    """Return the largest level of a 16-bit grey image; 0 for an image of another mode."""
    if not image.mode.startswith("I"):
        return 0
    return max(int(np.asarray(image.crop(box)).max()) for box in _bands(image))


def bits_of(largest: int) -> int:
    """Return the bit depth of levels up to `largest`: 8, 10, 12, 14 or 16.

    These are the depths of cameras and scanners, which all write files of 16 bits. It is 16 if all
    pixels are black.
    """
    return next((bits for bits in (8, 10, 12, 14) if 0 < largest < 2**bits), 16)


def is_deep(image: Image.Image) -> bool:
    """Return whether an image that is not loaded yet has 16 bits a colour channel."""
    # The arguments of each tile's decoder begin with its raw mode, such as "RGB;16B".
    arguments = [tile.args for tile in getattr(image, "tile", [])]
    modes = [str(some[0] if isinstance(some, tuple) and some else some) for some in arguments]
    deep = [mode.split(";")[0] in _DEEP_MODES and ";16" in mode for mode in modes]
    return bool(deep) and all(deep)


def reduce_levels(image: Image.Image, content: bytes, bits: int) -> int:
    """Load an image and reduce it to 8 bits per channel, in place; return its largest level.

    Levels keep the highest 8 of their `bits`, larger ones become 255; alpha always has 16 bits.
    Pillow has kept the high bytes, which is right for 16 bits. Otherwise, and to find out how many
    bits dark images have, the low bytes are decoded as if they were the high ones.

    Args:
        image: For which `is_deep` is true.
        content: The file.
        bits: Bit depth of the levels.
    """
    colours = (np.asarray(image.crop(box))[..., :3] for box in _bands(image))
    brightest = max(int(band.max()) for band in colours)
    if bits == 16 and brightest >= _BRIGHT:
        return brightest << 8
    largest = 0
    with Image.open(io.BytesIO(content), formats=formats()) as again:
        again.tile = [tile._replace(args=_swapped(tile.args)) for tile in again.tile]
        for box in _bands(image):
            high, low = (np.array(some.crop(box)) for some in (image, again))
            levels = (high[..., :3].astype(np.int32) << 8) | low[..., :3]
            largest = max(largest, int(levels.max()))
            if bits < 16:
                high[..., :3] = np.minimum(levels >> (bits - 8), 255)
                image.paste(Image.fromarray(high), box)
    return largest


def _swapped(arguments: Any) -> Any:
    """Swap the byte order in a decoder's arguments, so that it keeps the low bytes."""
    if isinstance(arguments, tuple):
        return (_swapped(arguments[0]), *arguments[1:])
    native = "L" if sys.byteorder == "little" else "B"
    order = arguments[-1].replace("N", native)
    return arguments[:-1] + ("L" if order == "B" else "B")
