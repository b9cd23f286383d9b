"""Decoding of all files of a folder into the cache, on all cores."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import math
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
from kt_tuning.data.decode import (
    GREY_MODES,
    bits_of,
    decode,
    explain,
    quiet_pillow,
    upright_size,
)
from kt_tuning.data.duplicates import (
    Duplicates,
    find_duplicates,
    stacked,
    thumbnail,
    thumbnail_shape,
)
from kt_tuning.data.image_files import ImageFile, Listing, formats
from kt_tuning.data.pixel_cache import (
    CacheIndex,
    PixelCache,
    content_digest,
    part_labels,
)
from kt_tuning.data.pixel_format import LARGEST, Look, choose_format
from kt_tuning.data.worker_pool import map_in_order

_FILES = 256
_BYTES = 4 << 20
"""Files and bytes of a job: enough for a small overhead, few enough for all workers to end at about
the same time."""
_PIXEL_BYTES = 128 << 20
"""Bytes of decoded pixels of a job, at most, if it has several files."""

_SECONDS_A_FILE = 1e-4
_SECONDS_A_BYTE = 2e-8
_SECONDS_A_PIXEL = 3e-8
_SECONDS_A_WORKER = 0.5
"""Approximate costs, measured on JPEGs of 32×32, of 240×320 and of 12 megapixels; a pixel is one of
the result. They decide how many workers are worth starting."""

_Result = TypeVar("_Result")


def decode_folder(
    listing: Listing,
    cache: PixelCache,
    *,
    size: tuple[int, int] | None,
    channels: int | None,
    largest: int = LARGEST,
    progress: bool,
) -> CacheIndex:
    """Decode the files of a listing into the cache, in the format that `choose_format` chooses.

    Returns:
        The index of the cache; it has only readable images.

    Raises:
        StorageError: if the cache cannot be written.
    """
    with show_progress("Reading headers", shown=progress) as task:
        looks: list[Look] = []
        if size is None or channels is None:
            task.begin("Reading headers", len(listing.files))
            look = functools.partial(read_headers, listing.root)
            with contextlib.closing(_run(look, listing.files, task)) as batches:
                for found in batches:
                    looks += found
                    if size is not None and not all(image.grey for image in found):
                        break  # one image in colour settles the channels
        pixels, origin = choose_format(looks, size, channels, largest)
        digest, stored = _store(listing, cache, pixels, task)
        if (bits := bits_of(stored.largest_level)) < pixels.bits:
            # The bit depth is known only after all files were read: they are read again.
            pixels = dataclasses.replace(pixels, bits=bits)
            digest, stored = _store(listing, cache, pixels, task)
        lost = {path for path, _ in stored.failures}
        counts = {
            part: [sum(file.path not in lost for file in files) for files in classes]
            for part, classes in listing.parts.items()
        }
        labels = np.concatenate([*part_labels(counts).values()])
        names = listing.class_names
        duplicates = Duplicates([], [])
        if len(labels):
            images = cache.pixel_file((len(labels), *pixels.shape)).open()
            duplicates = find_duplicates(images, stored.thumbnails)
    index = CacheIndex(
        pixels,
        names,
        counts,
        content=content_digest(digest, pixels.shape, labels, names),
        unreadable=stored.failures,
        exact=duplicates.exact,
        similar=duplicates.similar,
        size_origin=origin,
        unserved=dict(stored.unserved),
    )
    cache.save(index)
    return index


def _store(
    listing: Listing, cache: PixelCache, pixels: PixelFormat, task: Task
) -> tuple[hashlib.blake2b, DecodedBatch]:
    """Write the pixels of all files into the cache; return their hash, and all else of them."""
    task.begin("Decoding images", len(listing.files))
    digest, done = hashlib.blake2b(digest_size=16), [decode_batch(listing.root, pixels, [])]

    def pieces() -> Generator[NDArray[np.uint8], None, None]:
        decode_some = functools.partial(decode_batch, listing.root, pixels)
        most = max(1, _PIXEL_BYTES // math.prod(pixels.shape))
        size = pixels.height * pixels.width
        for batch in _run(decode_some, listing.files, task, most=most, pixels=size):
            digest.update(batch.images.data)
            done.append(batch._replace(images=done[0].images))
            yield batch.images

    with contextlib.closing(pieces()) as images:
        cache.write(images)
    return digest, DecodedBatch(
        images=done[0].images,
        thumbnails=np.concatenate([batch.thumbnails for batch in done]),
        failures=[failure for batch in done for failure in batch.failures],
        largest_level=max(batch.largest_level for batch in done),
        unserved=sum((batch.unserved for batch in done), Counter()),
    )


class DecodedBatch(NamedTuple):
    """The result of decoding some files.

    Attributes:
        images: The readable images, uint8 (n, height, width, channels).
        thumbnails: Their thumbnails, uint8 (n, h, w).
        failures: Path and reason of the other files.
        largest_level: Largest level of files with 16 bits per pixel; 0 without such files.
        unserved: Number of images that an exported model cannot decode, by kind of file.
    """

    images: NDArray[np.uint8]
    thumbnails: NDArray[np.uint8]
    failures: list[tuple[str, str]]
    largest_level: int
    unserved: Counter[str]


def read_headers(root: str, paths: list[str]) -> list[Look]:
    """Read the headers of some files; unreadable ones are left out."""
    looks = []
    with quiet_pillow():
        for path in paths:
            # Any error occurs again in `decode`, which reports it.
            with (
                contextlib.suppress(Exception),
                Image.open(os.path.join(root, path), formats=formats()) as image,
            ):
                looks.append(Look(*upright_size(image), image.mode in GREY_MODES))
    return looks


def decode_batch(root: str, pixels: PixelFormat, paths: list[str]) -> DecodedBatch:
    """Decode some files."""
    pictures, failures, largest = [], [], 0
    unserved: Counter[str] = Counter()
    with quiet_pillow():
        for path in paths:
            try:
                with open(os.path.join(root, path), "rb") as file:
                    picture, level, kind = decode(file.read(), pixels)
            except Exception as error:  # Pillow raises many kinds for broken files
                failures.append((path, explain(error)))
                continue
            pictures.append(picture)
            largest = max(largest, level)
            if kind:
                unserved[kind] += 1
    images = stacked(pictures, pixels.shape)
    small = stacked(map(thumbnail, pictures), thumbnail_shape(pixels.shape))
    return DecodedBatch(images, small, failures, largest, unserved)


def _run(
    function: Callable[[list[str]], _Result],
    files: Sequence[ImageFile],
    task: Task,
    *,
    most: int = _FILES,
    pixels: int = 0,
) -> Generator[_Result, None, None]:
    """Yield the function's result for batches of paths, in the files' order.

    Args:
        function: Of a batch of paths.
        files: All files.
        task: Progress is shown in it.
        most: Files of a batch, at most.
        pixels: Pixels that the function makes of a file.
    """
    total = sum(file.size for file in files)
    length = min(_FILES, most, max(1, _BYTES * len(files) // max(1, total)))
    paths = [file.path for file in files]
    jobs = [paths[start : start + length] for start in range(0, len(paths), length)]
    a_file = _SECONDS_A_FILE + pixels * _SECONDS_A_PIXEL
    seconds = len(files) * a_file + total * _SECONDS_A_BYTE
    workers = min(count_processors(), len(jobs), int(seconds / _SECONDS_A_WORKER))
    with contextlib.closing(map_in_order(function, jobs, workers=workers)) as results:
        for job, result in zip(jobs, results, strict=True):
            yield result
            task.advance(len(job))
