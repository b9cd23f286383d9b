"""Reads a run directory into a `RunSummary`: the one place where the report reads files."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np

from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.ensembling import (
    EnsembleRecord,
    Validated,
    is_refitted,
    read_scores,
    read_validated,
)
from kt_tuning.evaluation import (
    Gallery,
    corrected_best_of_run,
    held_out_uses,
    stored_bytes,
)
from kt_tuning.export import measurements
from kt_tuning.report.repeated_trainings import load_repeats, load_trained_again
from kt_tuning.report.run_summary import CountArray, RunSummary, TrialRun
from kt_tuning.run import Run
from kt_tuning.run.layout import AUGMENTATION, ENSEMBLE, GALLERY


def load_run(directory: str | Path) -> RunSummary:
    """Read a run directory; files of stages that have not run yet may be missing.

    Args:
        directory: The folder that a search wrote.

    Returns:
        Its content, checked.

    Raises:
        StorageError: if the folder is missing, is no run directory, or a file of it is damaged.
    """
    run_files = Run(directory)
    directory = run_files.path
    search = run_files.read_search()
    trials = [_load_trial(run_files, record, search.objective) for record in run_files.trials()]
    scores, newest = read_scores(directory), run_files.newest_export()
    run = RunSummary(
        name=directory.resolve().name,
        data=run_files.data_card(),
        search=search,
        trials=tuple(trials),
        unfinished=len(run_files.trial_folders()) - len(trials),
        ensemble=_load_ensemble(run_files, trials),
        scores=scores,
        validation_confusion=None,
        export=None if newest is None else newest.name,
        gallery=None if scores is None else run_files.read(Gallery, GALLERY),
    )
    picture = directory / AUGMENTATION
    exported = None if newest is None else stored_bytes(newest)
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


def _load_trial(run: Run, record: TrialRecord, objective: str) -> TrialRun:
    value = record.metrics.get(objective)
    return TrialRun(
        record=record,
        score=float(value) if record.usable and value is not None else math.nan,
        history=run.history(record.trial_id),
    )


def _load_ensemble(run: Run, trials: list[TrialRun]) -> EnsembleRecord | None:
    ensemble, path = run.read(EnsembleRecord, ENSEMBLE), run.path / ENSEMBLE
    if ensemble is None:
        return None
    if missing := set(ensemble.trial_ids) - {trial.record.trial_id for trial in trials}:
        raise StorageError(
            f"{path} should name trials of its own run. "
            f"Received: {sorted(missing)}, which have no result.json or paused.json."
        )
    if not len(ensemble.trial_ids) == len(ensemble.weights) == len(ensemble.member_scores):
        raise StorageError(f"{path} should hold one weight and one score a member.")
    return ensemble


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
