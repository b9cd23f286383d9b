"""Export of a run's models to other formats: each is checked, measured and described."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.atomic import remove_abandoned
from kt_tuning.core.errors import OptionError
from kt_tuning.data import ImageData
from kt_tuning.ensembling import trained_on_validation
from kt_tuning.ensembling.run_files import RunRecords, read_validated
from kt_tuning.evaluation import measure_latency
from kt_tuning.evaluation.cost import LATENCY_CALLS, LATENCY_SECONDS
from kt_tuning.evaluation.test_uses import model_digest
from kt_tuning.export import (
    FORMATS,
    Exported,
    Measurement,
    Pruned,
    export_model,
    format_named,
    prune,
)
from kt_tuning.export.export_model import new_export, next_version, versions
from kt_tuning.export.export_source import LABELS_FILE, PROVENANCE_FILE
from kt_tuning.export.measurement import MEASUREMENT_FILE, MEASUREMENT_HEADER, measurement_rows
from kt_tuning.finalize.model_card import MODEL_CARD_FILE, write_model_card
from kt_tuning.recipe import Recipe
from kt_tuning.run import Run, write_lock
from kt_tuning.run.layout import EXPORT
from kt_tuning.trials import ImageTask
from kt_tuning.trials.checkpoint import TrainingState

logger = logging.getLogger("kt_tuning")

SAVED_MODEL = "saved_model"
IMAGES = 1000
"""Validation images that an export is compared with the trained model on."""
EXAMPLES = 500
"""Training images that int8 formats take the range of activations from."""
_BESIDE_THE_MODEL = {LABELS_FILE, PROVENANCE_FILE, MEASUREMENT_FILE, MODEL_CARD_FILE}
RECIPE = Recipe(batch_size=64, augment="light")


@dataclasses.dataclass(frozen=True)
class Pruning:
    """How a model is pruned before it is exported.

    Attributes:
        sparsity: Share of the kernel weights that are set to zero, above 0 and below 1.
        rounds: Number of rounds of pruning and training.
        epochs: Training epochs of each round.
    """

    sparsity: float
    rounds: int = 4
    epochs: int = 1


def export_run(
    directory: str | Path,
    model: keras.Model,
    data: ImageData,
    formats: Sequence[str] = (SAVED_MODEL,),
    *,
    path: Path | None = None,
    images: int = IMAGES,
    pruning: Pruning | None = None,
    seed: int = 0,
) -> list[Measurement]:
    """Export a model of a run, measure each export, and write its model card.

    A SavedModel goes to `export/<version>`, the folder that TensorFlow Serving watches; other
    formats to `export/<format>/<version>`, which it does not look into.

    Args:
        directory: The run directory.
        model: Its final model, or another one; `pruning` changes it.
        data: The data that were searched on. Exports are compared and measured on validation
            images; training images are examples for int8 and for pruning. The test split is left
            alone. Of a model that was trained on validation images, with folds or by a refit, the
            accuracy out of fold is given instead, if known.
        formats: Names in `FORMATS`.
        path: Folder to write instead, which must not exist; with one format only.
        images: Validation images that are looked at, at most.
        pruning: Whether and how to prune first.
        seed: Of the choice of images, and of training.

    Returns:
        A measurement an export. Where the newest version in the run directory is of the same model,
        nothing is written, and its measurement is returned.

    Raises:
        OptionError: on an unknown format, no images, or wrong pruning.
        MissingExtraError: if a package is missing; nothing is exported then.
        ExportError: if an export behaves unlike the model. Those before it remain.
        StorageError: if the run directory cannot be read or written.
    """
    if images < 1 or not formats:
        raise OptionError(
            "An export takes at least 1 format and 1 image to compare. "
            f"Received: formats={list(formats)}, images={images}"
        )
    rows = list({row.name: row for row in map(format_named, formats)}.values())
    if path is not None and (len(rows) > 1 or path.exists()):
        raise OptionError(
            "An export into a folder of your own takes one format and a folder that does not exist."
            f" Received: path={path}, {'which exists' if path.exists() else formats}"
        )
    for row in rows:
        row.check_installed()
    directory = Path(directory)
    records = RunRecords.load(directory)
    pruned = None if pruning is None else _prune(model, data, pruning, seed)
    rng = np.random.default_rng(seed)
    chosen = _some(len(data.validation), images, rng)
    compared, labels = data.validation.take(chosen), data.validation.labels[chosen]
    seen = trained_on_validation(directory)
    validated = read_validated(directory) if seen else None
    examples = data.train.take(_some(len(data.train), EXAMPLES, rng))
    provenance = records.provenance()
    if pruning is not None and pruned is not None:
        provenance["pruning"] = dataclasses.asdict(pruning) | dataclasses.asdict(pruned)
    found = []
    with write_lock(directory) if path is None else contextlib.nullcontext():
        for name in (row.name for row in rows):
            # A SavedModel is where TensorFlow Serving looks.
            parent = directory / EXPORT / ("" if name == SAVED_MODEL else name)
            remove_abandoned(parent)
            digest = model_digest(model)
            made = None if path is not None else _made_before(parent, digest)
            if made is not None:
                logger.info("%s has this model already.", directory / made.folder)
                write_model_card(records, directory / made.folder, made)
                found.append(made)
                continue
            place = path or next_version(parent)
            inside = place.is_relative_to(directory)
            # The model, its measurement and its card appear together.
            with new_export(place) as folder:
                exported = export_model(
                    model,
                    folder,
                    format=name,
                    card=records.card,
                    provenance=provenance,
                    check_images=compared,
                    examples=examples if FORMATS[name].needs_examples else None,
                )
                measurement = measure_export(
                    exported,
                    compared,
                    None if seen else labels,
                    folder=(
                        place.relative_to(directory) if inside else place.absolute()
                    ).as_posix(),
                    sparsity=None if pruned is None else pruned.sparsity,
                    out_of_fold=None if validated is None else validated.accuracy,
                    model=digest,
                )
                write_model_card(records, folder, measurement)
            found.append(measurement)
    return found


def _made_before(parent: Path, digest: str | None) -> Measurement | None:
    """Return the measurement of the newest version in a folder if it is of the same model.

    Args:
        parent: The folder of all versions of a format.
        digest: Of the model, see `model_digest`; None if it is not known.
    """
    newest = max(versions(parent), default=None)
    if newest is None or digest is None:
        return None
    folder = parent / str(newest)
    made = Run(folder).read(Measurement, MEASUREMENT_FILE)
    whole = (folder / MODEL_CARD_FILE).is_file()
    return made if made is not None and whole and made.model == digest else None


def _some(count: int, wanted: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    return np.sort(rng.permutation(count)[:wanted])


def _prune(model: keras.Model, data: ImageData, pruning: Pruning, seed: int) -> Pruned:
    # The same layers in another model: compiled itself, the final model would be saved with an
    # optimizer, which is twice as large as its weights.
    trained = keras.Model(model.inputs[0], model.outputs[0])
    fit = fine_tuning(trained, data, epochs=pruning.epochs, seed=seed)
    return prune(trained, fit, sparsity=pruning.sparsity, rounds=pruning.rounds)


def measure_export(
    exported: Exported,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]] | None,
    *,
    folder: str,
    sparsity: float | None = None,
    out_of_fold: float | None = None,
    model: str | None = None,
) -> Measurement:
    """Measure an export in the runtime that it is meant for, and keep the result beside it.

    Args:
        exported: What `export_model` returned.
        images: (N, H, W, C) uint8 of the validation split, which the two were compared on.
        labels: (N,) integers in 0..classes-1; None if the model was trained on these images.
        folder: See `Measurement`.
        sparsity: See `Measurement`.
        out_of_fold: Without labels, the accuracy that the model has out of fold, if it is known.
        model: See `Measurement`.
    """
    files = [path for path in exported.path.rglob("*") if path.is_file()]
    model_files = [path for path in files if path.name not in _BESIDE_THE_MODEL]
    accuracy = None
    if labels is not None:
        accuracy = float((exported.probabilities.argmax(axis=1) == labels).mean())
    elif exported.check.agreement == 1 and sparsity is None:
        accuracy = out_of_fold
    measurement = Measurement(
        format=exported.format,
        folder=folder,
        size=sum(path.stat().st_size for path in model_files),
        zipped=sum(len(zlib.compress(path.read_bytes())) for path in model_files),
        latency_ms=measure_latency(
            exported.predict, images[:1], repeats=LATENCY_CALLS, seconds=LATENCY_SECONDS
        ),
        accuracy=accuracy,
        images=len(images),
        agreement=exported.check.agreement,
        difference=exported.check.difference,
        sparsity=sparsity,
        seen=labels is None,
        model=model,
    )
    measurement.save(exported.path / MEASUREMENT_FILE)
    return measurement


def format_table(found: Sequence[Measurement]) -> str:
    """Return the table for a terminal."""
    lines = [MEASUREMENT_HEADER, *measurement_rows(found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def fine_tuning(
    model: keras.Model,
    data: ImageData,
    *,
    epochs: int = 1,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> Callable[[keras.Model, int], None]:
    """Prepare to train a model on the training images, lightly augmented, as trials are.

    Args:
        model: From uint8 pixels to probabilities. It is compiled anew, with Adam.
        data: Its training split is used.
        epochs: Epochs per round.
        learning_rate: Of the first round; it is halved in each further round.
        seed: Seed of the order of images, and of augmentation.

    Returns:
        A function of the model and a round, from 0, that trains it: what `prune` takes.

    Raises:
        OptionError: if `epochs` is below 1.
    """
    if epochs < 1:
        raise OptionError(f"A round has at least 1 epoch. Received: {epochs}")
    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(),
        jit_compile=False,
    )
    task = ImageTask(keras_tuner.HyperModel(), data, RECIPE, objectives=["val_accuracy"])

    def fit(model: keras.Model, number: int) -> None:
        model.optimizer.learning_rate = learning_rate / 2**number
        state = TrainingState(index=0, epochs=(number + 1) * epochs, done=number * epochs)
        task.fit(keras_tuner.HyperParameters(), model, state, seed=seed, callbacks=[])

    return fit
