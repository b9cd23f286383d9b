"""AugMix: chains of operations, averaged with the original image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kt_tuning.augment.op_kinds import Floats, Rows
from kt_tuning.augment.steps import Draw, OneOf, Step, check_choices, label_preserving_choices
from kt_tuning.core.errors import OptionError


@dataclasses.dataclass(frozen=True)
class AugMix:
    """Chains of random operations, averaged with the original image.

    AugMix (Hendrycks et al. 2020) with α = 1, without its consistency loss: chains of 1 to `depth`
    operations, Dirichlet weights of the chains, a uniform weight of the original image.

    Attributes:
        choices: The operations to choose from.
        width: Number of chains, at least 1.
        depth: Maximum number of operations of a chain, at least 1.
    """

    choices: tuple[Step, ...]
    width: int = 3
    depth: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", check_choices(self.choices))
        for name in ("width", "depth"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise OptionError(
                    f"`{name}` of `AugMix` is a positive whole number. Received: {value!r}"
                )

    @property
    def link(self) -> OneOf:
        """The choice of one operation of a chain."""
        return OneOf(self.choices)

    @property
    def draws(self) -> int:
        """Number of uniform random numbers that one image needs."""
        return 1 + self.width * self._chain

    @property
    def _chain(self) -> int:
        return 2 + self.depth * self.link.draws

    @property
    def operations(self) -> frozenset[str]:
        """Names of all operations that may be applied."""
        return self.link.operations

    def label_preserving(self) -> AugMix | None:
        """Return it with the choices that keep the labels of digits; None if there is none."""
        kept = label_preserving_choices(self.choices)
        return dataclasses.replace(self, choices=kept) if kept else None

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
            yield self._links(rows, uniforms[:, start + 1 : start + self._chain])

    def _links(self, rows: Rows, uniforms: Floats) -> Iterator[Draw]:
        lengths = 1 + np.floor(self.depth * uniforms[:, 0])
        each = self.link.draws
        for position in range(self.depth):
            long = lengths > position
            numbers = uniforms[long, 1 + position * each : 1 + (position + 1) * each]
            yield from self.link.draw(rows[long], numbers)


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
