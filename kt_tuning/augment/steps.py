"""Steps of a policy: one operation, one out of several, or AugMix' chains of operations.

Each takes its decisions and amounts from uniform numbers, `draws` an image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from kt_tuning.augment.arrays import Floats, Rows
from kt_tuning.augment.ops import OPS, Op
from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.units import check_count


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
        magnitude: Largest strength, in the unit of the operation, see `OPS[op].unit`.
        probability: Share of images to which it is applied, in [0, 1].
        fixed: Whether the strength is always the magnitude (with a random sign, if the operation
            has two directions), instead of uniform up to the magnitude.

    Raises:
        OptionError: if the operation is unknown, or a number is out of range.
    """

    op: str
    magnitude: float = 1.0
    probability: float = 1.0
    fixed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "op", find_name(self.op, sorted(OPS), "augmentation"))
        row = OPS[self.op]
        _check_number(
            self.magnitude, row.low, row.high, f"The magnitude of {self.op!r} ({row.unit})"
        )
        _check_number(self.probability, 0, 1, f"The probability of {self.op!r}")

    @property
    def draws(self) -> int:
        """Number of uniform random numbers per image: one to decide, others for strength etc."""
        return 1 + OPS[self.op].draws

    @property
    def operations(self) -> frozenset[str]:
        """Names of all operations that may be applied."""
        return frozenset([self.op])

    def label_preserving(self) -> Step | None:
        """Return the step, limited so that labels of digits are kept; None if it cannot be."""
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
class _Choices:
    """Steps of which each image gets some.

    Attributes:
        choices: The operations.
    """

    choices: tuple[Step, ...]

    def __post_init__(self) -> None:
        steps = tuple(self.choices)
        if not steps or not all(isinstance(step, Step) for step in steps):
            raise OptionError(f"`choices` are one `Step` or more. Received: {self.choices!r}")
        object.__setattr__(self, "choices", steps)

    @property
    def operations(self) -> frozenset[str]:
        """Names of all operations that may be applied."""
        return frozenset(step.op for step in self.choices)

    def label_preserving(self) -> Self | None:
        """Return it with the choices that keep the labels of digits; None if there is none."""
        kept = tuple(limited for step in self.choices if (limited := step.label_preserving()))
        return dataclasses.replace(self, choices=kept) if kept else None


@dataclasses.dataclass(frozen=True)
class OneOf(_Choices):
    """One of several operations, all with the same probability.

    Attributes:
        choices: The operations.
        probability: Share of images to which one of them is applied, in [0, 1].

    Raises:
        OptionError: if `choices` are not steps, or the probability is out of range.
    """

    probability: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_number(self.probability, 0, 1, "The probability of `OneOf`")

    @property
    def draws(self) -> int:
        """Number of uniform random numbers per image: one to choose, and those of the choice."""
        return 1 + max(step.draws for step in self.choices)

    def draw(self, rows: Rows, uniforms: Floats) -> Iterator[Draw]:
        """Yield the operations of the images `rows`, decided by `uniforms` (n, draws)."""
        share = self.probability / len(self.choices)
        for number, step in enumerate(self.choices):
            chosen = (uniforms[:, 0] >= number * share) & (uniforms[:, 0] < (number + 1) * share)
            if chosen.any():
                yield from step.draw(rows[chosen], uniforms[chosen, 1 : 1 + step.draws])


@dataclasses.dataclass(frozen=True)
class AugMix(_Choices):
    """Chains of random operations, averaged with the original image.

    AugMix (Hendrycks et al. 2020) with α = 1, without its consistency loss: chains of 1 to `depth`
    operations, Dirichlet weights for the chains, a uniform weight for the original image.

    Attributes:
        choices: The operations to choose from.
        width: Number of chains, at least 1.
        depth: Maximum number of operations in a chain, at least 1.

    Raises:
        OptionError: if `choices` are not steps, or a number is less than 1.
    """

    width: int = 3
    depth: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "depth"):
            object.__setattr__(self, name, check_count(name, getattr(self, name)))

    @property
    def draws(self) -> int:
        """Number of uniform random numbers that one image needs."""
        return 1 + self.width * self._chain

    @property
    def _chain(self) -> int:
        """Number of uniform random numbers of a chain: its weight, its length, its operations."""
        return 2 + self.depth * OneOf(self.choices).draws

    def weights(self, uniforms: Floats) -> Floats:
        """Return the weights (n, 1 + width) of the image and of each chain, with sum 1."""
        # Normalised exponential numbers are Dirichlet; a little more, as all may be zero.
        shares = 1e-12 - np.log1p(-uniforms[:, 1 :: self._chain])
        shares /= shares.sum(axis=1, keepdims=True)
        kept = uniforms[:, :1]
        return np.concatenate([kept, (1 - kept) * shares], axis=1)

    def chains(self, rows: Rows, uniforms: Floats) -> Iterator[Iterator[Draw]]:
        """Yield for each chain the operations that it applies."""
        for start in range(1, self.draws, self._chain):
            yield self._chain_draws(rows, uniforms[:, start + 1 : start + self._chain])

    def _chain_draws(self, rows: Rows, uniforms: Floats) -> Iterator[Draw]:
        lengths = 1 + np.floor(self.depth * uniforms[:, 0])
        choice = OneOf(self.choices)
        for position in range(self.depth):
            long = lengths > position
            start = 1 + position * choice.draws
            yield from choice.draw(rows[long], uniforms[long, start : start + choice.draws])


AnyStep = Step | OneOf | AugMix


def step_from_json(content: Mapping[str, Any]) -> AnyStep:
    """Make a step from the output of `dataclasses.asdict`.

    Raises:
        OptionError: if the content is not a step.
    """
    try:
        if "op" in content:
            return Step(**content)
        rest = dict(content)
        choices = tuple(Step(**step) for step in rest.pop("choices"))
        return (AugMix if "width" in rest else OneOf)(choices, **rest)
    except (TypeError, KeyError) as error:
        raise OptionError(f"Not a step of an augmentation policy: {dict(content)}") from error


def _check_number(value: Any, low: float, high: float, what: str) -> None:
    if not isinstance(value, (int, float, np.number)) or not low <= value <= high:
        raise OptionError(f"{what} is in [{low}, {high}]. Received: {value!r}")
