"""The run directory of a search: its lock, its records, and its trials."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import keras_tuner
import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.atomic import make_folder
from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import FAILED, PAUSED, TrialRecord, best_first
from kt_tuning.data import ImageData
from kt_tuning.evaluation.test_uses import add_uses, held_out_uses
from kt_tuning.run import Run, run_lock, trial_folder
from kt_tuning.run.layout import (
    CHECKPOINT,
    DATA,
    FAILED_ATTEMPT,
    HISTORY,
    LOCK,
    PAUSE,
    RESULT,
    SPLIT,
    TRIAL_STATE,
    check_free,
    check_length,
    check_removable,
    is_run_directory,
    remove_run,
)
from kt_tuning.search.pruning import Point
from kt_tuning.trials.trial_files import damaged_files

logger = logging.getLogger("kt_tuning")


class RunDirectory(Run):
    """The run directory that a search writes; `kt_tuning.run.layout` lists its files.

    Args:
        path: The directory; made by `begin`, if missing.
        objective: The objective, by which trials are ranked.
        overwrite: Whether an earlier run is ignored, and deleted by `begin`.

    Raises:
        StorageError: if the directory cannot be written, or holds something else than a run that
            is to be deleted.
    """

    def __init__(self, path: Path, objective: keras_tuner.Objective, *, overwrite: bool) -> None:
        super().__init__(path)
        self.overwrite = overwrite
        self._objective = objective
        self._records: dict[str, TrialRecord] = {}
        self._damaged: set[str] = set()
        if is_run_directory(path) and not overwrite:
            check_length(path)  # it may be opened to be read only
        else:
            _check_writable(path)
        if overwrite:
            check_removable(path)

    @contextlib.contextmanager
    def begin(
        self, check: Callable[[], None], *, source: str | None = None, lock: bool = True
    ) -> Iterator[None]:
        """Make the directory and hold it in the block; an earlier run may be deleted first.

        A refusal leaves the directory as it was, or not there.

        Args:
            check: Refuses the run of another search, unless it is deleted.
            source: The folder of the images, if they come from one; it is never deleted.
            lock: Whether other processes are excluded.

        Raises:
            StorageError: if another process holds the directory, it cannot be written, or its
                content must not be deleted or overwritten.
        """
        _check_writable(self.path)
        folder = Path(source) if source is not None and Path(source).is_dir() else None
        if self.overwrite:
            check_removable(self.path, folder)
        else:
            check_free(self.path, folder)
            check()
        before = [each for each in (self.path / LOCK, self.path) if not each.exists()]
        before += [each for each in self.path.parents if not each.exists()]
        try:
            with contextlib.ExitStack() as held:
                try:
                    make_folder(self.path)
                    if lock:
                        held.enter_context(run_lock(self.path))
                    if self.overwrite:
                        remove_run(self.path, folder)
                        self.overwrite = False
                    else:
                        # It may have changed until it was held.
                        check()
                except StorageError:
                    raise
                except OSError as error:
                    raise StorageError(
                        f"Cannot write the run directory {self.path}: {error.strerror}. Choose "
                        "another one."
                    ) from error
                yield
        finally:
            _remove_unused(self.path, before)

    def check_unchanged(self, known: Collection[str]) -> None:
        """Refuse, with a `StorageError`, a directory with trials that the oracle does not know."""
        if new := self.trial_ids() - set(known):
            raise StorageError(
                f"{self.path} has {len(new)} trials that its study lacks. Either another process "
                "has added them since this tuner was made: make the tuner anew to go on. "
                "Or study.db was lost: restore it from a copy, or choose another project_name."
            )

    def trial_ids(self) -> set[str]:
        """Ids of the trials that were begun; none if they are to be deleted."""
        if self.overwrite:
            return set()
        files = self.path.glob(f"trial_*/{TRIAL_STATE}")
        return {path.parent.name.removeprefix("trial_") for path in files}

    def was_trained(self) -> bool:
        """Whether there is a trial that has a score, or is still on its way to one."""
        trials = self.trials()
        if any(record.usable for record in trials):
            return True
        return bool(self.curves().keys() - {record.trial_id for record in trials})

    def trial(self, trial_id: str) -> Path:
        """The folder of a trial; made if missing."""
        folder = trial_folder(self.path, trial_id)
        folder.mkdir(exist_ok=True)
        return folder

    def note(self, record: TrialRecord) -> None:
        """Remember a trial that has just ended."""
        self._records[record.trial_id] = record

    def trials(self) -> list[TrialRecord]:
        """Finished and paused trials, failed ones included, in the order of their start."""
        if self.overwrite:
            return []
        # A result is never changed, but that of a failed trial may be set aside for another one.
        for name in (RESULT, PAUSE):
            for path in self.path.glob(f"trial_*/{name}"):
                trial_id = path.parent.name.removeprefix("trial_")
                known = self._records.get(trial_id)
                # One that paused may have ended since, in another process.
                if known is None or (known.status in (PAUSED, FAILED) and name == RESULT):
                    try:
                        self._records[trial_id] = TrialRecord.load(path)
                    except StorageError:
                        self._warn_of_damage(trial_id, [path])
        return sorted(self._records.values(), key=lambda record: record.number)

    def _warn_of_damage(self, trial_id: str, files: Sequence[Path]) -> None:
        """Say once a trial that its files are damaged."""
        if trial_id not in self._damaged:
            self._damaged.add(trial_id)
            logger.warning(
                "Trial %s is unfinished: %s cannot be read, as after a power loss. The same search "
                "trains it again.",
                trial_id,
                ", ".join(str(file) for file in files),
            )

    def discard_damaged(self) -> set[str]:
        """Remove unreadable files of trials that have ended; the rest of such a trial is set aside.

        Of other trials, which another process may be running, only the record of a pause is looked
        at: what else is damaged is noticed when they go on.

        Returns:
            Ids of the trials in the directory that have no result now.
        """
        unfinished = set()
        for trial_id, folder in self.trial_folders().items():
            ended = (folder / RESULT).exists()
            damaged = damaged_files(folder)
            if not ended:
                damaged = [file for file in damaged if file.name == PAUSE]
            if damaged:
                self._warn_of_damage(trial_id, damaged)
                for file in damaged:
                    file.unlink()
                self._records.pop(trial_id, None)
                self.set_aside(trial_id, self.failures(trial_id) + 1)
            noted = self._records.get(trial_id)
            if damaged or not (ended or (noted is not None and noted.status != PAUSED)):
                unfinished.add(trial_id)
        return unfinished

    def failures(self, trial_id: str) -> int:
        """The number of a trial's failed attempts that were set aside."""
        return len(list(self.trial(trial_id).glob(FAILED_ATTEMPT.format("*"))))

    def set_aside(self, trial_id: str, failures: int) -> None:
        """Rename the result and the curve of a failed attempt, once, as the trial is retried.

        Args:
            trial_id: Id of the trial.
            failures: Its failed attempts, this one included.
        """
        folder = self.trial(trial_id)
        kept, result = folder / FAILED_ATTEMPT.format(failures), folder / RESULT
        if kept.exists() or not result.exists():
            return
        # A trial whose worker died has a checkpoint, and its curve goes on from there.
        if (folder / HISTORY).exists() and not (folder / CHECKPOINT).exists():
            (folder / HISTORY).replace(kept.with_suffix(".csv"))
        result.replace(kept)
        self._records.pop(trial_id, None)

    def best_trials(self, count: int | None = None) -> list[TrialRecord]:
        """The completed and pruned trials, best first; all of them if `count` is None."""
        return best_first(self.trials(), self._objective.name, self._objective.direction)[:count]

    def curves(self) -> dict[str, list[Point]]:
        """By trial: a point per epoch, of trials that failed without any score as well."""
        folders = self.trial_folders().items()
        return {name: self.curve(name) for name, folder in folders if (folder / HISTORY).exists()}

    def curve(self, trial_id: str) -> list[Point]:
        """A point an epoch of a trial; none if it has not had any."""
        history = self.history(trial_id)
        if self._objective.name not in history:
            return []
        values = history[self._objective.name]
        known = ~np.isnan(values)
        ends = np.cumsum(history["seconds"][known]).tolist()
        points = enumerate(zip(ends, values[known].tolist(), strict=True), 1)
        return [Point(done, end, value) for done, (end, value) in points]

    def seconds(self, trial_id: str) -> float:
        """Wall-clock of a finished or paused trial."""
        return self._records[trial_id].seconds

    def seconds_spent(self) -> float:
        """Wall-clock of all trials until now; that of trials side by side counts once."""
        times = [(record.began, record.began + record.seconds) for record in self.trials()]
        for trial_id, curve in self.curves().items():
            record = self._records.get(trial_id)
            known = 0 if record is None else record.epochs
            # Trials that have not ended count since their last pause.
            if len(curve) > known and (record is None or record.status == PAUSED):
                before = curve[known - 1].seconds if known else 0.0
                ended = (self.trial(trial_id) / HISTORY).stat().st_mtime
                times.append((ended - (curve[-1].seconds - before), ended))
        spent, until = 0.0, -math.inf
        for began, ended in sorted(times):
            spent += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return spent

    def claim(self, data: ImageData, validated: Sequence[NDArray[np.int64]]) -> None:
        """Write the data card and the split.

        Args:
            data: The images.
            validated: Indices of the images that each fold is validated on.
        """
        data.card.save(self.path / DATA)
        data.save_split(self.path / SPLIT, predicted=np.concatenate(validated))
        if self.path not in data.runs:
            data.runs.append(self.path)
        # The test split may have been looked at before there was a run to note that in.
        add_uses(self.path, held_out_uses(data.uses_without_run).uses)


def _check_writable(path: Path) -> None:
    """Refuse a directory that cannot be made or written. Nothing is made."""
    check_length(path)
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        raise StorageError(
            f"Cannot write the run directory {path}: {there} is a file. Choose another one."
        )
    if not os.access(there, os.W_OK):
        raise StorageError(f"The run directory {path} is read-only. Choose another one.")


def _remove_unused(path: Path, made: Sequence[Path]) -> None:
    """Remove the lock and folders that were made to hold a directory, unless it has files now."""
    with contextlib.suppress(OSError):
        if {entry.name for entry in path.iterdir()} <= {LOCK}:
            for each in made:
                each.unlink() if each.name == LOCK else each.rmdir()
