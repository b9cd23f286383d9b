"""Reads a run directory into a `RunSummary`: the one place where the report reads files."""

from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np

from kt_tuning.ensembling import (
    EnsembleRecord,
    Validated,
    is_refitted,
    read_scores,
    read_validated,
)
from kt_tuning.errors import StorageError
from kt_tuning.evaluation import (
    GALLERY,
    Gallery,
    corrected_best_of_run,
    held_out_uses,
    stored_bytes,
)
from kt_tuning.export import measurements
from kt_tuning.records import (
    HISTORY,
    DataCard,
    SearchRecord,
    TrialRecord,
    trial_record,
)
from kt_tuning.report.repeated_trainings import load_repeats, load_trained_again
from kt_tuning.report.run_summary import CountArray, FloatArray, RunSummary, TrialRun

AUGMENTATION = "augmentation.jpg"


def load_run(directory: str | Path) -> RunSummary:
    """Read a run directory; files of stages that have not run yet may be missing.

    Args:
        directory: The folder that a search wrote.

    Returns:
        Its content, checked.

    Raises:
        StorageError: if the folder is missing, is no run directory, or a file of it is damaged.
    """
    directory = Path(directory)
    if not (directory / "search.json").is_file():
        what = "which has no search.json" if directory.is_dir() else "which is not a folder"
        raise StorageError(
            "The run directory should be the folder that a search wrote, with search.json in it. "
            f"Received: {directory}, {what}."
        )
    search = SearchRecord.load(directory / "search.json")
    data = directory / "data.json"
    folders = [path for path in sorted(directory.glob("trial_*")) if path.is_dir()]
    found = [(path, record) for path in folders if (record := trial_record(path)) is not None]
    trials = [_load_trial(path, record, search.objective) for path, record in found]
    scores = read_scores(directory)
    run = RunSummary(
        name=directory.resolve().name,
        data=DataCard.load(data) if data.is_file() else None,
        search=search,
        trials=tuple(sorted(trials, key=lambda trial: trial.record.number)),
        unfinished=len(folders) - len(found),
        ensemble=_load_ensemble(directory / "ensemble.json", trials),
        scores=scores,
        validation_confusion=None,
        export=_newest_export(directory / "export"),
        gallery=None if scores is None else _load_gallery(directory / GALLERY),
    )
    picture = directory / AUGMENTATION
    exported = None if run.export is None else stored_bytes(directory / "export" / run.export)
    validated = None
    if run.data is not None:
        validated = read_validated(
            directory, None if run.best is None else run.best.record.trial_id
        )
    if validated is not None and run.data is not None:
        confusion = _validation_confusion(validated, len(run.data.class_names))
        run = dataclasses.replace(
            run, validation_confusion=confusion, validation_kind=validated.kind
        )
    return dataclasses.replace(
        run,
        refitted=is_refitted(directory),
        export_bytes=exported,
        correction=corrected_best_of_run(directory),
        caveat=_caveat(directory, run),
        augmentation=picture.read_bytes() if picture.is_file() else None,
        again=load_trained_again(directory),
        repeats=load_repeats(directory, None if run.best is None else run.best.record.trial_id),
        exports=tuple(measurements(directory)),
    )


def _load_trial(folder: Path, record: TrialRecord, objective: str) -> TrialRun:
    value = record.metrics.get(objective)
    path = folder / HISTORY
    return TrialRun(
        record=record,
        score=float(value) if record.usable and value is not None else math.nan,
        history=_load_history(path) if path.is_file() else {},
    )


def _load_history(path: Path) -> dict[str, FloatArray]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file, strict=True)
            rows = list(table)
        return {
            name: np.array([float(row[name] or "nan") for row in rows])
            for name in table.fieldnames or ()
        }
    except (ValueError, csv.Error) as error:
        raise StorageError(
            f"{path} should be a table of numbers under a header, one row an epoch: {error}"
        ) from error


def _load_ensemble(path: Path, trials: list[TrialRun]) -> EnsembleRecord | None:
    if not path.is_file():
        return None
    ensemble = EnsembleRecord.load(path)
    if missing := set(ensemble.trial_ids) - {trial.record.trial_id for trial in trials}:
        raise StorageError(
            f"{path} should name trials of its own run. "
            f"Received: {sorted(missing)}, which have no result.json or paused.json."
        )
    if not len(ensemble.trial_ids) == len(ensemble.weights) == len(ensemble.member_scores):
        raise StorageError(f"{path} should hold one weight and one score a member.")
    return ensemble


def _load_gallery(path: Path) -> Gallery | None:
    return Gallery.load(path) if path.is_file() else None


def _caveat(directory: Path, run: RunSummary) -> str | None:
    if run.data is None:
        return None
    uses = held_out_uses(directory).of(run.data.fingerprint)
    return uses.caveat(trial.record for trial in run.trials)


def _validation_confusion(validated: Validated, classes: int) -> CountArray:
    """Count validation predictions by true class and predicted class."""
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (validated.labels, validated.probabilities.argmax(axis=1)), 1)
    return confusion


def _newest_export(folder: Path) -> str | None:
    versions = [path.name for path in folder.glob("*") if path.is_dir() and path.name.isdecimal()]
    return max(versions, key=int, default=None)
