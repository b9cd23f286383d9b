"""The optional parts of an evaluation, and the images that each is measured on."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.progress import Task, progress
from kt_tuning.core.units import clock
from kt_tuning.evaluation.adversarial import ATTACKS, EPSILONS, LossGradient, adversarial_accuracy
from kt_tuning.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from kt_tuning.evaluation.cost import measure_cost
from kt_tuning.evaluation.generalization import generalization
from kt_tuning.evaluation.metrics import find_metric
from kt_tuning.evaluation.predict import (
    Predict,
    Predicted,
    Split,
    predict_function,
    predict_images,
    seconds_per_image,
)
from kt_tuning.evaluation.robustness import Robustness, robustness
from kt_tuning.evaluation.scores import Scores

logger = logging.getLogger("kt_tuning")

GENERALIZATION, COST, CORRUPTED, ATTACKED = "generalization", "cost", "corruptions", "attacks"
PARTS = (GENERALIZATION, COST, CORRUPTED, ATTACKED)
"""Names of the parts: gaps between the splits; arithmetic and throughput; robustness."""
SECONDS = 60.0
"""Default time of each part that depends on the number of images."""
FEWEST = 50
"""Images that are measured whatever they cost, if there are so many."""
TIMED = 16
"""Images in the batch that is timed."""
ALL = "all"
"""`Parts.images` for every image."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts to measure besides the scores.

    Attributes:
        names: Some of `PARTS`.
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


def measure_parts(
    scores: Scores,
    parts: Parts,
    model: Any,
    split: Split,
    earlier: Mapping[str, Split],
    predicted: Predicted,
    *,
    seen: bool,
    out_of_fold: Predicted | None,
    bootstrap: int,
    seed: int,
) -> Scores:
    """Measure the parts asked for; see `evaluate` for the arguments.

    A batch of each costly part is timed, and its images are chosen, before the first is measured.
    Corruptions and attacks are measured on the same images, so that both belong to one accuracy
    without them.

    Args:
        scores: The scores of `split`.
        parts: The parts.
        model: The model.
        split: The images that it is evaluated on.
        earlier: Splits that were used before this one, in the order of use; empty if unknown.
        predicted: The predictions of `split`.
        seen: Whether the model was trained on all of the earlier splits.
        out_of_fold: Predictions of these images by models that were not trained on them.
        bootstrap: Resamples behind an interval.
        seed: Seed of everything random.

    Returns:
        The scores with the parts.
    """
    predict = predict_function(model)
    gradient = LossGradient(model) if ATTACKED in parts.names else None
    changed = [name for name in (CORRUPTED, ATTACKED) if name in parts.names]
    timed = np.arange(min(TIMED, len(split)))
    if GENERALIZATION in parts.names:
        earlier_size = _number_of_images(
            parts,
            GENERALIZATION,
            max(map(len, earlier.values())),
            lambda: len(earlier) * seconds_per_image(predict, split.take(timed)),
        )
    if changed:
        labels = np.asarray(split.labels)
        size = _number_of_images(
            parts,
            " and ".join(changed),
            len(split),
            lambda: seconds_per_changed_image(
                predict, gradient, split.take(timed), labels[timed], corrupted=CORRUPTED in changed
            ),
            shares=len(changed),
        )
        places = stratified_sample(labels, size, seed)
        images, labels = split.take(places), labels[places]
    for name in parts.names:
        with progress(name.capitalize(), shown=parts.progress) as task:
            if name == COST:
                cost = measure_cost(model, split.take(np.array([0])))
                scores = dataclasses.replace(scores, cost=cost)
                continue
            if name == GENERALIZATION:
                splits = _predict_some(model, earlier, earlier_size, seed, task)
                available = {part: len(one) for part, one in earlier.items()}
                if seen:
                    splits = {"train": Predicted.joined(*splits.values())}
                    available = {"train": sum(available.values())}
                    if out_of_fold is not None:
                        splits["out-of-fold"] = out_of_fold
                splits[scores.split] = predicted
                gaps = generalization(model, splits, bootstrap=bootstrap, seed=seed)
                gaps = dataclasses.replace(gaps, available={**gaps.images, **available})
                scores = dataclasses.replace(scores, generalization=gaps)
                continue
            if name == CORRUPTED:
                kinds = task.follow(tuple(CORRUPTIONS))
                table = robustness(predict, images, labels, corruptions=kinds, seed=seed)
            else:
                clean = find_metric("accuracy").function(labels, predict_images(predict, images))
                epsilons = task.follow(EPSILONS, times=len(ATTACKS))
                attacked = adversarial_accuracy(
                    model, images, labels, epsilons=epsilons, seed=seed, gradient=gradient
                )
                table = Robustness("accuracy", len(labels), clean, (), {}, attacked)
            table = dataclasses.replace(table, available=scores.images)
            table = table.completed_by(scores.robustness)
            scores = dataclasses.replace(scores, robustness=table)
    return scores


def _predict_some(
    model: Any, splits: Mapping[str, Split], size: int, seed: int, task: Task
) -> dict[str, Predicted]:
    """Predict up to `size` images of each split."""
    places = {name: stratified_sample(split.labels, size, seed) for name, split in splits.items()}
    task.total = sum(map(len, places.values()))
    predicted = {}
    for name, split in splits.items():
        predicted[name] = Predicted.by(model, split, places[name])
        task.advance(len(places[name]))
    return predicted


def _number_of_images(
    parts: Parts, title: str, available: int, cost: Callable[[], float], *, shares: int = 1
) -> int:
    """Return the number of images to measure, and log it if it is not all of them.

    Args:
        parts: The number, or the time of each part.
        title: The name of the measurement.
        available: Images that there are.
        cost: Estimates the seconds that one image takes.
        shares: Number of parts that are measured on these images.
    """
    if parts.images == ALL:
        return available
    if parts.images is not None:
        return min(int(parts.images), available)
    title = title.capitalize()
    with progress(f"{title}: timing one batch", shown=parts.progress):
        each = cost()
    size = affordable(available, each, shares * parts.seconds)
    if size < available:
        logger.info(
            "%s: on %s of %s images, chosen by class, about %s; on all of them about %s "
            '(`images="all"`, --images all).',
            *(title, f"{size:,}", f"{available:,}", clock(each * size), clock(each * available)),
        )
    return size


def seconds_per_changed_image(
    predict: Predict,
    gradient: LossGradient | None,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    *,
    corrupted: bool,
) -> float:
    """Estimate the time that corruptions and attacks of one image take, and their predictions.

    Args:
        predict: uint8 images (n, H, W, C) -> probabilities (n, classes).
        gradient: The gradient that attacks follow; None if there are no attacks.
        images: (n, H, W, C) uint8: a batch to time.
        labels: (n,) integers.
        corrupted: Whether there are corruptions.
    """
    each = seconds_per_image(predict, images)
    seconds = 0.0
    if corrupted:
        start = time.perf_counter()
        for name in CORRUPTIONS:
            corrupt(images[:1], name, SEVERITIES[len(SEVERITIES) // 2])
        once = time.perf_counter() - start
        seconds += len(SEVERITIES) * (once + len(CORRUPTIONS) * each)
    if gradient is not None:
        slope = seconds_per_image(lambda batch: gradient(batch, labels), images)
        steps = sum(row.steps for row in ATTACKS.values())
        seconds += len(EPSILONS) * (steps * slope + len(ATTACKS) * each)
    return seconds


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
