"""The curve of a trial: `history.csv` with one row an epoch."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from kt_tuning.core.atomic import atomic_write


class Curve:
    """Writes and rewinds `history.csv`.

    Args:
        path: The file.
        several: Whether the trial trains more than once, which adds a column "run".
    """

    def __init__(self, path: Path, *, several: bool) -> None:
        self._path = path
        self._several = several

    def add(
        self,
        run: int,
        epoch: int,
        seconds: float,
        numbers: dict[str, float],
        *,
        data_wait: float | None,
    ) -> None:
        """Write an epoch.

        Args:
            run: Index of the training, from 0.
            epoch: Index, from 0.
            seconds: Wall-clock of the epoch, evaluation included.
            numbers: Metrics.
            data_wait: Share of the training time that was spent waiting for data, in [0, 1]; None
                (unknown) leaves the field empty.
        """
        row: dict[str, Any] = {"run": run} if self._several else {}
        wait = None if data_wait is None else round(data_wait, 4)
        row.update(epoch=epoch, seconds=round(seconds, 3), data_wait=wait, **numbers)
        header, *rows = self._read()
        if new := [name for name in row if name not in header]:
            # The first row; or the model was compiled again with other metrics.
            self._write([header + new, *([*row, *[""] * len(new)] for row in rows)])
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, header + new).writerow(row)

    def rewind(self, run: int, epoch: int) -> None:
        """Remove the rows that a killed attempt wrote after its last checkpoint.

        Args:
            run: Index of the training that continues.
            epoch: Index of its next epoch.
        """
        if not self._path.exists():
            return
        header, *rows = self._read()
        kept = [header]
        for row in rows:
            place = dict(zip(header, row, strict=False))
            whole = len(row) == len(header) and place.get("epoch", "").isdecimal()
            if whole and (int(place.get("run", 0)), int(place["epoch"])) < (run, epoch):
                kept.append(row)
        self._write(kept)

    def _read(self) -> list[list[str]]:
        """Return the header and the rows."""
        if not self._path.exists():
            return [[]]
        with self._path.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file)) or [[]]

    def _write(self, rows: list[list[str]]) -> None:
        with (
            atomic_write(self._path, durable=False) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file, lineterminator="\r\n").writerows(rows)
