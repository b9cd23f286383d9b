"""What `evaluate` measures beside the scores: one table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.progress import Task
from kt_tuning.evaluation.adversarial import ATTACKS, EPSILONS, adversarial_accuracy
from kt_tuning.evaluation.corruptions import CORRUPTIONS
from kt_tuning.evaluation.cost import measure_cost
from kt_tuning.evaluation.generalization import generalization
from kt_tuning.evaluation.metrics import find_metric
from kt_tuning.evaluation.predict import Predicted, Split, predict_function, predict_images
from kt_tuning.evaluation.robustness import Robustness, robustness
from kt_tuning.evaluation.scores import Scores

GENERALIZATION = "generalization"
SOME_IMAGES = 500
"""Images that corruptions and attacks are measured on, unless told: each is seen 115 times."""


class Splits(Protocol):
    """All three splits: an `ImageData`, or anything alike."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by label."""

    @property
    def train(self) -> Split:
        """What the model was fitted on."""

    @property
    def validation(self) -> Split:
        """What it was chosen on."""

    @property
    def test(self) -> Split:
        """What it has not seen."""


def has_splits(data: Any) -> TypeGuard[Splits]:
    """Whether these are all splits rather than one of them."""
    return all(hasattr(data, name) for name in ("train", "validation", "test"))


@dataclasses.dataclass(frozen=True)
class Parts:
    """What to measure beside the scores.

    Attributes:
        names: Rows of `PARTS`.
        images: Images of the split that corruptions and attacks look at, drawn at random; all
            if there are fewer.
        progress: Whether to show how far each part is, on the standard error stream.

    Raises:
        OptionError: on an unknown name, or fewer than 1 image.
    """

    names: tuple[str, ...] = ()
    images: int = SOME_IMAGES
    progress: bool = False

    def __post_init__(self) -> None:
        found = tuple(find_name(name, PARTS, "part of an evaluation") for name in self.names)
        object.__setattr__(self, "names", found)
        if self.images < 1:
            raise OptionError(f"images should be 1 or more. Received: {self.images}.")

    def check(self, earlier: Mapping[str, Split]) -> None:
        """Refuse what cannot be measured, before anything is.

        Args:
            earlier: See `Subject`.

        Raises:
            OptionError: if a part needs splits that are not known.
        """
        if GENERALIZATION in self.names and not earlier:
            raise OptionError(
                "The part 'generalization' compares the test split with those before it. Give "
                "`evaluate` all of the data and not one split: evaluate(model, data, …)."
            )

    @classmethod
    def of(cls, parts: Parts | Sequence[str]) -> Parts:
        """Return parts as they are, and make them of names."""
        if isinstance(parts, str):
            return cls((parts,))
        return parts if isinstance(parts, Parts) else cls(tuple(parts))


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is judged.

    Attributes:
        model: As for `evaluate`.
        split: What it is judged on.
        earlier: Splits that come before it, in the order of use; empty if they are not known.
        some: Places in the split of the images for the costly parts.
        bootstrap: Resamples behind an interval.
        seed: Of everything random.
        predicted: What the model says of the split.
        seen: Whether it was trained on all splits that come before.
        out_of_fold: See `evaluate`.
    """

    model: Any
    split: Split
    earlier: Mapping[str, Split]
    some: NDArray[np.int64]
    bootstrap: int
    seed: int
    predicted: Predicted
    seen: bool = False
    out_of_fold: Predicted | None = None

    def some_images(self) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]:
        """Return the images (n, H, W, C) and labels (n,) for the costly parts."""
        return self.split.take(self.some), np.asarray(self.split.labels)[self.some]


def draw_some(split: Split, images: int, seed: int) -> NDArray[np.int64]:
    """Return the places of so many images of a split, at most, in ascending order."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(len(split), min(images, len(split)), replace=False))


def _generalization(subject: Subject, scores: Scores, task: Task) -> Scores:
    splits: dict[str, Split | Predicted] = dict(subject.earlier)
    if subject.seen:
        splits = {"train": Predicted.by(subject.model, *subject.earlier.values())}
        if subject.out_of_fold is not None:
            splits["out-of-fold"] = subject.out_of_fold
    found = generalization(
        subject.model,
        {**splits, scores.split: subject.predicted},
        bootstrap=subject.bootstrap,
        seed=subject.seed,
    )
    return dataclasses.replace(scores, generalization=found)


def _cost(subject: Subject, scores: Scores, task: Task) -> Scores:
    image = subject.split.take(np.array([0]))
    return dataclasses.replace(scores, cost=measure_cost(subject.model, image))


def _corruptions(subject: Subject, scores: Scores, task: Task) -> Scores:
    images, labels = subject.some_images()
    names = task.follow(tuple(CORRUPTIONS))
    predict = predict_function(subject.model)
    found = robustness(predict, images, labels, corruptions=names, seed=subject.seed)
    return dataclasses.replace(scores, robustness=found.completed_by(scores.robustness))


def _attacks(subject: Subject, scores: Scores, task: Task) -> Scores:
    images, labels = subject.some_images()
    clean = predict_images(predict_function(subject.model), images)
    epsilons = task.follow(EPSILONS, times=len(ATTACKS))
    found = Robustness(
        metric="accuracy",
        images=len(labels),
        clean=find_metric("accuracy").function(labels, clean),
        severities=(),
        corrupted={},
        adversarial=adversarial_accuracy(
            subject.model, images, labels, epsilons=epsilons, seed=subject.seed
        ),
    )
    return dataclasses.replace(scores, robustness=found.completed_by(scores.robustness))


PARTS: dict[str, Callable[[Subject, Scores, Task], Scores]] = {
    GENERALIZATION: _generalization,
    "cost": _cost,
    "corruptions": _corruptions,
    "attacks": _attacks,
}
"""(what is judged, its scores so far, the part's progress) -> the scores, this part filled in."""
