"""Reading a trial's curve while the trial writes it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from kt_tuning.run.layout import HISTORY
from kt_tuning.tracking.tracker import Epoch

PLACES = ("run", "epoch")
"""Columns that say which row it is."""


def read_epochs(directory: Path, began: float, *, start: int) -> Iterator[Epoch]:
    """The epochs in a trial's `history.csv`, as far as they are written.

    Args:
        directory: Of the trial.
        began: When the trial began, in seconds since 1970.
        start: Index of the first one that is wanted.
    """
    try:
        text = (directory / HISTORY).read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    # The last line may be half written.
    lines = text[: text.rfind("\n") + 1].splitlines()
    moment = began
    for step, row in enumerate(csv.DictReader(lines)):
        metrics = {
            name: float(number) for name, number in row.items() if number and name not in PLACES
        }
        moment += metrics.get("seconds", 0.0)
        if step >= start:
            yield Epoch(step, metrics, moment)
