"""Bagging: one configuration trained on several bootstrap samples of the training images.

Sources: Breiman (1996), "Bagging predictors"; without the samples, Lakshminarayanan, Pritzel and
Blundell (2017), "Simple and scalable predictive uncertainty estimation using deep ensembles".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.data import ImageData
from kt_tuning.ensembling import Candidates
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.finalize.member_training import MemberTraining, TrainingSubset, with_train_rows
from kt_tuning.search.options import check_count

Integers = NDArray[np.integer[Any]]


def bag(
    configuration: Configuration,
    data: ImageData,
    directory: str | Path,
    *,
    members: int = 5,
    bootstrap: bool = True,
    overwrite: bool = False,
    verbose: bool = True,
) -> Candidates:
    """Train a configuration several times, each time on a bootstrap sample of the training images.

    A sample leaves out about 37% of the images and repeats others, so that the influence of single
    images is averaged out. Each class keeps its number of images; a repeated image is augmented
    anew each time. Networks differ by their initial weights and the order of images already. If
    there are few images, train each member on all of them, a deep ensemble: `bootstrap=False`.

    Called again, it continues; with more members it adds some. Ctrl-C stops it
    and keeps the finished ones.

    Args:
        configuration: What is trained, e.g. `Configuration.of(tuner)`.
        data: The images; all members are validated on the same ones.
        directory: Folder of the members, e.g. "bag" in the run directory.
        members: How many.
        bootstrap: Whether samples are drawn; otherwise each member gets all training images.
        overwrite: Whether members in the directory are deleted first.
        verbose: Whether to show the live view.

    Returns:
        The members, best first: for `Ensemble.from_members`, or for `join_candidates` with others.

    Raises:
        OptionError: if an argument is wrong, or the configuration does not fit the data.
        SearchError: if every member fails.
        StorageError: if the directory holds something else, or another process uses it.
    """
    check_count("members", members)
    metadata = {"bootstrap": bootstrap}
    run = MemberTraining(
        "bag", configuration, data, directory, metadata=metadata, overwrite=overwrite
    )

    def plan(index: int) -> TrainingSubset:
        if not bootstrap:
            return TrainingSubset(data)
        rng = np.random.default_rng((configuration.seed, index))
        return TrainingSubset(with_train_rows(data, bootstrap_rows(data.train.labels, rng)))

    run.train(members, plan, verbose=verbose)
    return run.candidates(members)


def bootstrap_rows(labels: Integers, rng: np.random.Generator) -> Integers:
    """Draw rows with replacement, of each class as many as it has.

    Args:
        labels: (N,).
        rng: Draws.

    Returns:
        (N,) positions in `labels`, grouped by class.
    """
    groups = (np.flatnonzero(labels == label) for label in np.unique(labels))
    return np.concatenate([rng.choice(group, size=len(group)) for group in groups])
