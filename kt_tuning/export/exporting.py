"""Writing a model in any format, and proving that it works."""

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
from kt_tuning.export.clean_names import with_clean_names
from kt_tuning.export.folder import check_free, new_export, write_labels, write_provenance
from kt_tuning.export.formats import Format, format_named
from kt_tuning.export.parity import FLOAT32, Parity, Tolerance, check_parity, measure_parity
from kt_tuning.export.precision import half_precision, in_float32
from kt_tuning.export.source import Predict, Source, predict_all

if TYPE_CHECKING:
    import keras

_RANDOM_IMAGES = 16
_LONGEST = 300
"""Characters of what a converter says that are shown."""

ROUNDED = Tolerance(difference=0.1, agreement=0.99)
"""How far a model may be off that was trained with 16 bits, once it computes with 32: bfloat16 has
two or three decimals."""

# Decoding files one by one takes a while, and a few dozen tell.
_IMAGES_CHECKED = 32


@dataclasses.dataclass(frozen=True)
class Exported:
    """A model that was written and proved to work.

    Attributes:
        path: Its folder.
        format: Name in `FORMATS`.
        parity: By how much it is off the trained one.
        predict: The model, loaded into the runtime that it is meant for.
        served: (N, classes) its probabilities on the images that the two were compared on.
    """

    path: Path
    format: str
    parity: Parity
    predict: Predict = dataclasses.field(repr=False, compare=False)
    served: NDArray[np.float32] = dataclasses.field(repr=False, compare=False)


def export_model(
    model: keras.Model,
    path: str | Path,
    *,
    format: str = "saved_model",
    card: DataCard,
    provenance: dict[str, Any] | None = None,
    parity_images: NDArray[np.uint8] | None = None,
    examples: NDArray[np.uint8] | None = None,
) -> Exported:
    """Write a model in one of `FORMATS`, load it as its users will, and compare the two.

    A model that was trained in mixed precision stays so as a SavedModel and as a Keras file; other
    formats get it in float32, with pixels in and float32 probabilities out like any other. Layers
    with names that TensorFlow refuses, such as "_x", have other ones in the export.

    Beside the model lie `labels.txt`, a class a line, and `provenance.json`. The folder appears
    whole or not at all.

    Args:
        model: From uint8 (N, height, width, channels) to probabilities (N, classes).
        path: The folder to write. TensorFlow Serving wants its name to be a version number.
        format: Name in `FORMATS`.
        card: What the model was trained on: its class names and pixel format.
        provenance: What else to record: hyperparameters, scores.
        parity_images: uint8 (N, height, width, channels), validation images to compare the two
            on. 16 random images if None.
        examples: uint8 (N, height, width, channels), some hundred training images; int8 formats
            need them, to know the range of every activation.

    Raises:
        OptionError: on an unknown format, or one that needs examples without them.
        MissingExtraError: if a package is missing.
        ExportError: if the model does not fit the card, if Keras runs on another backend than
            TensorFlow, if a model in mixed precision cannot be had in float32, or one with names
            that TensorFlow refuses under others, or if the export behaves unlike the model.
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
    images = _images_like(card) if parity_images is None else np.asarray(parity_images)
    source.check_images(images, "parity_images")
    source = dataclasses.replace(source, model=with_clean_names(model))
    expected, more = source.answers(images), {}
    if source.model is not model:
        _check_clean(source.model, model, images[:_IMAGES_CHECKED])
    if not row.keeps_precision and (precision := half_precision(model)):
        source = dataclasses.replace(source, model=in_float32(model))
        trained, expected = expected, source.answers(images)
        rounding = measure_parity(expected, trained)
        check_parity(rounding, ROUNDED, f"in float32, trained in {precision}")
        more = {"trained_in": {"precision": precision, **dataclasses.asdict(rounding)}}
    with new_export(path) as folder:
        with _refusals_told(format):
            row.write(source, folder)
            write_labels(folder, card.class_names)
            predict = row.read(folder)
            served = predict_all(predict, images)
        parity = _check(row, predict, source, images, expected, served)
        write_provenance(
            folder,
            card,
            row.packages,
            format=format,
            parity=dataclasses.asdict(parity),
            model=provenance or {},
            **more,
        )
    return Exported(path, format, parity, predict, served)


def export_saved_model(
    model: keras.Model,
    path: str | Path,
    *,
    card: DataCard,
    provenance: dict[str, Any] | None = None,
    parity_images: NDArray[np.uint8] | None = None,
) -> Path:
    """Write a SavedModel with two signatures; see `export_model` and `write_saved_model`.

    Returns:
        `path`.
    """
    return export_model(
        model, path, card=card, provenance=provenance, parity_images=parity_images
    ).path


def _check_clean(clean: keras.Model, model: keras.Model, images: NDArray[np.uint8]) -> None:
    """Compare a model with the same one under names that TensorFlow takes."""
    # Not as graphs, which have scopes that are named after layers.
    found, expected = (np.asarray(m(images, training=False), np.float32) for m in (clean, model))
    check_parity(measure_parity(found, expected), FLOAT32, "under names that TensorFlow takes")


def _check(
    row: Format,
    predict: Predict,
    source: Source,
    images: NDArray[np.uint8],
    expected: NDArray[np.float32],
    served: NDArray[np.float32],
) -> Parity:
    parity = measure_parity(served, expected)
    check_parity(parity, row.tolerance, row.name)
    if row.check is not None:
        row.check(predict, source, images[:_IMAGES_CHECKED], expected[:_IMAGES_CHECKED])
    return parity


@contextlib.contextmanager
def _refusals_told(format: str) -> Iterator[None]:
    """Say in our words what a converter or runtime says in its own, of whatever class."""
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


def _images_like(card: DataCard) -> NDArray[np.uint8]:
    shape = (_RANDOM_IMAGES, *card.pixels.shape)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
