"""Evaluation of a run's final model on the test split; the final model and the data of a run."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.core.records import PARTS
from kt_tuning.data import Groups, ImageData, load_images
from kt_tuning.data.load_data import is_table
from kt_tuning.ensembling import Ensemble, EnsembleRecord, trained_on_validation
from kt_tuning.ensembling.run_files import (
    combination_digest,
    find_ensemble_file,
    load_keras_model,
    read_scores,
    read_validated,
)
from kt_tuning.evaluation import Parts, Scores, evaluate, make_gallery
from kt_tuning.evaluation.test_uses import add_uses, held_out_uses, model_digest
from kt_tuning.run import Run, write_lock
from kt_tuning.run.layout import ENSEMBLE, GALLERY, SCORES, SPLIT, final_model_file

logger = logging.getLogger("kt_tuning")

ARRAYS = "arrays"
"""Source of data that were not read from files."""


def load_run_data(
    directory: str | Path, folder: str | Path | None = None, *, progress: bool = True
) -> ImageData:
    """Load the images that a search was run on, split as they were then.

    Args:
        directory: The run directory.
        folder: Where the images, or the table of their labels, are now; where they were if None.
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
    if folder is None and not Path(card.source).exists():
        raise StorageError(
            f"The images of {directory} were in {card.source}, which is not there any more. Name "
            "the place where they are now as `data` (--data)."
        )
    images = card.source if folder is None else folder
    if table is None:
        data = load(images, class_names=card.class_names)
    else:
        labels, place = table.path, Path(images)
        if is_table(images):
            labels, place = str(images), Path(card.source)
            place = place if place.is_dir() else Path(images).parent
        elif not Path(labels).is_file():
            raise StorageError(
                f"The table that {directory} was searched on, {labels}, is not there any more. "
                "Name it where it is now as `data` (--data labels.csv)."
            )
        data = load(labels, images=place, columns=table.columns, max_missing=table.max_missing)
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


def save_final_model(
    ensemble: Ensemble, directory: str | Path, *, obstacle: str | None = None
) -> Path | None:
    """Write a run's ensemble as one Keras file, for `load_final_model`.

    The file name contains the digest of `ensemble.json`, so that a file of an earlier ensemble is
    never mistaken for it; such files are deleted.

    Args:
        ensemble: The ensemble that `ensemble.json` describes.
        directory: The run directory.
        obstacle: Why Keras is known to be unable to write it, if that was logged before.

    Returns:
        The file; None if Keras cannot write it, which is logged unless there is an `obstacle`.
    """
    path = _file(Path(directory))
    try:
        ensemble.save(path)
    except (TypeError, ValueError, NotImplementedError) as error:
        if obstacle is None:
            logger.warning(
                "The ensemble cannot be written as a Keras file, which `kt-tuning evaluate` and "
                "`export` would read (%s). Give its layers a `get_config`.",
                error,
            )
        return None
    for earlier in path.parent.glob(final_model_file(Path(), "[0-9a-f]" * 12).name):
        if earlier != path:
            earlier.unlink()
    return path


def load_final_model(directory: str | Path) -> keras.Model:
    """Read the final model of a run: uint8 pixels (n, H, W, C) -> probabilities (n, classes).

    Raises:
        StorageError: if the run has no ensemble, or its ensemble has not been saved.
    """
    return load_keras_model(find_ensemble_file(Path(directory)))


def has_final_model(directory: str | Path) -> bool:
    """Whether the present ensemble of a run has been saved."""
    directory = Path(directory)
    return (directory / ENSEMBLE).is_file() and _file(directory).is_file()


def _file(directory: Path) -> Path:
    return final_model_file(directory, combination_digest(directory))


def evaluate_run(
    model: Any,
    data: ImageData,
    directory: str | Path,
    *,
    parts: Parts | Sequence[str] = (),
    bootstrap: int = 1000,
    seed: int = 0,
) -> Scores:
    """Evaluate a model on the test split of a run's data, and note the use in the run.

    `test_uses.json` names the model before the split is opened. Scores of the run's final model go
    to `scores.json`, together with parts that were measured of it before; its worst mistakes and
    where it looks go to `gallery.json`. Scores of any other model are returned and not kept.

    Args:
        model: The run's ensemble, its final model (see `load_final_model`), or any other model.
        data: The data that the search was run on.
        directory: The run directory.
        parts: See `kt_tuning.evaluate`.
        bootstrap: Resamples per interval, at least 1.
        seed: Seed of the resamples, corruptions and attacks.

    Raises:
        DataError: if the search was run on other data.
        OptionError: if an argument is wrong, or a part cannot be measured on this model.
        StorageError: if a file in the directory cannot be read or written, or another process
            writes there.
    """
    directory = Path(directory)
    known = Run(directory).read_data().fingerprint
    if known != data.fingerprint:
        raise DataError(
            f"The search of {directory} was run on other data: fingerprint {known[:12]}. Received: "
            f"{data.fingerprint[:12]}. Evaluate on the data that were searched on."
        )
    with write_lock(directory):
        # Another process may have used the split without knowing of the run.
        add_uses(directory, held_out_uses(data.uses_without_run).uses)
        if directory.resolve() not in [folder.resolve() for folder in data.runs]:
            data.runs.append(directory)
        seen = trained_on_validation(directory)
        scores = evaluate(
            model,
            data,
            parts=_as_before(Parts.of(parts), directory, model),
            bootstrap=bootstrap,
            seed=seed,
            seen=seen,
            out_of_fold=read_validated(directory) if seen else None,
        )
        record = Run(directory).read(EnsembleRecord, ENSEMBLE)
        if scores.model is None or record is None or scores.model != record.model:
            logger.info("Scores are not kept: the model is not the ensemble of %s.", directory)
            return scores
        if (earlier := _earlier_scores(directory)) is not None:
            scores = scores.completed_by(earlier)
        scores.save(directory / SCORES)
        make_gallery(model, data.test, scores.mistakes).save(directory / GALLERY)
        return scores


def _earlier_scores(directory: Path) -> Scores | None:
    """Read the scores that were measured before; damaged ones are measured again."""
    try:
        return read_scores(directory)
    except StorageError as error:
        logger.warning("Earlier scores are left out: %s", error)
        return None


def _as_before(parts: Parts, directory: Path, model: Any) -> Parts:
    """Measure corruptions on the images of earlier attacks, and attacks on those of corruptions.

    Only figures of the same images can stand in one table.
    """
    earlier = _earlier_scores(directory)
    if parts.images is not None or earlier is None or earlier.robustness is None:
        return parts
    one_of_two = len({"corruptions", "attacks"} & set(parts.names)) == 1
    if not one_of_two or earlier.model != model_digest(model):
        return parts
    return dataclasses.replace(parts, images=earlier.robustness.images)
