"""What a search with families of its own choice begins with, in the search's own space."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras_tuner

from hypermodels import FAMILY
from hypermodels.families import SEPARATOR
from kt_tuning.core.errors import OptionError
from kt_tuning.core.records import TrialRecord
from kt_tuning.search.auto.choice import AutoChoice
from kt_tuning.search.auto.portfolio import EPOCHS_SHARE, FINE_TUNED, StartingPoint
from kt_tuning.search.distributions import Parameter, SearchSpace, Value, Values


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
