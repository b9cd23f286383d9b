"""Names of all files in a run directory.

data.json                    DataCard
split.npz                    labels (N,), and the index sets train, validation, test and
predicted (the rows of val_predictions.npy); groups, if given
search.json                  SearchRecord
definition.json              search.SearchDefinition: what decides what a trial means
auto.json                    search.auto.AutoChoice: what hypermodel="auto" stands for
config.yaml, space.yaml      options of `kt-tuning run`, to repeat it
options.json                 the same as `pipeline.RunOptions`, for what comes after
study.db                     the Optuna study
storage.json                 where checkpoints are kept, if not here
tracking/<name>.jsonl        what a tracker has logged
trial_<id>/result.json       TrialRecord; paused.json as long as the trial may continue
trial_<id>/failed_<n>.json   TrialRecord of an attempt that failed, if the trial was tried again
trial_<id>/deaths.json       search.deaths.Deaths, if a process died while it ran the trial
trial_<id>/history.csv       one row per epoch
trial_<id>/val_predictions.npy   float32 (N_validation, classes), of the model that is returned:
at the best epoch, of the first execution
trial_<id>/execution_predictions.npy   the same of each execution, (executions, N, classes)
trial_<id>/model.weights.h5  at the best epoch; with folds fold_<k>.weights.h5
ensemble.json                ensembling.EnsembleRecord
ensemble-<digest>.keras      the combined model of this ensemble.json: the final model
test_uses.json               evaluation.HeldOutUses
scores.json                  evaluation.Scores
gallery.json                 evaluation.Gallery
augmentation.jpg             training images as the best trial augments them
export/<version>/            SavedModel; export/<format>/<version>/ the other formats
refit/                       the final model trained again; a run directory itself
distill/, bag/, boost/, snapshots/   models trained after the search; run directories themselves
report.html
lock                         held by the process that writes here
"""

from __future__ import annotations

import json
from pathlib import Path

DATA = "data.json"
SPLIT = "split.npz"
SEARCH = "search.json"
DEFINITION = "definition.json"
AUTO_CHOICE = "auto.json"
OPTIONS = "options.json"
ORACLE = "oracle.json"
STUDY = "study.db"
ENSEMBLE = "ensemble.json"
SCORES = "scores.json"
GALLERY = "gallery.json"
TEST_USES = "test_uses.json"
AUGMENTATION = "augmentation.jpg"
REPORT = "report.html"
LOCK = "lock"
EXPORT = "export"
"""Folder of the exported models."""
REFIT = "refit"
"""Folder of the models that were trained again."""
REFIT_RECORD = "refit.json"
"""File of a folder whose models were trained again, on training and validation images."""
CONFIGURATION = "configuration.json"
"""File of a folder of models that were trained after the search: how they were trained."""

TRIAL_STATE = "trial.json"
RESULT = "result.json"
PAUSE = "paused.json"
FAILED_ATTEMPT = "failed_{}.json"
"""Record of an attempt that failed, from 1, of a trial that was tried again."""
DEATHS = "deaths.json"
HISTORY = "history.csv"
PREDICTIONS = "val_predictions.npy"
EXECUTIONS = "execution_predictions.npy"
TRAIN_ERRORS = "train_errors.npy"
"""(N,) whether a member of a boosting gets each training image wrong."""
WEIGHTS = "model.weights.h5"
CHECKPOINT = "checkpoint"
"""Folder of a trial that is running; removed when it has ended."""

RUN_MARKERS = {
    SEARCH: ("objective", "hypermodel", "versions"),
    ORACLE: ("hyperparameters", "start_order"),
    OPTIONS: ("hypermodel", "objective", "max_trials"),
    STUDY: (),
}
"""Files by which a run directory is recognised, and keys that such a JSON file has."""
_STUDY_ATTRIBUTE = b"objectives"
"""Name of the attribute that is written first into the study of a run."""


def trial_folder(run: Path, trial_id: str) -> Path:
    """Return the folder of a trial, which may not exist."""
    return run / f"trial_{trial_id}"


def final_model_file(run: Path, digest: str) -> Path:
    """Return the file of the combined model.

    Args:
        run: The run directory.
        digest: Of `ensemble.json`, see `combination_digest`.
    """
    return run / f"ensemble-{digest}.keras"


def is_run_directory(path: str | Path) -> bool:
    """Whether a search has written into a folder, by files that only a search writes.

    A file of another program with the same name does not count.
    """
    folder = Path(path)
    return any(_has_keys(folder / name, keys) for name, keys in RUN_MARKERS.items() if keys) or (
        _is_study(folder / STUDY)
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
        logged = path.with_name(f"{path.name}-wal")
        parts = [path, logged] if logged.exists() else [path]
        return any(_STUDY_ATTRIBUTE in part.read_bytes() for part in parts)
    except OSError:
        return False
