"""A run directory: names of its files, lock, reader, removal."""

from kt_tuning.run.layout import check_removable, is_run_directory, remove_run, trial_folder
from kt_tuning.run.lock import run_lock, write_lock
from kt_tuning.run.reader import Run, Split, read_history, trial_record

__all__ = [
    "Run",
    "Split",
    "check_removable",
    "is_run_directory",
    "read_history",
    "remove_run",
    "run_lock",
    "trial_folder",
    "trial_record",
    "write_lock",
]
