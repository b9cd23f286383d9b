"""The optional parts of an evaluation: one table."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.progress import Task, progress
from kt_tuning.core.units import clock
from kt_tuning.evaluation.adversarial import (
    ATTACKS,
    EPSILONS,
    LossGradient,
    adversarial_accuracy,
    seconds_per_attacked_image,
)
from kt_tuning.evaluation.corruptions import CORRUPTIONS
from kt_tuning.evaluation.cost import measure_cost
from kt_tuning.evaluation.generalization import generalization
from kt_tuning.evaluation.metrics import find_metric
from kt_tuning.evaluation.predict import (
    Predicted,
    Split,
    predict_function,
    predict_images,
    seconds_per_image,
)
from kt_tuning.evaluation.robustness import (
    Robustness,
    robustness,
    seconds_per_corrupted_image,
)
from kt_tuning.evaluation.scores import Scores

logger = logging.getLogger("kt_tuning")

GENERALIZATION, CORRUPTED, ATTACKED = "generalization", "corruptions", "attacks"
SECONDS = 60.0
"""Default time of each part that depends on the number of images."""
FEWEST = 50
"""Images that are measured whatever they cost, if there are so many."""
TIMED = 16
"""Images in the batch that is timed."""
ALL = "all"
"""`Parts.images` for every image."""


class Splits(Protocol):
    """All three splits, such as an `ImageData`."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by label."""

    @property
    def train(self) -> Split:
        """Images that the model was fitted on."""

    @property
    def validation(self) -> Split:
        """Images that it was chosen on."""

    @property
    def test(self) -> Split:
        """Images that it has not seen."""


