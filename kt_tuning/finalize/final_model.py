"""The final model of a run: its ensemble as one Keras file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kt_tuning.core.atomic import atomic_write
from kt_tuning.ensembling import Ensemble, EnsembleRecord, combination_digest
from kt_tuning.ensembling.run_files import find_ensemble_file, load_keras_model
from kt_tuning.run import Run
from kt_tuning.run.layout import ENSEMBLE, final_model_file

if TYPE_CHECKING:
    import keras


def save_final_model(ensemble: Ensemble, directory: str | Path) -> Path:
    """Write a run's ensemble as one Keras file, for `load_final_model`.

    The file name contains the digest of `ensemble.json`, so that a file of an earlier ensemble is
    never mistaken for it; such files are deleted.

    Args:
        ensemble: The ensemble that `ensemble.json` describes.
        directory: The run directory.

    Returns:
        The file.
    """
    path = _file(Path(directory))
    with atomic_write(path, durable=True) as temporary:
        ensemble.save(temporary)
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


def final_model_digest(directory: str | Path) -> str | None:
    """Return the digest of a run's final model; None if there is none yet.

    Raises:
        StorageError: if `ensemble.json` cannot be read.
    """
    record = Run(directory).read(EnsembleRecord, ENSEMBLE)
    return None if record is None else record.model


def _file(directory: Path) -> Path:
    return final_model_file(directory, combination_digest(directory))
