"""Judging the winner of a run: its scores, a gallery, and a note that the test split was used."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_tuning.data import ImageData, load_images
from kt_tuning.ensembling import Ensemble
from kt_tuning.errors import DataError, OptionError, StorageError
from kt_tuning.evaluation import (
    GALLERY,
    Parts,
    Scores,
    evaluate,
    make_gallery,
    note_held_out_use,
)
from kt_tuning.records import DataCard, read_json, replacing, trial_records

if TYPE_CHECKING:
    import keras

logger = logging.getLogger("kt_tuning")

SCORES = "scores.json"
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
    """Evaluate the winner of a run on the test split, and write what was found beside it.

    `test_uses.json` says that the split was opened, before it is; `scores.json` are the scores,
    with parts that were measured of the same winner before; `gallery.json` its worst mistakes and
    where it looks.

    Args:
        model: The winner: an `Ensemble`, or what `load_winner` returns.
        data: What the search was run on.
        directory: The run directory.
        parts: As for `evaluate`.
        bootstrap: Resamples behind an interval, at least 1.
        seed: Of the resamples, and of what corruptions and attacks draw.

    Raises:
        OptionError: if an argument is wrong, or a part cannot be measured on this model.
        StorageError: if a file in the directory cannot be read or written.
    """
    directory = Path(directory)
    judged = winner_digest(directory)

    def note(images: int) -> None:
        uses = note_held_out_use(
            directory, by="evaluate", fingerprint=data.fingerprint, images=images, judged=judged
        )
        caveat = uses.of(data.fingerprint).caveat(trial_records(directory))
        if caveat is not None:
            logger.warning(caveat)

    scores = evaluate(model, data, parts=parts, bootstrap=bootstrap, seed=seed, opened=note)
    scores = dataclasses.replace(scores, model=judged)
    if (directory / SCORES).is_file():
        scores = scores.completed_by(Scores.load(directory / SCORES))
    scores.save(directory / SCORES)
    make_gallery(model, data.test, scores.mistakes).save(directory / GALLERY)
    return scores


def winner_digest(directory: str | Path) -> str:
    """Return a digest of which models a run has combined, and how.

    Raises:
        StorageError: if the run has no `ensemble.json`.
    """
    content = json.dumps(read_json(Path(directory) / "ensemble.json"), sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=6).hexdigest()


def save_winner(ensemble: Ensemble, directory: str | Path) -> Path:
    """Keep a run's ensemble as one Keras file, for `load_winner`.

    Its name has the digest of `ensemble.json`: a file of an earlier ensemble is not taken for it,
    and deleted here.
    """
    path = _winner_file(Path(directory))
    with replacing(path) as temporary:
        ensemble.save(temporary)
    for earlier in path.parent.glob("ensemble-*.keras"):
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
            f'`kt_tuning.judging.save_winner(tuner.ensemble(), "{directory}")`.'
        )
    import keras

    import hypermodels  # noqa: F401  its layers are registered by being imported

    model: keras.Model = keras.models.load_model(path, compile=False)
    return model


def _winner_file(directory: Path) -> Path:
    return directory / f"ensemble-{winner_digest(directory)}.keras"


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
    if folder is None and card.source == ARRAYS:
        raise OptionError(
            f"{directory} was searched on arrays, which only Python has: call "
            "`kt_tuning.evaluate(ensemble, data)` there, or name a folder of the same images."
        )
    try:
        with np.load(directory / "split.npz") as arrays:
            indices = {part: arrays[part] for part in ("train", "validation", "test")}
    except (OSError, KeyError, ValueError) as error:
        raise StorageError(
            f"{directory / 'split.npz'} should hold the index sets of the three splits. "
            f"Received: {error}"
        ) from error
    pixels = card.pixels
    data = load_images(
        card.source if folder is None else folder,
        image_size=(pixels.height, pixels.width),
        channels=pixels.channels,
        # What counts is whether the images that can be read are those of the search.
        max_unreadable=1.0,
        progress=progress,
    )
    data = dataclasses.replace(data, indices=indices)
    if data.fingerprint != card.fingerprint:
        raise DataError(
            f"{data.source} holds other images than the search of {directory} was run on: "
            f"fingerprint {data.fingerprint[:12]}, expected {card.fingerprint[:12]}. Name the "
            "folder that has them, or put it back as it was."
        )
    return data
