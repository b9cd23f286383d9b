"""Evaluating a model on the test split of a run: scores, a gallery, and a note of the use."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_tuning.data import Groups, ImageData, load_images
from kt_tuning.ensembling import (
    SCORES,
    Ensemble,
    EnsembleRecord,
    combination_digest,
    read_scores,
    read_validated,
    trained_on_validation,
)
from kt_tuning.errors import DataError, OptionError, StorageError
from kt_tuning.evaluation import (
    GALLERY,
    Parts,
    Predicted,
    Scores,
    evaluate,
    make_gallery,
    model_digest,
)
from kt_tuning.records import DataCard, replacing

if TYPE_CHECKING:
    import keras

logger = logging.getLogger("kt_tuning")

ARRAYS = "arrays"
"""The source of data that did not come from a folder."""


def judge(
    model: Any,
    data: ImageData,
    directory: str | Path,
    *,
    parts: Parts | Sequence[str] = (),
    bootstrap: int = 1000,
    seed: int = 0,
) -> Scores:
    """Evaluate a model on the test split of a run's data, and note that in the run.

    `test_uses.json` says that the split is opened, and for which model, before it is. If the model
    is the run's ensemble, `scores.json` gets the scores, with parts that were measured of it
    before, and `gallery.json` its worst mistakes and where it looks. Scores of any other model are
    returned and not kept.

    Args:
        model: The run's ensemble, what `load_winner` returns, or any other model.
        data: What the search was run on.
        directory: The run directory.
        parts: As for `evaluate`.
        bootstrap: Resamples behind an interval, at least 1.
        seed: Of the resamples, and of what corruptions and attacks draw.

    Raises:
        DataError: if the search was run on other data.
        OptionError: if an argument is wrong, or a part cannot be measured on this model.
        StorageError: if a file in the directory cannot be read or written.
    """
    directory = Path(directory)
    known = DataCard.load(directory / "data.json").fingerprint
    if known != data.fingerprint:
        raise DataError(
            f"The search of {directory} was run on other data: fingerprint {known[:12]}. Received: "
            f"{data.fingerprint[:12]}. Evaluate on the data that were searched on."
        )
    if directory.resolve() not in [folder.resolve() for folder in data.runs]:
        data.runs.append(directory)
    seen = trained_on_validation(directory)
    validated = read_validated(directory) if seen else None
    out_of_fold = None
    if validated is not None:
        out_of_fold = Predicted(validated.labels, validated.probabilities)
    scores = evaluate(
        model,
        data,
        parts=parts,
        bootstrap=bootstrap,
        seed=seed,
        seen=seen,
        out_of_fold=out_of_fold,
    )
    if scores.model is None or scores.model != ensemble_digest(directory):
        logger.info("Not the ensemble of %s, which keeps no scores of it.", directory)
        return scores
    if (earlier := read_scores(directory)) is not None:
        scores = scores.completed_by(earlier)
    scores.save(directory / SCORES)
    make_gallery(model, data.test, scores.mistakes).save(directory / GALLERY)
    return scores


def ensemble_digest(directory: str | Path) -> str | None:
    """Return the digest of a run's combined model; None if there is none yet.

    Raises:
        StorageError: if `ensemble.json` cannot be read.
    """
    directory = Path(directory)
    if not (directory / "ensemble.json").is_file():
        return None
    known = EnsembleRecord.load(directory / "ensemble.json").model
    if known is None and _winner_file(directory).is_file():
        # Written by an earlier version.
        return model_digest(load_winner(directory))
    return known


def save_winner(ensemble: Ensemble, directory: str | Path) -> Path:
    """Keep a run's ensemble as one Keras file, for `load_winner`.

    Its name has the digest of `ensemble.json`: a file of an earlier ensemble is not taken for it,
    and deleted here.
    """
    path = _winner_file(Path(directory))
    with replacing(path) as temporary:
        ensemble.save(temporary)
    for earlier in path.parent.glob(f"ensemble-{'[0-9a-f]' * 12}.keras"):
        if earlier != path:
            earlier.unlink()
    return path


def load_winner(directory: str | Path) -> keras.Model:
    """Read what `save_winner` kept: uint8 pixels (n, H, W, C) -> probabilities (n, classes).

    Raises:
        StorageError: if there is none of the run's present ensemble.
    """
    path = _winner_file(Path(directory))
    if not path.is_file():
        raise StorageError(
            f"{directory} has no Keras model of its ensemble: expected {path.name}. Run the same "
            "`kt-tuning run` command again, which keeps what is done and writes it; or in Python, "
            f'`kt_tuning.finalize.evaluate.save_winner(tuner.ensemble(), "{directory}")`.'
        )
    import keras

    import hypermodels  # noqa: F401  its layers are registered by being imported

    model: keras.Model = keras.models.load_model(path, compile=False)
    return model


def _winner_file(directory: Path) -> Path:
    return directory / f"ensemble-{combination_digest(directory)}.keras"


def load_data(
    directory: str | Path, folder: str | Path | None = None, *, progress: bool = True
) -> ImageData:
    """Load the images that a search was run on, split as they were then.

    Args:
        directory: The run directory.
        folder: Where they are now; where they were if None.
        progress: Whether to show a progress bar where files must be decoded.

    Raises:
        StorageError: if the run directory or the folder cannot be read.
        OptionError: if the search was run on arrays.
        DataError: if the folder holds other images now.
    """
    directory = Path(directory)
    card = DataCard.load(directory / "data.json")
    table = card.table
    if folder is None and card.source == ARRAYS:
        raise OptionError(
            f"{directory} was searched on arrays, which only Python has: call "
            "`tuner.evaluate()` there, or name a folder of the same images."
        )
    if table is not None and not table.path:
        raise OptionError(
            f"{directory} was searched on a DataFrame, which only Python has: call "
            "`tuner.evaluate(data=…)` there."
        )
    try:
        with np.load(directory / "split.npz") as arrays:
            indices = {part: arrays[part] for part in ("train", "validation", "test")}
            groups = arrays.get("groups")
    except (OSError, KeyError, ValueError) as error:
        raise StorageError(
            f"{directory / 'split.npz'} should hold the index sets of the three splits. "
            f"Received: {error}"
        ) from error
    pixels = card.pixels
    load = functools.partial(
        load_images,
        image_size=(pixels.height, pixels.width),
        channels=pixels.channels,
        # What counts is whether the images that can be read are those of the search.
        max_unreadable=1.0,
        progress=progress,
    )
    images = card.source if folder is None else folder
    if table is None:
        data = load(images, class_names=card.class_names)
    else:
        data = load(table.path, images=images, columns=table.columns, max_missing=table.max_missing)
    data = dataclasses.replace(data, indices=indices, runs=[directory])
    if groups is not None and len(groups) == len(data.labels):
        data = dataclasses.replace(data, groups=Groups(groups, required=True))
    if data.fingerprint != card.fingerprint:
        raise DataError(
            f"{data.source} holds other images than the search of {directory} was run on: "
            f"fingerprint {data.fingerprint[:12]}, expected {card.fingerprint[:12]}. Name the "
            "folder that has them, or put it back as it was."
        )
    return data
