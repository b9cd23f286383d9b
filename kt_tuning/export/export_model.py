"""Export of a model in any format, with a check that the export predicts as the model does.

The folder of an export is written completely or not at all, with labels and provenance.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.atomic import atomic_folder
from kt_tuning.core.errors import ExportError, KtTuningError, OptionError, StorageError
from kt_tuning.core.json_record import write_json
from kt_tuning.core.records import DataCard, check_image_batch
from kt_tuning.export.export_source import (
    LABELS_FILE,
    PROVENANCE_FILE,
    Predict,
    Source,
    predict_all,
)
from kt_tuning.export.formats import format_named
from kt_tuning.export.layer_overrides import clean_names, half_precision, in_float32
from kt_tuning.export.measurement import NumericalCheck, Tolerance, check_tolerance, compare

if TYPE_CHECKING:
    import keras

_PACKAGES = ("kt-tuning", "keras", "tensorflow", "numpy", "pillow")
_RANDOM_IMAGES = 16
_LONGEST = 300
"""Characters of a converter's message that are shown."""

ROUNDED = Tolerance(difference=0.1, agreement=0.99)
"""Largest allowed difference between a model that was trained in 16 bits and the same in float32:
bfloat16 has two or three decimals."""

# Decoding files one by one is slow, and a few dozen are enough.
_FILES_CHECKED = 32


@dataclasses.dataclass(frozen=True)
class Exported:
    """An export that passed its check.

    Attributes:
        path: Its folder.
        format: Name in `FORMATS`.
        check: Differences from the trained model.
        predict: The prediction function of the export, loaded into its runtime.
        probabilities: (N, classes), predictions of the export for the images of the check.
    """

    path: Path
    format: str
    check: NumericalCheck
    predict: Predict = dataclasses.field(repr=False, compare=False)
    probabilities: NDArray[np.float32] = dataclasses.field(repr=False, compare=False)


def export_model(
    model: keras.Model,
    path: str | Path,
    *,
    format: str = "saved_model",
    card: DataCard,
    provenance: dict[str, Any] | None = None,
    check_images: NDArray[np.uint8] | None = None,
    examples: NDArray[np.uint8] | None = None,
) -> Exported:
    """Export a Keras model, load the export into its runtime, and compare the two.

    A model that was trained in mixed precision keeps it in a SavedModel and in a Keras file; other
    formats contain the model in float32. In all formats the input is uint8 pixels and the output
    float32 probabilities. Layers with names that TensorFlow refuses, such as "_x", are renamed.

    The folder also contains `labels.txt`, with one class per line, and `provenance.json`. It is
    written completely or not at all.

    Args:
        model: Maps uint8 (N, height, width, channels) to probabilities (N, classes).
        path: The folder to write. For TensorFlow Serving its name must be a version number.
        format: Name in `FORMATS`.
        card: Class names and pixel format of the data that the model was trained on, such as
            `data.card`.
        provenance: Further facts to record, such as hyperparameters and scores.
        check_images: uint8 (N, height, width, channels), validation images on which the two are
            compared. 16 random images if None.
        examples: uint8 (N, height, width, channels), some hundred training images; int8 formats
            need them to calibrate the range of every activation.

    Returns:
        The export, with its differences from the model and its predictions.

    Raises:
        OptionError: if the format is unknown, or needs examples and there are none.
        MissingExtraError: if a package is missing.
        ExportError: if the model does not fit the card, Keras uses another backend than TensorFlow,
            the format does not support the model, or the predictions differ.
        StorageError: if `path` exists or cannot be written.
        DataError: if images do not fit the card.
    """
    row = format_named(format)
    format = row.name
    row.check_installed()
    path = Path(path)
    _check_absent(path)
    source = Source(model, card, examples)
    source.check()
    if row.needs_examples and examples is None:
        raise OptionError(
            f"The format {format!r} takes the range of every activation from images. Give some "
            "hundred training images as `examples`."
        )
    if check_images is None:
        shape = (_RANDOM_IMAGES, *card.pixels.shape)
        check_images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    images = np.asarray(check_images)
    check_image_batch(images, card.pixels.shape, "check_images")
    more = {}
    with contextlib.ExitStack() as overrides:
        overrides.enter_context(clean_names(model))
        expected = source.predict(images)
        if not row.keeps_precision and (precision := half_precision(model)):
            overrides.enter_context(in_float32(model))
            trained, expected = expected, source.predict(images)
            rounding = compare(expected, trained)
            check_tolerance(rounding, ROUNDED, f"in float32, trained in {precision}")
            more = {"trained_in": {"precision": precision, **dataclasses.asdict(rounding)}}
        folder = overrides.enter_context(new_export(path))
        with _converter_errors(format):
            row.write(source, folder)
            labels = "".join(f"{name}\n" for name in card.class_names)
            (folder / LABELS_FILE).write_text(labels, encoding="utf-8", newline="\n")
            predict = row.read(folder)
            probabilities = predict_all(predict, images)
        check = compare(probabilities, expected)
        check_tolerance(check, row.tolerance, format)
        if row.check is not None:
            row.check(predict, source, images[:_FILES_CHECKED], expected[:_FILES_CHECKED])
        write_provenance(
            folder,
            card,
            row.packages,
            format=format,
            numerical_check=dataclasses.asdict(check),
            model=provenance or {},
            **more,
        )
    return Exported(path, format, check, predict, probabilities)


@contextlib.contextmanager
def _converter_errors(format: str) -> Iterator[None]:
    """Raise `ExportError` in place of whatever a converter or runtime raises."""
    try:
        yield
    except (KtTuningError, OSError, MemoryError):
        raise
    except Exception as error:
        said = str(error).strip().partition("\n")[0][:_LONGEST]
        others = "keras" if format == "saved_model" else "saved_model takes most"
        raise ExportError(
            f"The format {format!r} does not take this model: its converter or runtime says "
            f"{type(error).__name__}: {said} Export another format: {others}."
        ) from error


def next_version(folder: Path) -> Path:
    """Return the first unused version, 1, 2, …, of TensorFlow Serving's `folder/<version>`."""
    return folder / str(max(versions(folder), default=0) + 1)


def versions(folder: Path) -> list[int]:
    """Return the versions in a folder of exports."""
    return [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]


def _check_absent(path: Path) -> None:
    """Refuse a path that is in use.

    Raises:
        StorageError: if `path` is anything but an empty folder.
    """
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.exists():
        free = next_version(path.parent)
        if free.name == "1":
            free = path.with_name(f"{path.name}-2")
        raise StorageError(f"{path} is there already. Export to {free}, or remove it first.")


@contextlib.contextmanager
def new_export(path: Path) -> Iterator[Path]:
    """Yield a folder that becomes `path` at the end of the block; see `atomic_folder`.

    Raises:
        StorageError: if it cannot be written.
    """
    try:
        with atomic_folder(path) as folder:
            yield folder
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}.") from error


def write_provenance(
    folder: Path, card: DataCard, packages: Sequence[str], **more: dict[str, Any] | str
) -> None:
    """Write `provenance.json`: date, data and package versions of the export.

    Args:
        folder: Folder of the file.
        card: The data.
        packages: Packages whose versions are recorded beside those of Keras, TensorFlow and others.
        **more: Further entries.
    """
    versions = {"python": platform.python_version()}
    for name in (*_PACKAGES, *packages):
        # Not found: run from a checkout, or TensorFlow has another name such as tensorflow-cpu.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    content = {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "data": card.to_json(),
        **more,
    }
    write_json(folder / PROVENANCE_FILE, content)
