"""Loading of folders, tables and `.npz` files as `ImageData`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.records import PARTS
from kt_tuning.core.units import check_share, seconds
from kt_tuning.data.decode import DECODE_RULE
from kt_tuning.data.duplicates import Duplicates
from kt_tuning.data.folder_layout import scan
from kt_tuning.data.groups import FOLDER, PathGroups, find_groups, groups_of_paths
from kt_tuning.data.image_data import ImageData
from kt_tuning.data.label_encoding import check_class_names
from kt_tuning.data.pixel_cache import CacheIndex, PixelCache, cache_folder, part_labels
from kt_tuning.data.pixel_format import LARGEST, check_channels, check_size, largest_side
from kt_tuning.data.stratified_split import check_split, generator, split_images
from kt_tuning.data.table_file import SUFFIXES

if TYPE_CHECKING:
    import pandas as pd

ARRAYS = ".npz"
"""Ending of files of arrays."""

#: Unreadable files named in a message.
_SHOWN = 5


def is_table(source: Any) -> bool:
    """Return whether `source` is a DataFrame, or the path of a table."""
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return True
    return isinstance(source, (str, os.PathLike)) and str(source).lower().endswith(SUFFIXES)


def is_npz(source: Any) -> bool:
    """Return whether `source` is the path of an `.npz` file."""
    return isinstance(source, (str, os.PathLike)) and str(source).lower().endswith(ARRAYS)


def load_images(
    folder: str | os.PathLike[str] | pd.DataFrame,
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    split: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    max_unreadable: float = 0.05,
    class_names: Sequence[str] | None = None,
    groups: PathGroups | None = None,
    images: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
    max_missing: float = 0.0,
    time_limit: str | float | None = None,
    backbone: bool = False,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> ImageData:
    r"""Load images from a folder, from a table of file names and labels, or from an `.npz` file.

    A folder has one sub-folder per class, or train, val and test folders with such
    sub-folders. A table labels the images of a folder: `load_images("labels.csv",
    images="photos/")`. An `.npz` file contains arrays, as Keras' own data sets do:
    `load_images("mnist.npz")`, see `kt_tuning.data.npz_file.load_npz`; its images keep their size.

    The files (of any format that Pillow reads, also in nested folders) are decoded once, into a
    cache; when the same folder is loaded again, only sizes and dates are checked. The cache folder
    may be deleted at any time. The log states which files and folders are left out, how many images
    are duplicates, 16-bit files with fewer bits, and files that an exported model cannot decode.

    Copies of an image stay in one part of the split. Training images that are copies of images in
    existing validation or test splits are left out.

    Args:
        folder: The folder. Sub-folder names are the class names, sorted. Names such as train,
            Training, train_set or seg_train, and similar names for validation and test, are splits.
            Or a table with one row per image: a `.csv`, `.tsv` or `.parquet` file, or a DataFrame;
            see `kt_tuning.data.label_table.read_table`, and the arguments `images`, `columns` and
            `max_missing`.
        image_size: (height, width), or the side of a square, in pixels. By default the size of the
            images if all have the same, up to 224; else a square whose side is the median of their
            shorter sides, rounded down to a multiple of 32, from 32 to 224. The upper bound is
            lower, but at least 128, if a network cannot be trained on 224 pixels within a quarter
            of the time limit: see `kt_tuning.data.pixel_format.largest_side`.
        channels: 1 or 3; by default 1 if every image is grey, else 3.
        split: Shares of train, validation and test, with sum 1. With existing splits, a missing
            validation or test split takes its share of the training images.
        seed: Seed of the split.
        max_unreadable: Largest share of the image files, 0 to 1, that may be unreadable. They are
            left out, and listed in the result's `unreadable`.
        class_names: The names of the sub-folders that are classes, in the order of their labels;
            others are left out. By default all sub-folders are classes.
        groups: Images that stay in one part of the split, and in one fold, in addition to copies:
            "folder", for those in the same folder below a class folder; a regular expression with
            one group in parentheses, which is searched for in paths relative to `folder`, such as
            `patient(\d+)`; or a function that maps such a path to a group, or to None for an image
            without one. For a table, the default is its column of groups.
        images: Folder of the files that a table names; that of the table if None.
        columns: Meaning ("file", "label", "split", "group") -> name of the column of a table;
            others are found by their usual names.
        max_missing: Largest share of the rows of a table, 0 to 1, that may be left out because
            their file is missing, their label is empty or another row contradicts them.
        time_limit: Duration of the search for which the images are loaded, such as "5m" or seconds.
        backbone: Whether pre-trained networks are searched. Sides are then up to 288 pixels, and
            the time limit does not reduce them.
        cache: Folder for the decoded pixels; by default `$KT_TUNING_CACHE`, or `kt-tuning` in the
            user's cache folder.
        progress: Whether to show a progress bar on the standard error stream while decoding.

    Raises:
        StorageError: if the folder cannot be read or the cache cannot be written.
        DataError: if the folder has another layout, a class has too few images, or too many files
            are unreadable.
        OptionError: if an argument is invalid.
    """
    size, wanted_channels = check_size(image_size), check_channels(channels)
    check_split(split)
    generator(seed)
    if not (isinstance(folder, (str, os.PathLike)) or is_table(folder)):
        raise OptionError(
            "Expected the path of a folder, of a table or of an .npz file, or a DataFrame. "
            f"Received: {type(folder).__name__}. Arrays go to ImageData.from_arrays."
        )
    check_share("max_unreadable", max_unreadable)
    if groups is not None:
        find_groups(groups)
    limit = seconds(time_limit)
    table = None
    if is_npz(folder) and images is columns is groups is None:
        from kt_tuning.data.npz_file import load_npz

        assert isinstance(folder, (str, os.PathLike))
        return load_npz(
            folder,
            image_size=size,
            channels=wanted_channels,
            split=split,
            seed=seed,
            class_names=class_names,
        )
    if is_table(folder):
        if class_names is not None:
            raise OptionError("`class_names` names folders: the classes of a table are its labels.")
        from kt_tuning.data.label_table import read_table

        found = read_table(folder, images, columns=columns, max_missing=max_missing)
        listing, table = found.listing, found.source
        if groups is None and found.groups:
            groups = found.groups.get
        elif groups == FOLDER:
            groups = os.path.dirname
    elif images is not None or columns is not None:
        raise OptionError(
            f"`images` and `columns` belong to a table, a file that ends in {', '.join(SUFFIXES)}. "
            f"Received: {folder}"
        )
    elif is_npz(folder):
        raise OptionError(
            f"`groups` are found in paths, which the images of {folder} do not have. Load its "
            "arrays and give ImageData.from_arrays their groups."
        )
    else:
        assert isinstance(folder, (str, os.PathLike))
        listing = scan(folder, class_names=class_names, skip=cache_folder(cache))
    check_class_names(listing.class_names)
    largest = LARGEST
    if size is None:
        # An upper bound: other splits may take some of them.
        files = sum(map(len, listing.parts.get("train", ())))
        largest = largest_side(files, time_limit=limit, backbone=backbone)
    settings = f"{size} {wanted_channels} {DECODE_RULE} {PIL.__version__}"
    if largest != LARGEST:
        settings += f" {largest}"
    stored = PixelCache(cache_folder(cache), listing.digest(settings))
    index = stored.read()
    if index is None:
        # only here: it brings the progress bar, which a cached load does without
        from kt_tuning.data.decode_folder import decode_folder

        index = decode_folder(
            listing,
            stored,
            size=size,
            channels=wanted_channels,
            largest=largest,
            progress=progress,
        )
    unreadable = [(os.path.join(listing.root, path), reason) for path, reason in index.unreadable]
    _check_unreadable(unreadable, len(listing.files), max_unreadable)
    _check_classes(index)
    labels = part_labels(index.counts)
    ends = accumulate(len(part) for part in labels.values())
    missing = [part for part in PARTS if part not in labels]
    if missing and len(labels) > 1:
        logging.getLogger("kt_tuning").info(
            "%s has no %s images: they are taken from the training images.",
            *(listing.root, " and no ".join(missing)),
        )
    places = {
        part: np.arange(end - len(labels[part]), end)
        for part, end in zip(labels, ends, strict=True)
    }
    all_labels = np.concatenate([*labels.values()])
    names = index.class_names
    lost = {path for path, _ in index.unreadable}
    paths = [file.path for file in listing.files if file.path not in lost]
    duplicates = Duplicates(index.exact, index.similar)
    _say_formats(index, listing.root)
    indices, together = split_images(
        all_labels,
        places,
        duplicates,
        None if groups is None else groups_of_paths(paths, listing.class_folders(lost), groups),
        split=split,
        seed=seed,
        class_names=names,
        name_of=paths.__getitem__,
    )
    return ImageData(
        pixels=stored.pixel_file(index.shape),
        labels=all_labels,
        indices=indices,
        class_names=names,
        content=index.content,
        source=listing.root,
        unreadable=unreadable,
        size_origin=index.size_origin,
        bits=index.pixels.bits,
        duplicates=duplicates,
        groups=together,
        table=table,
    )


def _say_formats(index: CacheIndex, root: str) -> None:
    """Log the bit depth, and files that an exported model cannot decode."""
    logger = logging.getLogger("kt_tuning")
    if (bits := index.pixels.bits) < 16:
        logger.warning(
            "The files of %s with 16 bits per pixel use %d bits: their levels, 0 to %d, become 0 "
            "to 255.",
            *(root, bits, 2**bits - 1),
        )
    if index.unserved:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(index.unserved.items()))
        logger.warning(
            "%d of %d images are files that an exported model cannot decode by itself (%s): give "
            "it their pixels, or use `kt-tuning predict`, which reads what training reads.",
            *(sum(index.unserved.values()), index.shape[0], kinds),
        )


def _check_unreadable(
    unreadable: Sequence[tuple[str, str]], files: int, max_unreadable: float
) -> None:
    if not unreadable:
        return
    shown = "; ".join(f"{path} ({reason})" for path, reason in unreadable[:_SHOWN])
    more = f"; and {len(unreadable) - _SHOWN} more" if len(unreadable) > _SHOWN else ""
    if len(unreadable) > max_unreadable * files:
        raise DataError(
            f"{len(unreadable)} of {files} image files cannot be read: {shown}{more}. Expected at "
            f"most a share of {max_unreadable:g}. Repair or remove them, or raise max_unreadable "
            "(--max-unreadable)."
        )
    logging.getLogger("kt_tuning").warning(
        "Skipped %d of %d image files that cannot be read: %s%s",
        *(len(unreadable), files, shown, more),
    )


def _check_classes(index: CacheIndex) -> None:
    """Check that no class of an existing split has only unreadable files."""
    for part, counts in index.counts.items():
        empty = [index.class_names[label] for label, count in enumerate(counts) if count == 0]
        if empty and part != "train":  # the train part's sizes are checked with the split
            raise DataError(
                f"Expected readable images of every class in the {part} split. Found none of: "
                f"{', '.join(empty)}"
            )
