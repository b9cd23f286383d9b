"""For how many epochs a configuration is trained when nothing is left to validate it on."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

from kt_tuning.errors import StorageError
from kt_tuning.records import HISTORY, TrialRecord


def chosen_epochs(folder: Path, record: TrialRecord, *, objective: str, maximise: bool) -> int:
    """As many epochs as the trial had had when it was best: epochs, not steps.

    Each image is seen as often as it was then; as there are more images now, there are more steps.
    With several folds or executions it is the median over them, the later one of two.

    Args:
        folder: Of the trial.
        record: What came of it.
        objective: Name of the metric that decides which epoch is best.
        maximise: Whether more of it is better.

    Raises:
        StorageError: if the trial has several trainings and their curves cannot be read.
    """
    if len(record.scores) <= 1:
        return record.best_epoch + 1
    path = folder / HISTORY
    best: dict[str, tuple[float, int]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                value = float(row[objective]) * (1 if maximise else -1)
                epoch = int(row["epoch"])
                if row["run"] not in best or value > best[row["run"]][0]:
                    best[row["run"]] = (value, epoch)
    except (OSError, KeyError, ValueError) as error:
        raise StorageError(
            f"{path} should have the columns run, epoch and {objective}. Received: {error!r}. "
            "Say for how many `epochs` to train."
        ) from error
    return statistics.median_high(epoch for _, epoch in best.values()) + 1
