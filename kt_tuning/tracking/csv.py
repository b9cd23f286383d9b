"""Tracker that writes two CSV files of a whole search."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kt_tuning.core.atomic import atomic_write
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

    `epochs.csv` has a row an epoch of every trial. `trials.csv` has a row an ended trial: status,
    metrics at the best epoch, costs, and a column `hp/<name>` for each hyperparameter.
    """

    name = "csv"

    def search_began(self, search: TrackedSearch) -> None:
        """Open the files."""
        folder = search.directory / FOLDER
        folder.mkdir(exist_ok=True)
        self._epochs = GrowingTable(folder / "epochs.csv", key=("trial_id", "step"))
        self._trials = GrowingTable(folder / "trials.csv", key=("trial_id",))

    def trial_began(self, trial: TrackedTrial, *, logged: int) -> None:
        """Do nothing: a trial gets its row when it has ended."""

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


class GrowingTable:
    """A CSV file that grows by rows, and by columns if a row has new ones.

    Args:
        path: The file; made with the first row.
        key: Columns that identify a row; an existing row is not written again.
    """

    def __init__(self, path: Path, key: tuple[str, ...]) -> None:
        self._path = path
        self._key = key
        self._header: list[str] = []
        self._known: set[tuple[str, ...]] = set()
        if path.exists():
            rows = self._read()
            self._known = {self._place(row) for row in rows}
            self._rewrite(rows)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row unless it exists."""
        place = self._place(row)
        if place in self._known:
            return
        new = [name for name in row if name not in self._header]
        if new:
            rows = self._read() if self._path.exists() else []
            self._header += new
            self._rewrite(rows)
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._header).writerow(row)
        self._known.add(place)

    def _place(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in self._key)

    def _read(self) -> list[dict[str, str]]:
        """Return the complete rows; a kill may have left an incomplete last one."""
        text = self._path.read_bytes().decode("utf-8", errors="replace")
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
        self._header = list(reader.fieldnames or [])
        return [row for row in reader if None not in row.values()]

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        with (
            atomic_write(self._path, durable=False) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, self._header)
            writer.writeheader()
            writer.writerows(rows)
