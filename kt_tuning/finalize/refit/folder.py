"""The folder of a refit, laid out like a run directory: what reads one reads the other."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kt_tuning.data import ImageData
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.errors import StorageError
from kt_tuning.finalize.refit.record import RECORD, RefitRecord
from kt_tuning.records import DataCard, SearchRecord, TrialRecord, write_json
from kt_tuning.run.removal import check_removable, remove_run

CARD, SPLIT, SEARCH, COMBINATION = "data.json", "split.npz", "search.json", "ensemble.json"


def check_data(run: Path, data: ImageData) -> None:
    """Refuse images that were not searched on.

    Raises:
        StorageError: if there was no search on images, or on others.
    """
    known = DataCard.load(run / CARD).fingerprint
    if known != data.fingerprint:
        raise StorageError(
            f"{run} holds a search on other data: fingerprint {known[:12]}; now "
            f"{data.fingerprint[:12]}. Refit on the images that were searched on."
        )


def check_claim(folder: Path, record: RefitRecord, *, overwrite: bool) -> None:
    """Refuse a folder that holds another refit; nothing is written.

    Args:
        folder: Of the refit.
        record: What is to be trained.
        overwrite: Whether another refit that is in the folder is to be deleted.

    Raises:
        StorageError: if the folder holds another refit, or what must not be deleted.
    """
    known = _known(folder)
    names = [] if known is None else known.differs_from(record)
    if names and overwrite:
        check_removable(folder)
    elif names:
        told = "; ".join(f"{n}={getattr(known, n)}, now {getattr(record, n)}" for n in names)
        raise StorageError(
            f"{folder} holds another refit: {told}. Ask for the same one to go on with it, or "
            "pass overwrite=True to begin anew."
        )


def claim(
    run: Path,
    folder: Path,
    record: RefitRecord,
    combination: EnsembleRecord,
    *,
    overwrite: bool,
) -> RefitRecord:
    """Note what is trained in a folder, unless that is something else.

    Args:
        run: The run directory.
        folder: Of the refit; there is no other process in it.
        record: What is to be trained.
        combination: How it is combined.
        overwrite: Whether another refit that is in the folder is deleted.

    Returns:
        The record that counts: of the call that began it.

    Raises:
        StorageError: if the folder holds another refit, or what must not be deleted.
    """
    check_claim(folder, record, overwrite=overwrite)
    known = _known(folder)
    if known is not None:
        if not known.differs_from(record):
            return known
        remove_run(folder)
    for name in (CARD, SPLIT, SEARCH):
        if (run / name).exists():
            shutil.copyfile(run / name, folder / name)
    note_models(folder, combination, record)
    record.save(folder / RECORD)
    return record


def note_models(folder: Path, combination: EnsembleRecord, record: RefitRecord) -> None:
    """Write `ensemble.json`: how the models are combined, and how they were trained."""
    write_json(folder / COMBINATION, {**combination.to_json(), "refit": record.to_json()})


def _known(folder: Path) -> RefitRecord | None:
    path = folder / RECORD
    return RefitRecord.load(path) if path.exists() else None


def provenance(run: Path, record: RefitRecord, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """What is written beside an exported model."""
    return {
        "search": SearchRecord.load(run / SEARCH).to_json(),
        "trials": {
            trial.trial_id: {"values": trial.values, "metrics": trial.metrics} for trial in trials
        },
        "refit": record.to_json(),
    }
