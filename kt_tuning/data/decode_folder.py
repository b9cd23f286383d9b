"""Decoding of all files of a folder into the cache, on all cores."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.core.process import count_processors
from kt_tuning.core.progress import Task
from kt_tuning.core.progress import progress as show_progress
from kt_tuning.core.records import PixelFormat
from kt_tuning.data.colour import GREY_MODES, bits_of
from kt_tuning.data.decode import decode, explain, quiet_pillow, upright_size
from kt_tuning.data.duplicates import find_duplicates
from kt_tuning.data.fingerprint import ContentDigest
from kt_tuning.data.folder_listing import Listing
from kt_tuning.data.formats import formats
from kt_tuning.data.image_files import ImageFile
from kt_tuning.data.pixel_cache import CacheIndex, PixelCache, part_labels
from kt_tuning.data.pixel_format import LARGEST, Look, choose_format, size_origin
from kt_tuning.data.thumbnails import stacked, thumbnail, thumbnail_shape, thumbnails
from kt_tuning.data.worker_pool import map_in_order

_FILES = 256
_BYTES = 4 << 20
"""Files and bytes of a job: enough for a small overhead, few enough for all workers to end at about
the same time."""

_SECONDS_A_FILE = 1e-4
_SECONDS_A_BYTE = 2e-8
_SECONDS_A_WORKER = 0.5
"""Approximate costs, measured on JPEGs of 32×32 and of 12 megapixels; they decide how many workers
are worth starting."""

_Result = TypeVar("_Result")


class Batch(NamedTuple):
    """Files that one job reads, and the format to decode them to."""

    root: str
    paths: list[str]
    pixels: PixelFormat | None = None


def decode_folder(
    listing: Listing,
    cache: PixelCache,
    *,
    size: tuple[int, int] | None,
    channels: int | None,
    largest: int = LARGEST,
    progress: bool,
) -> CacheIndex:
    """Decode the files of a listing into the cache.

    Args:
        listing: The files.
        cache: Where the pixels go.
        size: (height, width), or None to choose by the images; see `choose_format`.
        channels: 1, 3, or None to choose.
        largest: Largest side to choose, see `choose_format`.
        progress: Whether to show progress on the standard error stream.

    Returns:
        The index of the cache; it has only readable images.

    Raises:
        StorageError: if the cache cannot be written.
    """
    files = listing.files
    with show_progress("Reading headers", shown=progress) as task:
        looks: list[Look] = []
        if size is None or channels is None:
            with contextlib.closing(_run(look, listing.root, files, None, task)) as batches:
                for found in batches:
                    looks += found
                    if size is not None and not all(image.grey for image in found):
                        break  # one image in colour settles the channels
        pixels = choose_format(looks, size, channels, largest)
        origin = size_origin(looks, size, largest)
        try:
            return _store(listing, files, cache, pixels, origin, task)
        except _FewerBits as found:
            # The bit depth is known only after all files were read: they are read again.
            fewer = dataclasses.replace(pixels, bits=found.bits)
            return _store(listing, files, cache, fewer, origin, task)


class _FewerBits(Exception):  # noqa: N818
    """Files of 16 bits a pixel have a smaller bit depth than they were decoded for."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.bits = bits


def _store(
    listing: Listing,
    files: Sequence[ImageFile],
    cache: PixelCache,
    pixels: PixelFormat,
    origin: str,
    task: Task,
) -> CacheIndex:
    """Decode the files into the cache, and look for duplicates.

    Raises:
        _FewerBits: if the files have a smaller bit depth than `pixels`; nothing is stored then.
    """
    names = listing.class_names
    digest = ContentDigest()
    unreadable: list[tuple[str, str]] = []
    unserved: Counter[str] = Counter()
    small: list[NDArray[np.uint8]] = []

    def pieces() -> Generator[NDArray[np.uint8], None, None]:
        largest = 0
        for batch in _run(decode_batch, listing.root, files, pixels, task):
            unreadable.extend(batch.failures)
            unserved.update(batch.unserved)
            digest.update(batch.images)
            small.append(batch.thumbnails)
            largest = max(largest, batch.largest_level)
            yield batch.images
        if (bits := bits_of(largest)) < pixels.bits:
            raise _FewerBits(bits)

    def describe() -> CacheIndex:
        lost = {path for path, _ in unreadable}
        counts = {
            part: [sum(file.path not in lost for file in files) for files in classes]
            for part, classes in listing.parts.items()
        }
        labels = np.concatenate([*part_labels(counts).values()])
        content = digest.finish(pixels.shape, labels, names)
        return CacheIndex(pixels, names, counts, content, unreadable, origin, dict(unserved))

    with contextlib.closing(pieces()) as images:
        index = cache.write(images, describe)
    return with_duplicates(index, cache, np.concatenate(small))


