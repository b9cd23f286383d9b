"""Trials and learning curves that figures are drawn of."""

from __future__ import annotations

import dataclasses
from typing import Any

from matplotlib.figure import Figure

from kt_tuning.report.run_summary import RunSummary

# rate, units, kind, depth, accuracy, status
ROWS = [
    (1e-3, 1, "a", None, 0.50, "COMPLETED"),
    (1e-2, 2, "b", 0.2, 0.70, "COMPLETED"),
    (1e-1, 3, "a", None, None, "FAILED"),
    (1e-4, 2, "b", 0.4, 0.75, "PRUNED"),
    (1e-1, 3, "b", 0.9, 0.60, "COMPLETED"),
]
LONG = {
    "epoch": [0.0, 1.0, 2.0],
    "val_accuracy": [0.2, 0.4, 0.3],
    "loss": [3.0, 2.0, 1.0],
    "val_loss": [3.0, 2.5, 2.6],
}
SHORT = {"epoch": [4.0], "val_accuracy": [0.1]}


def with_records(run: RunSummary, *changes: dict[str, Any]) -> RunSummary:
    """The same run with changes of each trial's record."""
    trials = [
        dataclasses.replace(trial, **change)
        for trial, change in zip(run.trials, changes, strict=True)
    ]
    return dataclasses.replace(run, trials=tuple(trials))


def points(figure: Figure, line: int = 0, axes: int = 0) -> list[list[float]]:
    """(x, y) of a line's points."""
    return figure.axes[axes].lines[line].get_xydata().tolist()
