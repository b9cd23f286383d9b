"""Evaluation of a model on images that it was not trained on."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.progress import Task, progress
from kt_tuning.core.quiet import without_retracing_advice
from kt_tuning.core.units import clock
from kt_tuning.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from kt_tuning.evaluation.cost import (
    LATENCY_CALLS,
    LATENCY_SECONDS,
    measure_cost,
    measure_latency,
)
from kt_tuning.evaluation.diagnostics import (
    class_curves,
    confusion_matrix,
    measure_reliability,
    worst_mistakes,
)
from kt_tuning.evaluation.generalization import generalization
from kt_tuning.evaluation.intervals import bootstrap_intervals
from kt_tuning.evaluation.metrics import check_labels, find_metric
from kt_tuning.evaluation.predict import (
    Predict,
    Predicted,
    Split,
    affordable,
    names_of_classes,
    predict_function,
    predict_images,
    seconds_per_image,
    stratified_sample,
)
from kt_tuning.evaluation.robustness import (
    ATTACKS,
    EPSILONS,
    LossGradient,
    Robustness,
    adversarial_accuracy,
    robustness,
)
from kt_tuning.evaluation.scores import Scores
from kt_tuning.evaluation.test_uses import model_digest, note_use_of

logger = logging.getLogger("kt_tuning")

GENERALIZATION, COST, CORRUPTED, ATTACKED = "generalization", "cost", "corruptions", "attacks"
PARTS = (GENERALIZATION, COST, CORRUPTED, ATTACKED)
"""Names of the parts: gaps between the splits; arithmetic and throughput; robustness."""
SECONDS = 60.0
"""Default time of each part that depends on the number of images."""
TIMED = 16
"""Images in the batch that is timed."""
ALL = "all"
"""`Parts.images` for every image."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts of an evaluation besides the metrics.

    Attributes:
        names: Some of `PARTS`.
        images: Number of images for corruptions and attacks, and of images of the training and the
            validation split for the generalization gaps; "all"; or None for as many as take
            `seconds`, estimated by the time of one batch. They are drawn at random by the seed,
            stratified by class.
        seconds: Time of each such part if `images` is None; at least 50 images are used.
        progress: Whether to show the progress of each part on the standard error stream.

    Raises:
        OptionError: if a name is unknown, or `images` or `seconds` is out of range.
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
        """Return `parts`, or the parts with the given names."""
        if isinstance(parts, str):
            return cls((parts,))
        return parts if isinstance(parts, Parts) else cls(tuple(parts))


