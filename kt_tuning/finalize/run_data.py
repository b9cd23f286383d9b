"""The images of a run, loaded again and split as they were."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.data import Groups, ImageData, load_images
from kt_tuning.run import Run
from kt_tuning.run.layout import SPLIT
from kt_tuning.run.reader import PARTS

ARRAYS = "arrays"
"""Source of data that were not read from files."""


def load_run_data(
    directory: str | Path, folder: str | Path | None = None, *, progress: bool = True
) -> ImageData:
    """Load the images that a search was run on, split as they were then.

    Args:
        directory: The run directory.
        folder: Where the images are now; where they were if None.
        progress: Whether to show a progress bar while files are decoded.

    Raises:
        StorageError: if the run directory or the folder cannot be read.
        OptionError: if the search was run on arrays.
        DataError: if the folder holds other images now.
    """
    run = Run(directory)
    card = run.read_data()
    table = card.table
    if folder is None and card.source == ARRAYS:
        raise OptionError(
            f"{directory} was searched on arrays, which are not kept in it. Pass them as `data` in "
            "Python, such as `open_run(…).evaluate(data=data)`, or name a folder of the same "
            "images."
        )
    if table is not None and not table.path:
        raise OptionError(
            f"{directory} was searched on a DataFrame, which is not kept in it. Pass the "
            "`ImageData` as `data` in Python, such as `open_run(…).evaluate(data=data)`."
        )
    split = run.read_split()
    if missing := [name for name in PARTS if name not in split.indices]:
        raise StorageError(f"{run.path / SPLIT} has no index set {missing[0]}: it is damaged.")
    pixels = card.pixels
    load = functools.partial(
        load_images,
        image_size=(pixels.height, pixels.width),
        channels=pixels.channels,
        # Only whether the readable images are those of the search counts.
        max_unreadable=1.0,
        progress=progress,
    )
    images = card.source if folder is None else folder
    if table is None:
        data = load(images, class_names=card.class_names)
    else:
        data = load(table.path, images=images, columns=table.columns, max_missing=table.max_missing)
    data = dataclasses.replace(data, indices=split.indices, runs=[run.path])
    if split.groups is not None and len(split.groups) == len(data.labels):
        data = dataclasses.replace(data, groups=Groups(split.groups, required=True))
    if data.fingerprint != card.fingerprint:
        raise DataError(
            f"{data.source} holds other images than the search of {directory} was run on: "
            f"fingerprint {data.fingerprint[:12]}, expected {card.fingerprint[:12]}. Name the "
            "folder that has them, or put it back as it was."
        )
    return data
