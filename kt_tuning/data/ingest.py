"""Decoding every file of a listing, once, on all cores, into the cache."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.data.cache import CacheIndex, PixelCache, part_labels
from kt_tuning.data.colour import GREY_MODES
from kt_tuning.data.decode import FORMATS, decode_pixels, explain, quiet_pillow, upright_size
from kt_tuning.data.fingerprint import ContentDigest
from kt_tuning.data.folder import ImageFile, Listing
from kt_tuning.data.parallel import map_in_order, processors
from kt_tuning.data.pixel_format import Look, choose_format, size_origin
from kt_tuning.progress import Task
from kt_tuning.progress import progress as show_progress
from kt_tuning.records import PixelFormat

#: Files and bytes handed to a worker at a time: enough to make the hand-over cheap, few enough
#: for the workers to end together.
_FILES = 256
_BYTES = 4 << 20

#: Rough costs, measured on 32×32 and on 12-megapixel JPEGs, that say how many workers pay off.
_SECONDS_A_FILE = 1e-4
_SECONDS_A_BYTE = 2e-8
_SECONDS_A_WORKER = 0.5

_Result = TypeVar("_Result")


class Batch(NamedTuple):
    """Files for one worker to read; `pixels` is what to decode them to."""

    root: str
    paths: list[str]
    pixels: PixelFormat | None = None


def ingest(
    listing: Listing,
    cache: PixelCache,
    *,
    size: tuple[int, int] | None,
    channels: int | None,
    progress: bool,
) -> CacheIndex:
    """Decode the files of a listing into the cache.

    Args:
        listing: The files.
        cache: Where the pixels go.
        size: (height, width), or None to choose by the images; see `choose_format`.
        channels: 1, 3, or None to choose.
        progress: Whether to show how far it is, on the standard error stream.

    Returns:
        The index of what was stored: only readable images are in it.

    Raises:
        StorageError: if the cache cannot be written.
    """
    files, names = listing.files, listing.class_names
    with show_progress("Reading headers", shown=progress) as task:
        looks: list[Look] = []
        if size is None or channels is None:
            with contextlib.closing(_run(look, listing.root, files, None, task)) as batches:
                for found in batches:
                    looks += found
                    if size is not None and not all(image.grey for image in found):
                        break  # one image in colour settles the channels
        pixels, origin = choose_format(looks, size, channels), size_origin(looks, size)
        digest = ContentDigest()
        unreadable: list[tuple[str, str]] = []

        def pieces() -> Generator[NDArray[np.uint8], None, None]:
            for images, failures in _run(decode, listing.root, files, pixels, task):
                unreadable.extend(failures)
                digest.update(images)
                yield images

        def describe() -> CacheIndex:
            lost = {path for path, _ in unreadable}
            counts = {
                part: [sum(file.path not in lost for file in files) for files in classes]
                for part, classes in listing.parts.items()
            }
            labels = np.concatenate([*part_labels(counts).values()])
            content = digest.finish(pixels.shape, labels, names)
            return CacheIndex(pixels, names, counts, content, unreadable, origin)

        with contextlib.closing(pieces()) as images:
            return cache.write(images, describe)


def look(batch: Batch) -> list[Look]:
    """Read the headers of some files; unreadable ones are left out."""
    looks = []
    with quiet_pillow():
        for path in batch.paths:
            # whatever is wrong with the file, `decode` meets it again and reports it
            with contextlib.suppress(Exception):
                looks.append(_look(os.path.join(batch.root, path)))
    return looks


def decode(batch: Batch) -> tuple[NDArray[np.uint8], list[tuple[str, str]]]:
    """Decode some files: the images that could be read, and (path, reason) of the others."""
    assert batch.pixels is not None
    images, failures = [], []
    with quiet_pillow():
        for path in batch.paths:
            try:
                with open(os.path.join(batch.root, path), "rb") as file:
                    images.append(decode_pixels(file.read(), batch.pixels))
            except Exception as error:  # a broken file makes Pillow's readers raise almost anything
                failures.append((path, explain(error)))
    empty = np.empty((0, *batch.pixels.shape), np.uint8)
    return (np.stack(images) if images else empty), failures


def _look(path: str) -> Look:
    with Image.open(path, formats=FORMATS) as image:
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
    workers = min(processors(), len(batches), int(seconds / _SECONDS_A_WORKER))
    task.begin("Decoding images" if pixels else "Reading headers", len(files))
    with contextlib.closing(map_in_order(function, batches, workers=workers)) as results:
        for batch, result in zip(batches, results, strict=True):
            yield result
            task.advance(len(batch.paths))
