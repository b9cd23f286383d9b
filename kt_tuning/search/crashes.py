"""Crashes of the processes that run a trial, counted in the folder of the trial.

A trial that runs in the process of the search leaves a file while it runs, which a process that
crashes cannot remove. The crash of a worker is counted by the process that started it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import Record
from kt_tuning.run.layout import DEATHS

MAX_CRASHES = 2
"""Crashes without a finished epoch in between after which a trial has failed."""


@dataclasses.dataclass(frozen=True)
class Crashes(Record):
    """The crashes of a trial.

    Attributes:
        count: Crashes since the last one before which a further epoch was finished.
        epochs: Finished epochs when the trial last started or crashed.
        running: Whether the process of a search runs the trial, or crashed while it did.
    """

    count: int = 0
    epochs: int = 0
    running: bool = False

    def another(self, epochs: int) -> Crashes:
        """Return the crashes after one more, with `epochs` finished."""
        count = 1 if epochs > self.epochs else self.count + 1
        return Crashes(count, epochs)


class CrashLog:
    """The crashes of one trial on disk.

    Args:
        folder: Folder of the trial.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / DEATHS

    def read(self) -> Crashes:
        """Return the crashes so far; none if there is no file, or a damaged one."""
        try:
            return Crashes.load(self._path)
        except StorageError:
            return Crashes()

    def begin(self, epochs: int) -> int:
        """Record that this process runs the trial.

        Args:
            epochs: Finished epochs.

        Returns:
            Crashes if the process that ran the trial before crashed, else 0.
        """
        known = self.read()
        crashed = known.running
        if crashed:
            known = known.another(epochs)
        if known.count < MAX_CRASHES or not crashed:
            known = dataclasses.replace(known, epochs=epochs, running=True)
        known.save(self._path, durable=False)
        return known.count if crashed else 0

    def add(self, epochs: int) -> int:
        """Record that a worker crashed with `epochs` finished; return the number of crashes."""
        known = self.read().another(epochs)
        known.save(self._path, durable=False)
        return known.count

    def end(self) -> None:
        """Record that this process does not run the trial any more."""
        known = self.read()
        if known.count:
            dataclasses.replace(known, running=False).save(self._path, durable=False)
        else:
            self.remove()

    def remove(self) -> None:
        """Remove the file: the trial has succeeded."""
        self._path.unlink(missing_ok=True)
