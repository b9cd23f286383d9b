"""Export of a model in any format, with a check that the export predicts as the model does."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import ExportError, KtTuningError, OptionError
from kt_tuning.core.records import DataCard
from kt_tuning.export.export_folder import check_free, new_export, write_labels, write_provenance
from kt_tuning.export.export_source import Predict, Source, predict_all
from kt_tuning.export.formats import format_named
from kt_tuning.export.layer_overrides import clean_names, half_precision, in_float32
from kt_tuning.export.measurement import NumericalCheck, Tolerance, check_tolerance, compare

if TYPE_CHECKING:
    import keras

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
        predict: The export, loaded into the runtime that it is meant for.
        probabilities: (N, classes), of the export on the images of the check.
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
    """Write a model in one of `FORMATS`, load it as its users will, and compare the two.

    A model that was trained in mixed precision remains so as a SavedModel and as a Keras file;
    other formats get it in float32, with pixels in and float32 probabilities out like any other.
    Layers with names that TensorFlow refuses, such as "_x", have other ones in the export.

    `labels.txt`, a class a line, and `provenance.json` are written beside the model. The folder is
    written completely or not at all.

    Args:
        model: From uint8 (N, height, width, channels) to probabilities (N, classes).
        path: The folder to write. TensorFlow Serving wants its name to be a version number.
        format: Name in `FORMATS`.
        card: Class names and pixel format of the data that the model was trained on.
        provenance: Further facts to record: hyperparameters, scores.
        check_images: uint8 (N, height, width, channels), validation images to compare the two
            on. 16 random images if None.
        examples: uint8 (N, height, width, channels), some hundred training images; int8 formats
            need them, to know the range of every activation.

    Raises:
        OptionError: on an unknown format, or one that needs examples without them.
        MissingExtraError: if a package is missing.
        ExportError: if the model does not fit the card, if Keras runs on another backend than
            TensorFlow, if the format does not take the model, or if the export predicts otherwise.
        StorageError: if `path` is taken or cannot be written.
        DataError: if images do not fit the card.
    """
    row = format_named(format)
    format = row.name
    row.check_installed()
    path = Path(path)
    check_free(path)
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
    source.check_images(images, "check_images")
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
            write_labels(folder, card.class_names)
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
