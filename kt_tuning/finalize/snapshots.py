"""Snapshot ensembles: several models for the price of one training.

Source: Huang, Li, Pleiss, Liu, Hopcroft and Weinberger (2017), "Snapshot ensembles: train 1, get M
for free".
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from kt_tuning.core.errors import OptionError
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Candidates
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.finalize.member_training import MemberTraining, TrainingSubset
from kt_tuning.search.options import check_count

ANNEALED = {"schedule": "cosine", "restarts": 0}
"""A configuration's own schedule gives way to one that ends each cycle near 0."""


def snapshots(
    configuration: Configuration,
    data: ImageData,
    directory: str | Path,
    *,
    cycles: int = 5,
    epochs: int | None = None,
    overwrite: bool = False,
    verbose: bool = True,
) -> Candidates:
    """Train a configuration once, in cycles of its learning rate, and keep a member of each cycle.

    Within a cycle the rate falls along a cosine; then it is raised again, and the training leaves
    the minimum that it was in for another one. A cycle starts from the weights that the one before
    it kept, those of its best epoch, with a new optimizer. Hypermodels with a schedule of their
    own that cannot be set to "cosine" go through that one in each cycle.

    Called again, it continues; with more cycles of the same length it adds some.
    Ctrl-C stops it and keeps the finished ones.

    Args:
        configuration: What is trained, e.g. `Configuration.of(tuner)`.
        data: The images.
        directory: Folder of the members, e.g. "snapshots" in the run directory.
        cycles: How many.
        epochs: Of one cycle; by default all together take as long as one training of the
            configuration.
        overwrite: Whether members in the directory are deleted first.
        verbose: Whether to show the live view.

    Returns:
        The members, best first: for `Ensemble.from_members`, for `soup`, or for `join_candidates`
        with others.

    Raises:
        OptionError: if an argument is wrong, or the configuration does not fit the data.
        SearchError: if the first cycle fails.
        StorageError: if the directory holds something else, or another process uses it.
    """
    check_count("cycles", cycles)
    if not configuration.by_epochs:
        raise OptionError(
            "Snapshots are taken along the epochs of a training, and the best trial is a linear "
            "probe, which has none. Use `kt-tuning bag` (`bag` in Python): several probes, each on "
            "a sample of the images."
        )
    check_count("epochs", epochs, optional=True)
    cycle = dataclasses.replace(
        configuration,
        values=_annealed(configuration.values),
        epochs=epochs or max(1, configuration.epochs // cycles),
    )
    run = MemberTraining("snapshot", cycle, data, directory, overwrite=overwrite)

    def plan(index: int) -> TrainingSubset | None:
        if index == 0:
            return TrainingSubset(data)
        before = run.record(index - 1)
        usable = before is not None and before.usable
        return TrainingSubset(data, origin=run.folder(index - 1)) if usable else None

    run.train(cycles, plan, verbose=verbose)
    return run.candidates(cycles)


def _annealed(values: Any) -> dict[str, Any]:
    """The values with a cosine for a schedule; in a search of several families names have paths."""
    return {name: ANNEALED.get(name.rpartition("/")[2], value) for name, value in values.items()}
