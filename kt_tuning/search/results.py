"""Tables of the trials and epochs of a search."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from kt_tuning.core.records import TrialRecord
from kt_tuning.run.layout import HISTORY


def results_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Return a table with one row a trial.

    Columns: trial_id (the index), number, status, the metrics, best_epoch, epochs, seconds,
    parameters, message, began, backbone (the name of the pre-trained network, if there is one),
    deviation (of the objective over folds and executions, if there
    are several: standard deviation of one score), and `hp/<name>` for each hyperparameter
    (missing where inactive).
    """
    rows = []
    for record in records:
        row = record.to_json()
        values, metrics = row.pop("values"), row.pop("metrics")
        scores, backbone = row.pop("scores"), row.pop("backbone")
        if backbone is not None:
            row["backbone"] = backbone["name"]
        if len(scores) > 1:
            row["deviation"] = float(np.std(scores, ddof=1))
        start = {key: row.pop(key) for key in ("trial_id", "number", "status")}
        rows.append(
            {**start, **metrics, **row, **{f"hp/{name}": value for name, value in values.items()}}
        )
    frame = pd.DataFrame(rows, columns=None if rows else ["trial_id", "number", "status"])
    return frame.set_index("trial_id")


def history_frame(run_directory: Path, records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Return one row an epoch: trial_id, number, epoch (from 0), seconds and metrics."""
    frames = []
    for record in records:
        path = run_directory / f"trial_{record.trial_id}" / HISTORY
        if path.exists():
            frame = pd.read_csv(path)
            frame.insert(0, "trial_id", record.trial_id)
            frame.insert(1, "number", record.number)
            frames.append(frame)
    if not frames:
        return pd.DataFrame(columns=["trial_id", "number", "epoch"])
    return pd.concat(frames, ignore_index=True)