def has_splits(data: Any) -> TypeGuard[Splits]:
    """Whether these are all splits rather than one of them."""
    return all(hasattr(data, name) for name in ("train", "validation", "test"))


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts to measure besides the scores.

    Attributes:
        names: Rows of `PARTS`.
        images: Images that corruptions and attacks are measured on, and images of each earlier
            split for the generalization gaps; "all" of them; or None for as many as fit into
            `seconds`, by the time of one batch. They are chosen by the seed, each class by its
            share.
        seconds: Time of each such part if `images` is None; at least 50 images are measured.
        progress: Whether to show the progress of each part on the standard error stream.

    Raises:
        OptionError: on an unknown name, fewer than 1 image, or no time.
    """

    names: tuple[str, ...] = ()
    images: int | str | None = None
    seconds: float = SECONDS
    progress: bool = False

    def __post_init__(self) -> None:
        found = tuple(find_name(name, PARTS, "part of an evaluation") for name in self.names)
        object.__setattr__(self, "names", found)
        images = self.images
        if isinstance(images, str) and images.isdecimal():
            images = int(images)
            object.__setattr__(self, "images", images)
        if (isinstance(images, str) and images != ALL) or (isinstance(images, int) and images < 1):
            raise OptionError(f"images should be 1 or more, or {ALL!r}. Received: {self.images!r}.")
        if not self.seconds > 0:
            raise OptionError(f"seconds should be above 0. Received: {self.seconds}.")

    @classmethod
    def of(cls, parts: Parts | Sequence[str]) -> Parts:
        """Return parts as they are, and make them of names."""
        if isinstance(parts, str):
            return cls((parts,))
        return parts if isinstance(parts, Parts) else cls(tuple(parts))


@dataclasses.dataclass(frozen=True)
class Subject:
    """The model and images of an evaluation, and how it is measured.

    Attributes:
        model: See `evaluate`.
        split: The images that it is evaluated on.
        earlier: Splits that were used before this one, in the order of use; empty if unknown.
        parts: The parts to measure, and on how many images.
        bootstrap: Resamples behind an interval.
        seed: Seed of everything random.
        predicted: The predictions of `split`.
        seen: See `evaluate`.
        out_of_fold: See `evaluate`.
    """

    model: Any
    split: Split
    earlier: Mapping[str, Split]
    parts: Parts
    bootstrap: int
    seed: int
    predicted: Predicted
    seen: bool = False
    out_of_fold: Predicted | None = None

    @functools.cached_property
    def gradient(self) -> LossGradient:
        """The gradient that attacks follow."""
        return LossGradient(self.model)

    @functools.cached_property
    def sample(self) -> NDArray[np.int64]:
        """Places in the split of the images that corruptions and attacks are measured on.

        They are the same for both, so that both belong to one accuracy without them.
        """
        wanted = [name for name in (CORRUPTED, ATTACKED) if name in self.parts.names]
        title = " and ".join(wanted).capitalize()

        def cost() -> float:
            batch = np.arange(min(TIMED, len(self.split)))
            images, labels = self.split.take(batch), np.asarray(self.split.labels)[batch]
            predict = predict_function(self.model)
            seconds = 0.0
            if CORRUPTED in wanted:
                seconds += seconds_per_corrupted_image(predict, images)
            if ATTACKED in wanted:
                seconds += seconds_per_attacked_image(self.gradient, predict, images, labels)
            return seconds

        size = self._size(title, len(self.split), cost, len(wanted) * self.parts.seconds)
        return stratified_sample(self.split.labels, size, self.seed)

    @functools.cached_property
    def earlier_size(self) -> int:
        """Images of each earlier split, at most, that the gaps are measured on."""
        predict = predict_function(self.model)
        batch = self.split.take(np.arange(min(TIMED, len(self.split))))
        return self._size(
            GENERALIZATION.capitalize(),
            max(map(len, self.earlier.values())),
            lambda: len(self.earlier) * seconds_per_image(predict, batch),
            self.parts.seconds,
        )

    def choose_images(self) -> None:
        """Time a batch of each costly part, and choose the images that it is measured on."""
        names = self.parts.names
        if GENERALIZATION in names:
            self.earlier_size  # noqa: B018
        if CORRUPTED in names or ATTACKED in names:
            self.sample  # noqa: B018

    def _size(self, title: str, available: int, cost: Callable[[], float], seconds: float) -> int:
        """Return the number of images to measure, and log it if it is not all of them.

        Args:
            title: The name of the measurement.
            available: Images that there are.
            cost: Estimates the seconds that one image takes.
            seconds: Time that may be used.
        """
        if self.parts.images == ALL:
            return available
        if self.parts.images is not None:
            return min(int(self.parts.images), available)
        with progress(f"{title}: timing one batch", shown=self.parts.progress):
            each = cost()
        size = affordable(available, each, seconds)
        if size < available:
            logger.info(
                "%s: on %s of %s images, chosen by class, about %s; on all of them about %s "
                '(`images="all"`, --images all).',
                title,
                f"{size:,}",
                f"{available:,}",
                clock(each * size),
                clock(each * available),
            )
        return size

    def sampled_images(self) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]:
        """Return images (n, H, W, C) and labels (n,) for corruptions and attacks."""
        return self.split.take(self.sample), np.asarray(self.split.labels)[self.sample]


def affordable(available: int, seconds_per_image: float, seconds: float) -> int:
    """Return the number of images that can be measured in a given time.

    It is rounded down to 1, 2 or 5 times a power of ten, so that measuring again on the same
    machine takes the same number.

    Args:
        available: Images that there are.
        seconds_per_image: Estimated time of one.
        seconds: Time for all of them.

    Returns:
        `available`, if all of them can be measured; otherwise at least `FEWEST`.
    """
    if available <= FEWEST or available * seconds_per_image <= seconds:
        return available
    most = max(float(FEWEST), seconds / seconds_per_image)
    power = 10 ** int(np.log10(most))
    rounded = max(mantissa * power for mantissa in (1, 2, 5) if mantissa * power <= most)
    return min(available, max(FEWEST, rounded))


def stratified_sample(labels: ArrayLike, size: int, seed: int) -> NDArray[np.int64]:
    """Choose images at random so that each class has its share, to one image.

    This is systematic sampling with equal steps through the images, shuffled and sorted by class
    (Cochran, 1977, "Sampling techniques", chapter 8).

    Args:
        labels: (N,) integers.
        size: Images to choose; all if there are not more.
        seed: Seed of the choice.

    Returns:
        (min(size, N),) ascending places in `labels`.
    """
    classes = np.asarray(labels)
    if size >= len(classes):
        return np.arange(len(classes))
    order = np.random.default_rng(seed).permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    return np.sort(order[np.arange(size) * len(classes) // size])


def _generalization(subject: Subject, scores: Scores, task: Task) -> Scores:
    available = {name: len(split) for name, split in subject.earlier.items()}
    sampled = {
        name: stratified_sample(split.labels, subject.earlier_size, subject.seed)
        for name, split in subject.earlier.items()
    }
    task.total = sum(map(len, sampled.values()))
    splits: dict[str, Predicted] = {}
    for name, split in subject.earlier.items():
        splits[name] = Predicted.by(subject.model, split, sampled[name])
        task.advance(len(sampled[name]))
    if subject.seen:
        splits = {"train": Predicted.joined(*splits.values())}
        available = {"train": sum(available.values())}
        if subject.out_of_fold is not None:
            splits["out-of-fold"] = subject.out_of_fold
    found = generalization(
        subject.model,
        {**splits, scores.split: subject.predicted},
        bootstrap=subject.bootstrap,
        seed=subject.seed,
    )
    found = dataclasses.replace(found, available={**found.images, **available})
    return dataclasses.replace(scores, generalization=found)


def _cost(subject: Subject, scores: Scores, task: Task) -> Scores:
    image = subject.split.take(np.array([0]))
    return dataclasses.replace(scores, cost=measure_cost(subject.model, image))


def _corruptions(subject: Subject, scores: Scores, task: Task) -> Scores:
    images, labels = subject.sampled_images()
    names = task.follow(tuple(CORRUPTIONS))
    predict = predict_function(subject.model)
    found = robustness(predict, images, labels, corruptions=names, seed=subject.seed)
    found = dataclasses.replace(found, available=scores.images)
    return dataclasses.replace(scores, robustness=found.completed_by(scores.robustness))


def _attacks(subject: Subject, scores: Scores, task: Task) -> Scores:
    images, labels = subject.sampled_images()
    clean = predict_images(predict_function(subject.model), images)
    epsilons = task.follow(EPSILONS, times=len(ATTACKS))
    found = Robustness(
        metric="accuracy",
        images=len(labels),
        clean=find_metric("accuracy").function(labels, clean),
        severities=(),
        corrupted={},
        adversarial=adversarial_accuracy(
            subject.model,
            images,
            labels,
            epsilons=epsilons,
            seed=subject.seed,
            gradient=subject.gradient,
        ),
        available=scores.images,
    )
    return dataclasses.replace(scores, robustness=found.completed_by(scores.robustness))


PARTS: dict[str, Callable[[Subject, Scores, Task], Scores]] = {
    GENERALIZATION: _generalization,
    "cost": _cost,
    CORRUPTED: _corruptions,
    ATTACKED: _attacks,
}
"""(what is evaluated, its scores so far, the part's progress) -> the scores with this part."""
