"""The supported image formats and their file extensions."""

from __future__ import annotations

import functools

from PIL import Image

_COMMON = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Formats that are tried first, in this order."""

#: Readers of Pillow that stay closed: they start Ghostscript, read on Windows only, recognise a
#: file without being able to decode it, or take files of other kinds for theirs.
_CLOSED = frozenset(
    {
        *("EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"),
        *("IM", "IMT", "IPTC", "PCD", "SPIDER"),
    }
)


@functools.cache
def formats() -> tuple[str, ...]:
    """Return the names of the supported formats, for `PIL.Image.open`."""
    Image.init()
    return (*_COMMON, *sorted(set(Image.OPEN) - _CLOSED - set(_COMMON)))


@functools.cache
def extensions() -> frozenset[str]:
    """Return the extensions of these formats in lower case, with the dot."""
    # An MPO file is a JPEG file with further pictures, which the reader of JPEG opens.
    known = {*formats(), "MPO"}
    return frozenset(ext for ext, name in Image.registered_extensions().items() if name in known)
