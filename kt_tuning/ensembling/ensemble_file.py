"""An ensemble as one `.keras` file: the combined model, and in the same archive what else is known.

Keras reads the model and leaves `kt_tuning.json`, which Keras does not know, where it is.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import to_json_text
from kt_tuning.ensembling.run_figures import combination_digest
from kt_tuning.run.layout import final_model_file

if TYPE_CHECKING:
    import keras

FACTS = "kt_tuning.json"
"""File in the archive: what an `Ensemble` knows besides its models."""


def write_ensemble_file(path: Path, model: keras.Model, facts: Mapping[str, Any]) -> None:
    """Write a combined model and its facts; the file appears whole or not at all.

    Args:
        path: The file, with the suffix ".keras".
        model: The combined model.
        facts: JSON-able.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, durable=True) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(FACTS, to_json_text(facts))


def read_ensemble_file(path: Path) -> tuple[keras.Model, dict[str, Any]]:
    """Read what `write_ensemble_file` wrote: the combined model, and its facts.

    Raises:
        StorageError: if the file is missing, or something else.
    """
    facts = _read_facts(path)
    return load_keras_model(path), facts


def load_keras_model(path: Path) -> keras.Model:
    """Read a Keras model that may have layers of `hypermodels`.

    Raises:
        StorageError: if the file is damaged.
    """
    import keras

    import hypermodels  # noqa: F401  its layers are registered by being imported

    if not zipfile.is_zipfile(path):
        raise StorageError(
            f"{path} is damaged: it is no archive of a Keras model. `kt-tuning finalize "
            f"{path.parent}`, or in Python `tuner.ensemble()`, write it anew."
        )
    model: keras.Model = keras.models.load_model(path, compile=False)
    return model


def find_ensemble_file(run: Path) -> Path:
    """Return the file of a run's present ensemble: of the one in its `ensemble.json`.

    Raises:
        StorageError: if there is none.
    """
    path = final_model_file(run, combination_digest(run))
    if not path.is_file():
        raise StorageError(
            f"{run} has no Keras model of its ensemble: expected {path.name}. Run `kt-tuning "
            f"finalize {run}`, or in Python `tuner.ensemble()`, which write it."
        )
    return path


def _read_facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise StorageError(
            f"No such file: {path}. Expected what `ensemble.save` wrote, or a run directory."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            facts: dict[str, Any] = json.loads(archive.read(FACTS))
            return facts
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise StorageError(
            f"{path} was not written by `ensemble.save`, or is damaged. Any other Keras model is "
            f"read by `keras.models.load_model`. ({error})"
        ) from error
