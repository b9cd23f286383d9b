"""File names in a run directory, and how to recognise one.

The run directory:

    data.json                    DataCard
    split.npz                    labels (N,), and the index sets train, validation, test and
                                 predicted (the rows of val_predictions.npy); groups, if given
    search.json                  SearchRecord
    definition.json              search.SearchDefinition: all that determines a trial's result
    auto.json                    search.auto.AutoChoice: the choice of hypermodel="auto"
    config.yaml, space.yaml      the options of `kt-tuning run`, to repeat it
    options.json                 the same as `pipeline.RunOptions`, for later commands
    study.db                     the Optuna study
    storage.json                 name of the run in an external storage of checkpoints
    tracking/<name>.jsonl        what a tracker has received
    trial_<id>/result.json       TrialRecord; paused.json while the trial may go on
    trial_<id>/failed_<n>.json   TrialRecord of an attempt that failed or whose files were damaged
    trial_<id>/deaths.json       search.deaths.Deaths, if a process died while it ran the trial
    trial_<id>/history.csv       one row an epoch
    trial_<id>/val_predictions.npy   float32 (N_validation, classes) of the returned model: at the
                                 best epoch of the first execution
    trial_<id>/execution_predictions.npy   the same of each execution, (executions, N, classes)
    trial_<id>/model.weights.h5  at the best epoch; with folds fold_<k>.weights.h5
    ensemble.json                ensembling.EnsembleRecord
    ensemble-<digest>.keras      the combined model of ensemble.json
    test_uses.json               evaluation.HeldOutUses
    scores.json                  evaluation.Scores
    gallery.json                 evaluation.Gallery
    augmentation.jpg             examples of the best trial's augmentation
    export/<version>/            SavedModel; export/<format>/<version>/ the other formats
    refit/                       the best model, trained again: laid out like a run directory
    distill/, bag/, boost/, snapshots/   the best configuration, trained again: likewise
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
    """Read the finished, failed and paused trials of a run directory, in order of start.

    Raises:
        StorageError: if a record is damaged.
    """
    folders = [path for path in Path(run).glob("trial_*") if path.is_dir()]
    records = [record for folder in folders if (record := trial_record(folder)) is not None]
    return sorted(records, key=lambda record: record.number)


def trial_record(folder: str | Path) -> TrialRecord | None:
    """Read the record of a trial's end, or else of its last pause; None without both.

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
"""Files that mark a run directory, and keys that such a JSON file has."""
_STUDY = b"objectives"
"""Name of an attribute that every study of a run has."""


def is_run_directory(path: str | Path) -> bool:
    """Return whether a folder has files that only a search writes.

    A file of another program with the same name does not count: contents are checked.
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
