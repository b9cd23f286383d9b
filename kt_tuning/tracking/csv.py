"""Tracker that writes two CSV files of a whole search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kt_tuning.core.atomic import CsvTable
from kt_tuning.core.records import TrialRecord
from kt_tuning.tracking.tracker import (
    Epoch,
    SearchOutcome,
    TrackedSearch,
    TrackedTrial,
    Tracker,
)

FOLDER = "csv"


class CsvTracker(Tracker):
    """Writes `csv/epochs.csv` and `csv/trials.csv` in the run directory.

    `epochs.csv` has one row per epoch of every trial. `trials.csv` has one row per finished trial:
    status, metrics at the best epoch, costs, and a column `hp/<name>` for each hyperparameter.
    """

    name = "csv"

    def search_began(self, search: TrackedSearch) -> None:
        """Open the files."""
        folder = search.directory / FOLDER
        folder.mkdir(exist_ok=True)
        self._epochs = _KeyedTable(folder / "epochs.csv", "trial_id", "step")
        self._trials = _KeyedTable(folder / "trials.csv", "trial_id")

    def trial_began(self, trial: TrackedTrial, *, logged: int) -> None:
        """Do nothing: the row of a trial is written when it has ended."""

    def epoch(self, trial: TrackedTrial, epoch: Epoch) -> None:
        """Write a row."""
        place = {"trial_id": trial.trial_id, "number": trial.number, "step": epoch.step}
        self._epochs.add({**place, **epoch.metrics})

    def trial_ended(self, trial: TrackedTrial, record: TrialRecord) -> None:
        """Write a row."""
        row = record.to_json()
        values, metrics = row.pop("values"), row.pop("metrics")
        del row["scores"]
        start = {name: row.pop(name) for name in ("trial_id", "number", "status")}
        hyperparameters = {f"hp/{name}": value for name, value in values.items()}
        self._trials.add({**start, **metrics, **row, **hyperparameters})

    def search_ended(self, outcome: SearchOutcome) -> None:
        """Do nothing: rows are written immediately."""


class _KeyedTable(CsvTable):
    """A CSV file in which a row with a known key is not written again."""

    def __init__(self, path: Path, *key: str) -> None:
        super().__init__(path)
        self._key = key
        rows = self.read()
        self._known = {self._place(row) for row in rows}
        if path.exists():
            self.replace(rows)

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row unless its key is known."""
        place = self._place(row)
        if place not in self._known:
            super().add(row)
            self._known.add(place)

    def _place(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in self._key)
