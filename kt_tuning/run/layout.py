"""Names of all files in a run directory, and the deletion of these files and of nothing else.

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
trial_<id>/deaths.json       trials.spec.CrashLog, if a process died while it ran the trial
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

A directory may also hold files of the user's. So nothing is deleted because of where it is, only
because of what it is called: names that no run gives are kept.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

from kt_tuning.core import atomic
from kt_tuning.core.errors import StorageError

logger = logging.getLogger("kt_tuning")

LONGEST_NAME = 200
"""Upper bound of the length of a file's path within a run directory."""

DATA = "data.json"
SPLIT = "split.npz"
SEARCH = "search.json"
DEFINITION = "definition.json"
AUTO_CHOICE = "auto.json"
OPTIONS = "options.json"
ORACLE = "oracle.json"
STUDY = "study.db"
STORAGE = "storage.json"
"""Name of the run's part of a storage of checkpoints."""
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
MIRRORED = "val_predictions_mirrored.npy"
"""Those of the mirror images, of a trial whose policy mirrors images."""
EXECUTIONS = "execution_predictions.npy"
TRAIN_ERRORS = "train_errors.npy"
"""(N,) whether a member of a boosting gets each training image wrong."""
WEIGHTS = "model.weights.h5"
BUILD_CONFIG = "build_config.json"
"""How to build a model that only `fit` builds."""
CHECKPOINT = "checkpoint"
"""Folder of a trial that is running; removed when it has ended."""

RUN_MARKERS = {
    DEFINITION: ("hypermodel", "objectives", "space"),
    DATA: ("fingerprint", "class_names", "counts"),
    SEARCH: ("objective", "hypermodel", "versions"),
    ORACLE: ("hyperparameters", "start_order"),
    OPTIONS: ("hypermodel", "objective", "max_trials"),
    STUDY: (),
}
"""Files by which a run directory is recognised, and keys that such a JSON file has."""
_STUDY_ATTRIBUTE = b"objectives"
"""Name of the attribute that is written first into the study of a run."""

Layout = Mapping[str, "Layout | None"]
"""Regular expression of a name -> None for a file, the layout of its content for a folder."""

_JSON = r"({})\.json(\w*\.tmp|\.tmp)?"
_RECORDS = (
    "data|search|definition|auto|options|storage|oracle|ensemble|scores|gallery|refit|configuration"
    # KerasTuner writes a file per process.
    r"|(tuner|worker|chief)[\w.-]*"
)
_CHECKPOINT: Layout = {
    r"(last|best)\.npz": None,
    r"(predictions_\d+|mirrored_\d+|execution_\d+_\d+)\.npy": None,
    _JSON.format("runs"): None,
}
_TRIAL: Layout = {
    _JSON.format(r"trial|result|paused|deaths|failed_\d+|build_config"): None,
    r"(history|failed_\d+)\.csv(\w*\.tmp)?": None,
    r"(val_predictions(_mirrored)?|execution_predictions|train_errors)\.npy": None,
    # KerasTuner's weights are "checkpoint".
    r"(model|checkpoint|fold_\d+)\.weights\.h5": None,
    "checkpoint": _CHECKPOINT,
}
_VERSION: Layout = {
    r"(saved_model|keras_metadata|fingerprint)\.pb": None,
    r"model\.(keras|tflite|onnx|xml|bin)": None,
    r"labels\.txt|MODEL_CARD\.md": None,
    _JSON.format("provenance|measurement"): None,
    "variables": {r"variables\..+": None},
    "assets": {},
}
_EVENTS: Layout = {r"events\.out\.tfevents\..+": None}
_SEARCH: Layout = {
    _JSON.format(_RECORDS): None,
    r"split\.npz|config\.yaml|space\.yaml|report\.html|augmentation\.jpg": None,
    r"study\.db(-wal|-shm|-journal)?": None,
    r"ensemble-[0-9a-f]{12}\.keras": None,
    r"trial_\d+": _TRIAL,
    "export": {r"\d+": _VERSION, "[a-z][a-z0-9_]*": {r"\d+": _VERSION}},
    "tracking": {_JSON.format(r"\w+"): None, r"\w+\.jsonl": None},
    "csv": {r"(epochs|trials)\.csv(\w*\.tmp)?": None},
    "tensorboard": {**_EVENTS, r"trial_\d+": _EVENTS},
    "workers": {r"worker_\d+\.log": None, "shared": {r".+\.(npy|pickle)": None}},
}
_INNER: Layout = {**_SEARCH, "lock": None, _JSON.format("test_uses"): None}
RUN: Layout = {**_SEARCH, "refit|distill|bag|boost|snapshots": _INNER}
"""All that a run writes, but for its lock and the record of the uses of the test split."""
KEPT = (LOCK, TEST_USES)
"""Files that outlive a run."""


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


