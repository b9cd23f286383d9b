"""Reading images and labels from an `.npz` file of NumPy arrays."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.core.records import PARTS
from kt_tuning.data.image_data import ImageData
from kt_tuning.data.split_names import split_parts

IMAGES = frozenset({"x", "image", "images", "img", "imgs", "pixels", "data"})
"""Names of an array of images, in lower case; with `_train`, `test_` and the like of a split."""
LABELS = frozenset({"y", "label", "labels", "target", "targets"})
"""Names of an array of labels, likewise."""
CLASS_NAMES = ("class_names", "label_names")
"""Names of an array of class names."""
_ADVICE = (
    "Expected the arrays x and y, or images and labels, or x_train, y_train, x_test, y_test; a "
    "validation split is optional. Save them with numpy.savez(path, x=images, y=labels)."
)


def load_npz(
    path: str | os.PathLike[str],
    *,
    image_size: tuple[int, int] | None,
    channels: int | None,
    split: Sequence[float],
    seed: int,
    class_names: Sequence[str] | None,
) -> ImageData:
    """Load the images of an `.npz` file, such as Keras' data sets; see `load_images`.

    Arrays are found by their names, see `IMAGES` and `LABELS`; nothing is unpickled. Without a
    validation or test split, each takes its share of the images for training. Images stay in the
    size and with the channels that they have: `image_size` and `channels` only check that. Class
    names are by default those of the file, else the labels themselves.

    Raises:
        StorageError: if the file cannot be read.
        DataError: if its arrays cannot be told, need unpickling, or do not fit each other.
        OptionError: if the images have another size, or an argument has no valid value.
    """
    path = Path(path)
    parts, names = _read(path)
    train = parts.pop("train")
    data = ImageData.from_arrays(
        *train,
        class_names=names if class_names is None else class_names,
        **parts,
        split=split,
        seed=seed,
    )
    height, width, found = data.input_shape
    if (image_size or (height, width)) != (height, width) or (channels or found) != found:
        raise OptionError(
            f"The images of {path} are {height}×{width} with {found} channels, and are not "
            f"changed. Received: image_size={image_size}, channels={channels}. Leave both out."
        )
    return dataclasses.replace(data, source=str(path.resolve()))


def _read(path: Path) -> tuple[dict[str, tuple[Any, Any]], Sequence[str] | None]:
    """Return (images, labels) by split, "train" always, and class names if there are any."""
    try:
        with open(path, "rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            places = _find_arrays(path, file.files)
            found = {place: _array(file, key, path) for place, key in places.items()}
            named = next((name for name in CLASS_NAMES if name in file.files), None)
            names = None if named is None else _array(file, named, path).astype(str).tolist()
    except FileNotFoundError:
        raise StorageError(f"No such file: {path}") from None
    except DataError:
        raise
    except Exception as error:  # a damaged archive or header makes NumPy raise almost anything
        raise StorageError(f"{path} is not an .npz file that can be read: {error}") from error
    parts = {part: (found[part, "x"], found[part, "y"]) for part in PARTS if (part, "x") in found}
    return parts, names


def _find_arrays(path: Path, keys: Sequence[str]) -> dict[tuple[str, str], str]:
    """(split, "x" or "y") -> name of its array."""
    shown = ", ".join(keys) or "none"
    problem = f"{path} has these arrays: {shown}."
    places: dict[tuple[str, str], str] = {}
    unused = []
    for key in keys:
        if key in CLASS_NAMES:
            continue
        words = [word for word in re.split(r"[\W_]+", key.lower()) if word]
        kinds = ["x" if word in IMAGES else "y" for word in words if word in IMAGES | LABELS]
        rest = "_".join(word for word in words if word not in IMAGES | LABELS)
        part = split_parts([rest]).get(rest) if rest else "train"
        if len(kinds) != 1 or part is None:
            unused.append(key)
        elif (part, kinds[0]) in places:
            raise DataError(
                f"{problem} {places[part, kinds[0]]} and {key} mean the same. {_ADVICE}"
            )
        else:
            places[part, kinds[0]] = key
    there = {part for part, _ in places}
    unpaired = [part for part in there if not {(part, "x"), (part, "y")} <= places.keys()]
    if "train" not in there or unpaired:
        raise DataError(f"{problem} {_ADVICE}")
    if unused:
        logging.getLogger("kt_tuning").info("%s: arrays not used: %s.", path, ", ".join(unused))
    return places


def _array(file: Any, key: str, path: Path) -> Any:
    try:
        return file[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"The array {key} of {path} holds Python objects, which are not read: unpickling them "
            "could run any code. Save numbers or text of one shape: numpy.savez(path, "
            "x=numpy.stack(images), y=numpy.array(labels))."
        ) from None
