"""A run directory: names of its files, lock, reader, removal."""

from kt_tuning.run.layout import is_run_directory, trial_folder
from kt_tuning.run.lock import RunLock
from kt_tuning.run.reader import Run, Split, read_history, trial_record
from kt_tuning.run.removal import check_removable, remove_run

__all__ = [
    "Run",
    "RunLock",
    "Split",
    "check_removable",
    "is_run_directory",
    "read_history",
    "remove_run",
    "trial_folder",
    "trial_record",
]