def with_duplicates(
    index: CacheIndex, cache: PixelCache, small: NDArray[np.uint8] | None = None
) -> CacheIndex:
    """Find duplicates in a data set and add them to its index.

    Args:
        index: The index of the data set.
        cache: The cache of its pixels.
        small: The thumbnails, if they are known.
    """
    if not index.shape[0]:
        return index
    pixels = cache.pixel_file(index).open()
    found = find_duplicates(pixels, thumbnails(pixels) if small is None else small)
    index = dataclasses.replace(index, exact=found.exact, similar=found.similar)
    cache.complete(index)
    return index


class DecodedBatch(NamedTuple):
    """The result of decoding some files.

    Attributes:
        images: The readable images, uint8 (n, height, width, channels).
        thumbnails: Their thumbnails, uint8 (n, h, w).
        failures: Path and reason of the other files.
        largest_level: Largest level of files with 16 bits a pixel; 0 without such files.
        unserved: Number of images that an exported model cannot decode, by kind of file.
    """

    images: NDArray[np.uint8]
    thumbnails: NDArray[np.uint8]
    failures: list[tuple[str, str]]
    largest_level: int
    unserved: Counter[str]


def look(batch: Batch) -> list[Look]:
    """Read the headers of some files; unreadable ones are left out."""
    looks = []
    with quiet_pillow():
        for path in batch.paths:
            # Any error occurs again in `decode`, which reports it.
            with contextlib.suppress(Exception):
                looks.append(_look(os.path.join(batch.root, path)))
    return looks


def decode_batch(batch: Batch) -> DecodedBatch:
    """Decode some files."""
    assert batch.pixels is not None
    pictures, failures, largest = [], [], 0
    unserved: Counter[str] = Counter()
    with quiet_pillow():
        for path in batch.paths:
            try:
                with open(os.path.join(batch.root, path), "rb") as file:
                    picture, level, kind = decode(file.read(), batch.pixels)
            except Exception as error:  # Pillow raises many kinds for broken files
                failures.append((path, explain(error)))
                continue
            pictures.append(picture)
            largest = max(largest, level)
            if kind:
                unserved[kind] += 1
    shape = batch.pixels.shape
    images = stacked(pictures, shape)
    small = stacked(map(thumbnail, pictures), thumbnail_shape(shape))
    return DecodedBatch(images, small, failures, largest, unserved)


def _look(path: str) -> Look:
    with Image.open(path, formats=formats()) as image:
        return Look(*upright_size(image), image.mode in GREY_MODES)


def _run(
    function: Callable[[Batch], _Result],
    root: str,
    files: Sequence[ImageFile],
    pixels: PixelFormat | None,
    task: Task,
) -> Generator[_Result, None, None]:
    """Yield the function's result for each batch, in the order of the files."""
    total = sum(file.size for file in files)
    length = min(_FILES, max(1, _BYTES * len(files) // max(1, total)))
    batches = [
        Batch(root, [file.path for file in files[start : start + length]], pixels)
        for start in range(0, len(files), length)
    ]
    seconds = len(files) * _SECONDS_A_FILE + total * _SECONDS_A_BYTE
    workers = min(count_processors(), len(batches), int(seconds / _SECONDS_A_WORKER))
    task.begin("Decoding images" if pixels else "Reading headers", len(files))
    with contextlib.closing(map_in_order(function, batches, workers=workers)) as results:
        for batch, result in zip(batches, results, strict=True):
            yield result
            task.advance(len(batch.paths))
