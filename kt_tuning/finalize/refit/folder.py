"""The folder of a refit, which is a run directory itself."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import write_json
from kt_tuning.core.records import TrialRecord
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.finalize.refit.record import RefitRecord
from kt_tuning.run import Run, check_removable, remove_run
from kt_tuning.run.layout import DATA, ENSEMBLE, REFIT_RECORD, SEARCH, SPLIT


def check_compatible(folder: Path, record: RefitRecord, *, overwrite: bool) -> None:
    """Refuse a folder that holds another refit; nothing is written.

    Args:
        folder: Folder of the refit.
        record: What is to be trained.
        overwrite: Whether another refit in the folder is to be deleted.

    Raises:
        StorageError: if the folder holds another refit, or files that must not be deleted.
    """
    known = Run(folder).read(RefitRecord, REFIT_RECORD)
    names = [] if known is None else known.differs_from(record)
    if names and overwrite:
        check_removable(folder)
    elif names:
        told = "; ".join(f"{n}={getattr(known, n)}, now {getattr(record, n)}" for n in names)
        raise StorageError(
            f"{folder} holds another refit: {told}. Ask for the same one to continue it, or "
            "pass overwrite=True to start anew."
        )


def begin(
    run: Path,
    folder: Path,
    record: RefitRecord,
    combination: EnsembleRecord,
    *,
    overwrite: bool,
) -> RefitRecord:
    """Write the records of a refit into its folder, unless they are there.

    Args:
        run: The run directory.
        folder: Folder of the refit, which this process holds.
        record: What is to be trained.
        combination: How the models are combined.
        overwrite: Whether another refit in the folder is deleted.

    Returns:
        The record of the call that began the refit.

    Raises:
        StorageError: if the folder holds another refit, or files that must not be deleted.
    """
    check_compatible(folder, record, overwrite=overwrite)
    known = Run(folder).read(RefitRecord, REFIT_RECORD)
    if known is not None:
        if not known.differs_from(record):
            return known
        remove_run(folder)
    for name in (DATA, SPLIT, SEARCH):
        if (run / name).exists():
            shutil.copyfile(run / name, folder / name)
    write_ensemble(folder, combination, record)
    record.save(folder / REFIT_RECORD)
    return record


def write_ensemble(folder: Path, combination: EnsembleRecord, record: RefitRecord) -> None:
    """Write `ensemble.json`: how the models are combined, and how they were trained."""
    write_json(folder / ENSEMBLE, {**combination.to_json(), "refit": record.to_json()})


def provenance(run: Path, record: RefitRecord, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """Return what is written beside an exported model."""
    return {
        "search": Run(run).read_search().to_json(),
        "trials": {
            trial.trial_id: {"values": trial.values, "metrics": trial.metrics} for trial in trials
        },
        "refit": record.to_json(),
    }
