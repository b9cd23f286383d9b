"""Candidates from run directories: those of several searches on the same images, on common rows."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, StorageError
from kt_tuning.core.records import SearchRecord, TrialRecord
from kt_tuning.core.units import count
from kt_tuning.ensembling.members import Member, serving_cost
from kt_tuning.ensembling.problem import LOG_LOSS
from kt_tuning.evaluation import score
from kt_tuning.run import Run
from kt_tuning.run.layout import SPLIT

if TYPE_CHECKING:
    import keras

Loader = Callable[[TrialRecord], "keras.Model"]


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """Members that predict the same rows.

    Attributes:
        members: Best first.
        labels: (N,) of the rows.
        rows: (N,) places of the rows in the data set.
        fingerprint: Of the data set: places mean the same in those that have the same.
    """

    members: tuple[Member, ...]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    fingerprint: str

    def __repr__(self) -> str:
        names = ", ".join(member.name for member in self.members)
        return f"{type(self).__name__}({names}; {count(len(self.rows), 'image')})"


def read_candidates(
    directory: str | Path, *, load: Loader | None = None, prefix: str = ""
) -> Candidates:
    """Read the trials of a run directory that predicted every validated row.

    Args:
        directory: What a search wrote.
        load: Makes a trial's model, or None if only weights are asked for.
        prefix: Of the members' names, e.g. "last_week/".

    Raises:
        StorageError: if the directory holds no search on images, or no such trial.
    """
    run = Run(directory)
    search, card, split = run.read_search(), run.read_data(), run.read_split()
    rows = split.predicted
    if rows is None:
        raise StorageError(f"{run.path / SPLIT} should say which images were predicted.")
    labels = split.predicted_labels
    members = []
    for record in run.best_trials():
        predictions = run.predictions(record.trial_id)
        # One that was pruned before its last fold lacks rows.
        if predictions is not None and len(predictions) == len(rows):
            members.append(_member(record, search, predictions, load, prefix))
    if not members:
        raise StorageError(
            f"No trial of {run.path} has predicted all {len(rows)} validation images: search "
            "longer, or name another run directory."
        )
    return Candidates(tuple(members), labels, rows, card.fingerprint)


def _member(
    record: TrialRecord,
    search: SearchRecord,
    predictions: NDArray[np.floating[Any]],
    load: Loader | None,
    prefix: str,
) -> Member:
    return Member(
        name=prefix + record.trial_id,
        predictions=predictions,
        score=record.metrics[search.objective],
        configuration=record.values,
        load=None if load is None else functools.partial(load, record),
        cost=serving_cost(record, search.folds),
    )


def join_candidates(runs: Sequence[Candidates]) -> Candidates:
    """Put members of several runs together, on the rows that all of them predicted.

    A search with folds predicts more rows than one without: those that both did remain. Each was
    predicted by models that were not trained on it. As the objectives of two runs may differ,
    their members are put in the order of log-loss.

    Args:
        runs: At least one.

    Raises:
        DataError: if the data sets differ, or fewer than 3 rows are common.
    """
    first = runs[0]
    if other := [run.fingerprint for run in runs if run.fingerprint != first.fingerprint]:
        raise DataError(
            "Members of several runs should have been searched on the same images with the same "
            f"split. Received the fingerprints {first.fingerprint[:12]} and {other[0][:12]}."
        )
    common = first.rows
    for run in runs[1:]:
        common = np.intersect1d(common, run.rows)
    if len(common) < 3:
        raise DataError(
            "Members of several runs should have predicted the same validation images. "
            f"Received runs that have {len(common)} in common."
        )
    labels = first.labels[_places(first.rows, common)]
    members = [
        dataclasses.replace(member, predictions=member.predictions[_places(run.rows, common)])
        for run in runs
        for member in run.members
    ]
    if len(runs) > 1:
        members.sort(key=lambda m: score(labels, m.predictions, [LOG_LOSS])[LOG_LOSS])
    return Candidates(tuple(members), labels, common, first.fingerprint)


def _places(rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each wanted row is among the rows, which are in any order."""
    order = np.argsort(rows)
    return order[np.searchsorted(rows, wanted, sorter=order)]
