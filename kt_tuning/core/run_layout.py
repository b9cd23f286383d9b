"""File names in a run directory, and how to recognise one.

The run directory:

    data.json                    DataCard
    split.npz                    labels (N,), and the index sets train, validation, test and
                                 predicted (the rows of val_predictions.npy); groups, if given
    search.json                  SearchRecord
    definition.json              search.SearchDefinition: what decides what a trial means
    auto.json                    search.auto.AutoChoice: what hypermodel="auto" stands for
    config.yaml, space.yaml      what `kt-tuning run` was asked for, to repeat it
    options.json                 the same as `pipeline.RunOptions`, for what comes after
    study.db                     the Optuna study
    storage.json                 where checkpoints are kept, if not here
    tracking/<name>.jsonl        what a tracker has logged
    trial_<id>/result.json       TrialRecord; paused.json as long as it may go on
    trial_<id>/failed_<n>.json   TrialRecord of an attempt that failed, if the trial was tried again
    trial_<id>/deaths.json       search.deaths.Deaths, if a process died while it ran the trial
    trial_<id>/history.csv       one row an epoch
    trial_<id>/val_predictions.npy   float32 (N_validation, classes), of the model that is returned:
                                 at the best epoch, of the first execution
    trial_<id>/execution_predictions.npy   the same of each execution, (executions, N, classes)
    trial_<id>/model.weights.h5  at the best epoch; with folds fold_<k>.weights.h5
    ensemble.json                ensembling.EnsembleRecord
    ensemble-<digest>.keras      the combined model, of this ensemble.json
    test_uses.json               evaluation.HeldOutUses
    scores.json                  evaluation.Scores
    gallery.json                 evaluation.Gallery
    augmentation.jpg             what the best trial's augmentation does
    export/<version>/            SavedModel; export/<format>/<version>/ the other formats
    refit/                       the winner, trained again: laid out like a run directory
    distill/, bag/, boost/, snapshots/   the best configuration, trained again: the same
    report.html
"""

from __future__ import annotations

import json
from pathlib import Path

from kt_tuning.core.records import TrialRecord

RESULT = "result.json"
PAUSE = "paused.json"
HISTORY = "history.csv"
PREDICTIONS = "val_predictions.npy"
EXECUTIONS = "execution_predictions.npy"
WEIGHTS = "model.weights.h5"
CONFIGURATION = "configuration.json"
"""How the models of a folder were trained after a search."""
REFIT = "refit"
"""Folder in a run directory: models that were trained again."""
REFIT_RECORD = "refit.json"
"""File of a folder whose models were trained again, on training and validation images."""


def trial_records(run: str | Path) -> list[TrialRecord]:
    """Every finished or paused trial of a run directory, failed ones included, in order of start.

    Raises:
        StorageError: if a record is damaged.
    """
    folders = [path for path in Path(run).glob("trial_*") if path.is_dir()]
    records = [record for folder in folders if (record := trial_record(folder)) is not None]
    return sorted(records, key=lambda record: record.number)


def trial_record(folder: str | Path) -> TrialRecord | None:
    """The record in a trial's folder: of its end, or else of its last pause; None without both.

    Raises:
        StorageError: if it is damaged.
    """
    paths = (Path(folder) / name for name in (RESULT, PAUSE))
    path = next((path for path in paths if path.is_file()), None)
    return None if path is None else TrialRecord.load(path)


RUN_MARKERS = {
    "search.json": ("objective", "hypermodel", "versions"),
    "oracle.json": ("hyperparameters", "start_order"),
    "options.json": ("hypermodel", "objective", "max_trials"),
    "study.db": (),
}
"""Files by which a run directory is known, and keys that such a JSON file has."""
_STUDY = b"objectives"
"""In the study of a run: the name of an attribute that is written first."""


def is_run_directory(path: str | Path) -> bool:
    """Whether a search has written into a folder, by files that only a search writes.

    A file of another program that happens to have the name of one of ours does not count.
    """
    folder = Path(path)
    return any(_has_keys(folder / name, keys) for name, keys in RUN_MARKERS.items() if keys) or (
        _is_study(folder / "study.db")
    )


def _has_keys(path: Path, keys: tuple[str, ...]) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.keys() >= set(keys)


def _is_study(path: Path) -> bool:
    try:
        if not path.read_bytes().startswith(b"SQLite format 3"):
            return False
        logged = path.with_name("study.db-wal")
        parts = [path, logged] if logged.exists() else [path]
        return any(_STUDY in part.read_bytes() for part in parts)
    except OSError:
        return False