@without_retracing_advice()
def evaluate(
    model: Any,
    data: Any,
    *,
    parts: Parts | Sequence[str] = (),
    bootstrap: int = 1000,
    seed: int = 0,
    class_names: Sequence[str] | None = None,
    seen: bool = False,
    out_of_fold: Predicted | None = None,
) -> Scores:
    """Measure all metrics with 95% intervals, the confusion matrix, curves, size and latency.

    The test split of an `ImageData` should be used only once. Therefore each use is recorded, with
    a digest of the model, before any image is predicted: in the run directories of the searches on
    these data, or in the user's cache folder if there are none yet, from where a later search
    copies it. If another model is evaluated on the split, a warning says that its scores are
    optimistic. `tuner.evaluate()` also keeps the scores for the report.

    Images are read and predicted 256 at a time, so the split may be larger than memory. 1,000
    resamples of 10,000 rows and 10 classes take about two seconds. `parts` names what is measured
    in addition.

    Args:
        model: An `Ensemble`, a `keras.Model`, an object with `predict`, or a callable: uint8
            images (n, H, W, C) -> probabilities (n, C). Its method `predict_on_batch` is used if it
            has one (which in Keras has less overhead than `predict`), else `predict`, else the
            model itself is called; the latency is measured in the same way.
        data: Images and labels that the model was not trained on: a split; or an `ImageData`, whose
            test split is used.
        parts: Some of `PARTS`: "generalization", the gaps between training, validation and test
            scores, which needs an `ImageData`; "cost", multiply-adds, bytes and throughput;
            "corruptions", 15 kinds at 5 severities; "attacks", FGSM and PGD. All but "cost" use as
            many images as take a minute each, or those of `Parts(names, images=…)`.
        bootstrap: Number of resamples for an interval, at least 1.
        seed: Seed of the resamples, corruptions and attacks, and of the choice of images for parts.
        class_names: (C,) names by label. If None, those of the `ImageData`, of the model's
            `card`, which an `Ensemble` has, or "0", "1", ….
        seen: Whether the model was trained on the validation images, too, as with folds and after
            a refit: the gaps are then those between train and validation together, and test.
        out_of_fold: If it was, predictions of these images by models that were not trained on
            them, which are another row of the gaps.

    Returns:
        The scores; `split` in them is the split's `name`, or "test" if it has none.

    Raises:
        DataError: if the split is empty, its labels do not fit the model's classes, or the model
            does not return one distribution per image.
        OptionError: if the model cannot be called, `bootstrap` is below 1, the number of class
            names is wrong, or a part is unknown or cannot be measured for this model.
        StorageError: if the use of a test split cannot be recorded in a run directory.
    """
    wanted = Parts.of(parts)
    split: Split = data
    earlier: dict[str, Split] = {}
    if all(hasattr(data, name) for name in ("train", "validation", "test")):
        split, earlier = data.test, {"train": data.train, "validation": data.validation}
        class_names = data.class_names if class_names is None else class_names
    if GENERALIZATION in wanted.names and not earlier:
        raise OptionError(
            "The part 'generalization' compares the test split with the other splits. Give "
            "`evaluate` all of the data and not one split: evaluate(model, data, …)."
        )
    if bootstrap < 1:
        raise OptionError(f"bootstrap should be 1 or more resamples. Received: {bootstrap}.")
    predict = predict_function(model)
    note_use_of(split, model, by="evaluate")
    predicted = Predicted.by(model, split)
    labels, probabilities = predicted.labels, predicted.probabilities
    check_labels(labels, probabilities)
    card = getattr(model, "card", None)
    known_names = card.class_names if class_names is None and card is not None else class_names
    rng = np.random.default_rng(seed)
    one = split.take(np.array([0]))
    scores = Scores(
        metrics=bootstrap_intervals(labels, probabilities, resamples=bootstrap, rng=rng),
        confusion=confusion_matrix(labels, probabilities).tolist(),
        class_names=names_of_classes(known_names, probabilities.shape[1]),
        images=len(labels),
        parameters=int(model.count_params()) if hasattr(model, "count_params") else None,
        latency_ms=measure_latency(predict, one, repeats=LATENCY_CALLS, seconds=LATENCY_SECONDS),
        split=getattr(split, "name", "test"),
        model=model_digest(model),
        curves=class_curves(labels, probabilities),
        mistakes=worst_mistakes(labels, probabilities),
        reliability=measure_reliability(labels, probabilities),
    )
    gradient = LossGradient(model) if ATTACKED in wanted.names else None
    sizes = _sizes(wanted, predict, gradient, split, earlier)
    for name in wanted.names:
        with progress(name.capitalize(), shown=wanted.progress) as task:
            if name == COST:
                scores = dataclasses.replace(scores, cost=measure_cost(model, one))
            elif name == GENERALIZATION:
                splits = _earlier_predictions(model, earlier, sizes[name], seed, task)
                available = {part: len(images) for part, images in earlier.items()}
                if seen:
                    splits = {"train": Predicted.joined(*splits.values())}
                    available = {"train": sum(available.values())}
                    if out_of_fold is not None:
                        splits["out-of-fold"] = out_of_fold
                splits[scores.split] = predicted
                gaps = generalization(model, splits, bootstrap=bootstrap, seed=seed)
                gaps = dataclasses.replace(gaps, available={**gaps.images, **available})
                scores = dataclasses.replace(scores, generalization=gaps)
            else:
                places = stratified_sample(labels, sizes[name], seed)
                slope = gradient if name == ATTACKED else None
                table = _robustness(
                    predict, slope, split.take(places), labels[places], seed=seed, task=task
                )
                table = dataclasses.replace(table, available=scores.images)
                table = table.completed_by(scores.robustness)
                scores = dataclasses.replace(scores, robustness=table)
    return scores


def _robustness(
    predict: Predict,
    gradient: LossGradient | None,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    *,
    seed: int,
    task: Task,
) -> Robustness:
    """Measure attacks, which follow a gradient; corruptions without one."""
    if gradient is None:
        kinds = task.follow(tuple(CORRUPTIONS))
        return robustness(predict, images, labels, corruptions=kinds, seed=seed)
    clean = find_metric("accuracy").function(labels, predict_images(predict, images))
    epsilons = task.follow(EPSILONS, times=len(ATTACKS))
    attacked = adversarial_accuracy(
        predict, images, labels, epsilons=epsilons, seed=seed, gradient=gradient
    )
    return Robustness("accuracy", len(labels), clean, (), {}, attacked)


def _earlier_predictions(
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


def _sizes(
    parts: Parts,
    predict: Predict,
    gradient: LossGradient | None,
    split: Split,
    earlier: Mapping[str, Split],
) -> dict[str, int]:
    """Return how many images each costly part is measured on.

    A batch of each is timed before the first part is measured. Corruptions and attacks are measured
    on the same images, so that both belong to one accuracy without them.
    """
    timed = np.arange(min(TIMED, len(split)))
    sizes = {}
    if GENERALIZATION in parts.names:
        sizes[GENERALIZATION] = _size(
            parts,
            [GENERALIZATION],
            max(map(len, earlier.values())),
            lambda: len(earlier) * seconds_per_image(predict, split.take(timed)),
        )
    if changed := [name for name in (CORRUPTED, ATTACKED) if name in parts.names]:
        labels = np.asarray(split.labels)[timed]

        def cost() -> float:
            return seconds_per_changed_image(
                predict, gradient, split.take(timed), labels, corrupted=CORRUPTED in changed
            )

        sizes |= dict.fromkeys(changed, _size(parts, changed, len(split), cost))
    return sizes


def _size(parts: Parts, names: Sequence[str], available: int, cost: Callable[[], float]) -> int:
    """Return the number of images to measure; log it, and its time, if it is not all of them."""
    if parts.images == ALL:
        return available
    if parts.images is not None:
        return min(int(parts.images), available)
    title = " and ".join(names).capitalize()
    with progress(f"{title}: timing one batch", shown=parts.progress):
        each = cost()
    size = affordable(available, each, len(names) * parts.seconds)
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
