"""Steps of a policy: one operation, or one out of several; for chains see `augmix`.

Each takes its decisions and amounts from uniform numbers, `draws` an image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from kt_tuning.augment.op_kinds import Floats, Rows
from kt_tuning.augment.ops import OPS, Op
from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name


class Draw(NamedTuple):
    """One operation with the random numbers of the images that it is applied to.

    Attributes:
        op: The operation.
        rows: (n,) indices of those images, ascending.
        amounts: (n,) how strong it is.
        parameters: (n, op.parameters) uniform numbers.
    """

    op: Op
    rows: Rows
    amounts: Floats
    parameters: Floats


@dataclasses.dataclass(frozen=True)
class Step:
    """One operation of a policy.

    Attributes:
        op: Name in `OPS`.
        magnitude: Largest strength, in the unit of the operation's row in `OPS`.
        probability: Share of images it is applied to, in [0, 1].
        fixed: Whether the strength is always the magnitude, with a random sign where there are
            two, instead of uniform up to it.
    """

    op: str
    magnitude: float = 1.0
    probability: float = 1.0
    fixed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "op", find_name(self.op, sorted(OPS), "augmentation"))
        row = OPS[self.op]
        check_number(
            self.magnitude, row.low, row.high, f"The magnitude of {self.op!r} ({row.unit})"
        )
        check_number(self.probability, 0, 1, f"The probability of {self.op!r}")

    @property
    def draws(self) -> int:
        """Number of uniform numbers of one image: one to decide, and those of the operation."""
        return 1 + OPS[self.op].draws

    @property
    def operations(self) -> frozenset[str]:
        """Names of all operations that may be applied."""
        return frozenset([self.op])

    def label_preserving(self) -> Step | None:
        """Return the step, limited so that it keeps the labels of digits; None if it cannot."""
        largest = OPS[self.op].label_preserving
        if not largest:
            return None
        return dataclasses.replace(self, magnitude=min(self.magnitude, largest))

    def draw(self, rows: Rows, uniforms: Floats) -> Iterator[Draw]:
        """Yield the operations of the images `rows`, decided by `uniforms` (n, draws)."""
        op = OPS[self.op]
        chosen = uniforms[:, 0] < self.probability
        numbers = uniforms[chosen, 1 : self.draws]
        if len(numbers):
            amounts = op.amounts(self.magnitude, numbers, fixed=self.fixed)
            yield Draw(op, rows[chosen], amounts, numbers[:, op.draws - op.parameters :])


@dataclasses.dataclass(frozen=True)
class OneOf:
    """One operation out of several, all equally likely.

    Attributes:
        choices: The operations.
        probability: Share of images that get one of them, in [0, 1].
    """

    choices: tuple[Step, ...]
    probability: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", check_choices(self.choices))
        check_number(self.probability, 0, 1, "The probability of `OneOf`")

    @property
    def draws(self) -> int:
        """Number of uniform numbers of one image: one to choose, and those of the choice."""
        return 1 + max(step.draws for step in self.choices)

    @property
    def operations(self) -> frozenset[str]:
        """Names of all operations that may be applied."""
        return frozenset(step.op for step in self.choices)

    def label_preserving(self) -> OneOf | None:
        """Return it with the choices that keep the labels of digits; None if there is none."""
        kept = label_preserving_choices(self.choices)
        return dataclasses.replace(self, choices=kept) if kept else None

    def draw(self, rows: Rows, uniforms: Floats) -> Iterator[Draw]:
        """Yield the operations of the images `rows`, decided by `uniforms` (n, draws)."""
        share = self.probability / len(self.choices)
        for number, step in enumerate(self.choices):
            chosen = (uniforms[:, 0] >= number * share) & (uniforms[:, 0] < (number + 1) * share)
            if chosen.any():
                yield from step.draw(rows[chosen], uniforms[chosen, 1 : 1 + step.draws])


def check_number(value: Any, low: float, high: float, what: str) -> None:
    """Check that a value is a number in [low, high].

    Raises:
        OptionError: with `what` as its subject.
    """
    if not isinstance(value, (int, float, np.number)) or not low <= value <= high:
        raise OptionError(f"{what} is in [{low}, {high}]. Received: {value!r}")


def check_choices(choices: Any) -> tuple[Step, ...]:
    """Check that choices are one step or more.

    Raises:
        OptionError: if there is none, or one is not a `Step`.
    """
    steps = tuple(choices)
    if not steps or not all(isinstance(step, Step) for step in steps):
        raise OptionError(f"`choices` are one `Step` or more. Received: {choices!r}")
    return steps


def label_preserving_choices(choices: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the choices that keep the labels of digits and letters."""
    kept = (step.label_preserving() for step in choices)
    return tuple(step for step in kept if step is not None)
