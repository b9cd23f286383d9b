"""Processes that died while they ran a trial, counted in the trial's folder.

What is trained in the process of the search itself leaves a note while it runs, which a process
that dies cannot remove. A worker's death is noted by the process that started it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import Record
from kt_tuning.run.layout import DEATHS

"""File of a trial."""
MOST = 2
"""Deaths without a finished epoch in between after which a trial has failed."""


@dataclasses.dataclass(frozen=True)
class Deaths(Record):
    """How often a process died while it ran a trial.

    Attributes:
        count: Deaths since a death before which a further epoch was finished.
        epochs: Epochs that were finished when the trial last began or its process last died.
        running: Whether the process of a search runs the trial itself, or died doing so.
    """

    count: int = 0
    epochs: int = 0
    running: bool = False

    def another(self, epochs: int) -> Deaths:
        """The same after one more death, with so many epochs finished."""
        count = 1 if epochs > self.epochs else self.count + 1
        return Deaths(count, epochs)


class DeathNotes:
    """The deaths of one trial's processes, on disk.

    Args:
        folder: Of the trial.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / DEATHS

    def read(self) -> Deaths:
        """Return the note; no deaths if there is none, or a damaged one."""
        try:
            return Deaths.load(self._path)
        except StorageError:
            return Deaths()

    def begin(self, epochs: int) -> int:
        """Note that this process runs the trial from now on.

        Args:
            epochs: That are finished.

        Returns:
            Deaths, if the process that ran the trial before died of it; else 0.
        """
        known = self.read()
        died = known.running
        if died:
            known = known.another(epochs)
        if known.count < MOST or not died:
            known = dataclasses.replace(known, epochs=epochs, running=True)
        known.save(self._path, durable=False)
        return known.count if died else 0

    def died(self, epochs: int) -> int:
        """Note that a worker died, with so many epochs finished; the number of deaths."""
        known = self.read().another(epochs)
        known.save(self._path, durable=False)
        return known.count

    def end(self) -> None:
        """Note that the trial does not run in this process any more."""
        known = self.read()
        if known.count:
            dataclasses.replace(known, running=False).save(self._path, durable=False)
        else:
            self.forget()

    def forget(self) -> None:
        """Remove the note: the trial has succeeded."""
        self._path.unlink(missing_ok=True)
