"""Ensembles of one configuration: bagging, boosting and snapshots of one training."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.json_record import content_checked
from kt_tuning.core.records import TrialRecord
from kt_tuning.core.units import check_count
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Candidates, Combination
from kt_tuning.evaluation import predict_split
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.finalize.member_training import MemberTraining, with_train_rows
from kt_tuning.run.layout import TRAIN_ERRORS

logger = logging.getLogger("kt_tuning")
Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
ANNEALED = {"schedule": "cosine", "restarts": 0}
"""A configuration's own schedule gives way to one that ends each cycle near 0."""
_ROUNDING = 1e-9
"""A smaller vote is that of guessing, apart from rounding."""


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
    differently each time. Networks already differ by their initial weights and the order of the
    images: if there are few images, train each member on all of them, a deep ensemble, with
    `bootstrap=False`.

    When it is called again, it continues; a larger number of members adds models. Ctrl-C stops it
    and keeps the finished ones.

    Sources: Breiman (1996), "Bagging predictors"; without the samples, Lakshminarayanan, Pritzel
    and Blundell (2017), "Simple and scalable predictive uncertainty estimation using deep
    ensembles".

    Args:
        configuration: The configuration to train, such as `Configuration.of(tuner)`.
        data: The images; all members have the same validation images.
        directory: Folder of the members, such as "bag" in the run directory.
        members: Number of members, at least 1.
        bootstrap: Whether samples are drawn; otherwise each member gets all training images.
        overwrite: Whether members in the directory are deleted first.
        verbose: Whether to show the live view.

    Returns:
        The members, best first, for `Ensemble.from_members` or `join_candidates`.

    Raises:
        OptionError: if an argument is invalid, or the configuration does not fit the data.
        SearchError: if every member fails.
        StorageError: if the directory contains something else, or another process uses it.
    """
    members = check_count("members", members)
    metadata = {"bootstrap": bootstrap}
    run = MemberTraining(
        "bag", configuration, data, directory, metadata=metadata, overwrite=overwrite
    )

    def plan(index: int) -> ImageData:
        if not bootstrap:
            return data
        rng = np.random.default_rng((configuration.seed, index))
        return with_train_rows(data, bootstrap_rows(data.train.labels, rng))

    run.train(members, plan, verbose=verbose)
    return run.candidates(members)


def bootstrap_rows(labels: Integers, rng: np.random.Generator) -> Integers:
    """Draw positions in `labels`, (N,), with replacement, of each class as many as it has."""
    groups = (np.flatnonzero(labels == label) for label in np.unique(labels))
    return np.concatenate([rng.choice(group, size=len(group)) for group in groups])


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
        return Combination(tuple(votes / votes.sum()))


def boost(
    configuration: Configuration,
    data: ImageData,
    directory: str | Path,
    *,
    rounds: int = 5,
    overwrite: bool = False,
    verbose: bool = True,
) -> Boosted:
    """Train a configuration several times, with more and more weight on its errors (SAMME).

    The first member is trained on the training images; each further one on a sample of the same
    size that is drawn by the weights of the images (see `boosting_round`). With stochastic
    gradients, drawing works better than weights in the loss (An, Ying and Zhu 2021, "Why resampling
    outperforms reweighting"), and an image that is drawn several times is augmented differently
    each time.

    It ends early after a member without errors on the training images, or after one that is no
    better than guessing, which gets no vote. It is therefore for configurations that do not fit
    their training images perfectly.

    When it is called again, it continues; a larger number of rounds adds models. Ctrl-C stops it
    and keeps the finished ones.

    Source: Zhu, Zou, Rosset and Hastie (2009), "Multi-class AdaBoost".

    Args:
        configuration: The configuration to train, such as `Configuration.of(tuner)`.
        data: The images; all members have the same validation images.
        directory: Folder of the members, such as "boost" in the run directory.
        rounds: Largest number of members, at least 1.
        overwrite: Whether members in the directory are deleted first.
        verbose: Whether to show the live view.

    Returns:
        The members, best first, and their votes.

    Raises:
        OptionError: if an argument is invalid, or the configuration does not fit the data.
        SearchError: if the first member fails, or is no better than guessing.
        StorageError: if the directory contains something else, or another process uses it.
    """
    rounds = check_count("rounds", rounds)
    run = MemberTraining("boost", configuration, data, directory, overwrite=overwrite)

    def plan(index: int) -> ImageData | None:
        if index == 0:
            return data
        done = _replay(run, index)
        if len(done) < index or done[-1].last:
            return None
        rng = np.random.default_rng((configuration.seed, index))
        return with_train_rows(data, draw_rows(done[-1].weights, data.train.labels, rng))

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
    """Draw N positions by weights (N,) that sum to 1, and the heaviest of each class.

    Without these a class of small weight could be missing.
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
        wrong = predict_split(model, train).argmax(axis=1) != train.labels
        with atomic_write(path, durable=True) as temporary:
            np.save(temporary, wrong)
    with content_checked(path, way_on="Remove it: the same command writes it again."):
        errors: NDArray[np.bool_] = np.load(path)
        if errors.dtype != np.bool_ or errors.shape != run.data.train.labels.shape:
            raise TypeError(f"received {errors.dtype} {errors.shape}")
    return errors


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

    Within a cycle the learning rate decays along a cosine; then it is raised again, so that the
    training leaves the minimum for another one. Each cycle starts from the weights of the best
    epoch of the cycle before, with a new optimizer. Hypermodels with their own schedule, which
    cannot be set to "cosine", use that schedule in each cycle.

    When it is called again, it continues; a larger number of cycles of the same length adds models.
    Ctrl-C stops it and keeps the finished ones.

    Source: Huang et al. (2017), "Snapshot ensembles: train 1, get M for free".

    Args:
        configuration: The configuration to train, such as `Configuration.of(tuner)`.
        data: The images.
        directory: Folder of the members, such as "snapshots" in the run directory.
        cycles: Number of cycles, and of members, at least 1.
        epochs: Epochs of one cycle; by default all cycles together have the epochs of one training
            of the configuration.
        overwrite: Whether members in the directory are deleted first.
        verbose: Whether to show the live view.

    Returns:
        The members, best first, for `Ensemble.from_members`, `soup` or `join_candidates`.

    Raises:
        OptionError: if an argument is invalid, or the configuration does not fit the data.
        SearchError: if the first cycle fails.
        StorageError: if the directory contains something else, or another process uses it.
    """
    cycles = check_count("cycles", cycles)
    if not configuration.by_epochs:
        raise OptionError(
            "Snapshots are taken along the epochs of a training, and the best trial is a linear "
            "probe, which has none. Use `kt-tuning bag` (`bag` in Python): several probes, each on "
            "a sample of the images."
        )
    epochs = check_count("epochs", epochs, optional=True)
    cycle = dataclasses.replace(
        configuration,
        values=_annealed(configuration.values),
        epochs=epochs or max(1, configuration.epochs // cycles),
    )
    run = MemberTraining("snapshot", cycle, data, directory, overwrite=overwrite)

    def plan(index: int) -> ImageData | None:
        before = run.record(index - 1) if index else None
        return data if index == 0 or (before is not None and before.usable) else None

    run.train(cycles, plan, chained=True, verbose=verbose)
    return run.candidates(cycles)


def _annealed(values: Any) -> dict[str, Any]:
    """The values with a cosine for a schedule; in a search of several families names have paths."""
    return {name: ANNEALED.get(name.rpartition("/")[2], value) for name, value in values.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class BoostingRound:
    """The result of a round of boosting.

    Attributes:
        error: Share of the weight that the member gets wrong, 0 to 1.
        vote: Weight of the member, if it is `useful`.
        weights: (N,) of the training images in the next round, summing to 1.
    """

    error: float
    vote: float
    weights: Floats

    @property
    def useful(self) -> bool:
        """Whether the member is better than guessing: its vote is above 0."""
        return self.vote > _ROUNDING

    @property
    def last(self) -> bool:
        """Whether there is nothing to learn from in a next round."""
        return self.error == 0 or not self.useful


def boosting_round(weights: Floats, wrong: NDArray[np.bool_], classes: int) -> BoostingRound:
    """Evaluate a member by SAMME, and weight the images for the next one.

    With e the weight of the images that it gets wrong, the vote is ln((1 - e) / e) + ln(C - 1), and
    the weight of each of these images is multiplied by exp(vote). A member without an error counts
    as one that gets half an image wrong: its vote would be infinite.

    Source: Zhu, Zou, Rosset and Hastie (2009), "Multi-class AdaBoost", algorithm 2.

    Args:
        weights: (N,) of the training images; they need not sum to 1.
        wrong: (N,) whether the member gets each wrong.
        classes: C, at least 2.
    """
    shares = weights / weights.sum()
    error = float(shares @ wrong)
    half = 0.5 / len(shares)
    bounded = min(max(error, half), 1 - half)
    vote = math.log((1 - bounded) / bounded) + math.log(classes - 1)
    raised = np.where(wrong, shares * math.exp(vote), shares)
    return BoostingRound(error, vote, raised / raised.sum())
