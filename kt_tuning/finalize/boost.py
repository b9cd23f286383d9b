"""Boosting: each member is trained on the images that the earlier ones get wrong."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import SearchError
from kt_tuning.core.records import TrialRecord
from kt_tuning.data import ImageData
from kt_tuning.ensembling import BoostingRound, Candidates, Combination, boosting_round
from kt_tuning.evaluation import predict_split
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.finalize.member_training import (
    MemberTraining,
    TrainingSubset,
    with_train_rows,
)
from kt_tuning.run.layout import TRAIN_ERRORS
from kt_tuning.search.options import check_count

logger = logging.getLogger("kt_tuning")

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Boosted(Candidates):
    """Members of a boosting.

    Attributes:
        votes: How much each member counts, by name, more than 0.
    """

    votes: Mapping[str, float]

    @property
    def combination(self) -> Combination:
        """The members' mean, weighted by their votes; `solve` finds weights of its own."""
        votes = np.array([self.votes[member.name] for member in self.members])
        return Combination.average(votes / votes.sum())


def boost(
    configuration: Configuration,
    data: ImageData,
    directory: str | Path,
    *,
    rounds: int = 5,
    overwrite: bool = False,
    verbose: bool = True,
) -> Boosted:
    """Train a configuration several times, with more and more weight on what it gets wrong.

    The first member is trained on the training images as they are; each next one on as many that
    are drawn from them by their weights (see `boosting_round`). Drawing goes better with
    stochastic gradients than weights of the loss (An, Ying and Zhu 2021, "Why resampling
    outperforms reweighting"), and an image that is drawn often is augmented anew each time.

    It ends early after a member that gets no training image wrong, or that is no better than
    guessing, which gets no vote. So it is for configurations that do not learn their training
    images by heart.

    Called again, it continues; with more rounds it adds some. Ctrl-C stops it
    and keeps the finished ones.

    Args:
        configuration: What is trained, e.g. `Configuration.of(tuner)`.
        data: The images; all members are validated on the same ones.
        directory: Folder of the members, e.g. "boost" in the run directory.
        rounds: How many, at most.
        overwrite: Whether members in the directory are deleted first.
        verbose: Whether to show the live view.

    Returns:
        The members, best first, and their votes.

    Raises:
        OptionError: if an argument is wrong, or the configuration does not fit the data.
        SearchError: if the first member fails, or is no better than guessing.
        StorageError: if the directory holds something else, or another process uses it.
    """
    check_count("rounds", rounds)
    run = MemberTraining("boost", configuration, data, directory, overwrite=overwrite)

    def plan(index: int) -> TrainingSubset | None:
        if index == 0:
            return TrainingSubset(data)
        done = _replay(run, index)
        if len(done) < index or done[-1].last:
            return None
        rng = np.random.default_rng((configuration.seed, index))
        return TrainingSubset(
            with_train_rows(data, draw_rows(done[-1].weights, data.train.labels, rng))
        )

    run.train(rounds, plan, verbose=verbose)
    done = _replay(run, rounds)
    votes = {run.name(index): found.vote for index, found in enumerate(done) if found.useful}
    if not votes:
        raise SearchError(
            "The first member of a boosting should be better than guessing on its training "
            f"images. Received: one that gets {done[0].error:.0%} of them wrong. Train it for "
            "more epochs."
        )
    if len(done) == 1 and done[0].error == 0:
        logger.warning(
            "The first member gets every training image right, so that there is nothing to boost. "
            "`kt-tuning bag` (`bag` in Python) trains several on samples of the images."
        )
    found = run.candidates(rounds)
    members = tuple(member for member in found.members if member.name in votes)
    return Boosted(members, found.labels, found.rows, found.fingerprint, votes)


def draw_rows(weights: Floats, labels: Integers, rng: np.random.Generator) -> Integers:
    """Draw as many rows as there are, by their weights; the heaviest of each class is among them.

    Without these a class of small weight could be missing.

    Args:
        weights: (N,) summing to 1.
        labels: (N,).
        rng: Draws.

    Returns:
        (N,) positions.
    """
    groups = (np.flatnonzero(labels == label) for label in np.unique(labels))
    heaviest = np.array([group[weights[group].argmax()] for group in groups])
    drawn = rng.choice(len(labels), size=len(labels) - len(heaviest), p=weights)
    return np.concatenate([heaviest, drawn])


def _replay(run: MemberTraining, count: int) -> list[BoostingRound]:
    """The rounds that are done, of the first `count`, until one that ends it."""
    weights = np.full(len(run.data.train), 1 / len(run.data.train))
    done: list[BoostingRound] = []
    for index in range(count):
        record = run.record(index)
        if record is None or not record.usable:
            break
        done.append(boosting_round(weights, _errors(run, record), run.data.classes))
        if done[-1].last:
            break
        weights = done[-1].weights
    return done


def _errors(run: MemberTraining, record: TrialRecord) -> NDArray[np.bool_]:
    """Whether a member gets each training image wrong, as it is, without augmentation."""
    path = run.folder(record.number) / TRAIN_ERRORS
    if not path.exists():
        model, train = run.load(record), run.data.train
        wrong = predict_split(model.predict_on_batch, train).argmax(axis=1) != train.labels
        with atomic_write(path, durable=True) as temporary:
            np.save(temporary, wrong)
    errors: NDArray[np.bool_] = np.load(path)
    return errors