def check_length(path: Path) -> None:
    """Refuse a run directory whose files would have longer paths than the operating system takes.

    Raises:
        StorageError: if the path is too long.
    """
    try:
        os.lstat(path.absolute() / ("x" * LONGEST_NAME))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise StorageError(
                f"The path of the run directory is too long: {str(path)[:40]!r}…, "
                f"{len(str(path.absolute()))} characters. Choose a shorter one (--out; directory= "
                "and project_name=)."
            ) from None


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


@dataclasses.dataclass
class _Found:
    """Files and folders to delete, folders after their content, and others, which are kept."""

    files: list[Path] = dataclasses.field(default_factory=list)
    folders: list[Path] = dataclasses.field(default_factory=list)
    others: list[Path] = dataclasses.field(default_factory=list)


def check_removable(path: Path, data_folder: Path | None = None) -> None:
    """Refuse to delete an earlier run where that could hit anything else. Nothing is touched.

    Args:
        path: The run directory; an absent or empty one is fine.
        data_folder: Where the images are, or None if they are not in a folder.

    Raises:
        StorageError: if `path` holds anything but is no run directory, is or contains the data
            folder, or a symbolic link has the name of a file of a run.
    """
    if data_folder is not None and data_folder.resolve().is_relative_to(path.resolve()):
        raise StorageError(
            f"{path} is or contains the folder of the images, {data_folder}: nothing in it is "
            "deleted. Choose another run directory."
        )
    entries = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    if set(entries) <= set(KEPT):
        return
    if not is_run_directory(path):
        raise StorageError(
            f"{path} is not empty and is no run directory (none of {', '.join(RUN_MARKERS)} of a "
            "run is in it): nothing in it is deleted. Choose another directory, or leave "
            "`overwrite` out."
        )
    _find(path, RUN, _Found())


def check_free(path: Path, data_folder: Path | None = None) -> None:
    """Refuse to begin a run among files of the user's that it would hide or overwrite.

    Args:
        path: The run directory; an absent or empty one, and one with a run, is fine.
        data_folder: Where the images are, or None if they are not in a folder.

    Raises:
        StorageError: if `path` is no run directory, and holds files and is in the folder of the
            images, where a run is no class; or holds a file with the name of one of a run's.
            `study.db` is left out: a study is added to those in it.
    """
    if not path.is_dir() or is_run_directory(path):
        return
    skipped = (atomic.WRITING, STUDY, *KEPT)
    names = [entry.name for entry in path.iterdir() if not entry.name.startswith(skipped)]
    if names and data_folder is not None and path.resolve().is_relative_to(data_folder.resolve()):
        raise StorageError(
            f"{path} is in the folder of the images, {data_folder}, and not empty: with a run in "
            "it, it would not be read as images any more. Choose another directory (--out; "
            "directory= and project_name=)."
        )
    if taken := sorted(name for name in names if _lookup(name, RUN) == (True, None)):
        raise StorageError(
            f"{path} is no run directory, but holds {', '.join(taken)}: a run would overwrite "
            f"{'them' if len(taken) > 1 else 'it'}. Choose another directory (--out; directory= "
            "and project_name=)."
        )


def remove_run(path: Path, data_folder: Path | None = None) -> None:
    """Delete the files of a run; other files in its directory stay, and are named in the log.

    Args:
        path: The run directory, which this process holds.
        data_folder: Where the images are, or None.

    Raises:
        StorageError: as `check_removable` does, before anything is deleted; or if a file cannot be
            deleted.
    """
    check_removable(path, data_folder)
    found = _Found()
    _find(path, RUN, found)
    try:
        for file in found.files:
            file.unlink()
        for folder in found.folders:
            if not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise StorageError(f"Cannot delete {error.filename}: {error.strerror}.") from error
    if found.others:
        names = ", ".join(sorted(str(other.relative_to(path)) for other in found.others))
        logger.warning("%s: kept what no run has written: %s", path, names)


def _find(folder: Path, layout: Layout, found: _Found) -> None:
    for entry in sorted(folder.iterdir()):
        known, inner = _lookup(entry.name, layout)
        if known and entry.is_symlink():
            raise StorageError(
                f"{entry} is a symbolic link, which no run makes: nothing is deleted. Remove the "
                "link yourself, or choose another run directory."
            )
        if known and inner is None and entry.is_file():
            found.files.append(entry)
        elif known and inner is not None and entry.is_dir():
            _find(entry, inner, found)
            found.folders.append(entry)
        elif entry.name not in KEPT:
            found.others.append(entry)


def _lookup(name: str, layout: Layout) -> tuple[bool, Layout | None]:
    """Return whether a run writes this name, and the layout of such a folder."""
    written = re.sub(rf"^{re.escape(atomic.WRITING)}([0-9a-f]{{8}}\.)?", "", name)
    for pattern, inner in layout.items():
        if re.fullmatch(pattern, written):
            return True, inner
    return False, None
