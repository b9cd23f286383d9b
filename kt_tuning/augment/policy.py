"""Augmentation policies: operations in their order, border and interpolation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kt_tuning.augment.augmix import AnyStep, AugMix, step_from_json
from kt_tuning.augment.builtin_policies import SPACES
from kt_tuning.augment.op_kinds import Geometric
from kt_tuning.augment.ops import OPS
from kt_tuning.augment.policy_space import suggest_steps
from kt_tuning.augment.resampling import AUTO, BORDERS, INTERPOLATIONS
from kt_tuning.augment.steps import OneOf, Step
from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name

if TYPE_CHECKING:
    import keras_tuner


@dataclasses.dataclass(frozen=True)
class Policy:
    """Operations in the order in which they are applied.

    Attributes:
        steps: The operations: `Step`, `OneOf` or `AugMix`.
        border: What is beyond the edge: "mirror" (the image mirrored at it), "edge" (its outermost
            pixels), "wrap" (the opposite side) or "constant" (black).
        interpolation: "nearest", "box" (the mean of the pixels nearest to four places in the output
            pixel), "bilinear", "bicubic", or "auto": bilinear, but box for images of more than
            8,192 pixels that are not enlarged much, where it takes less than half the time and
            neighbouring pixels differ too little for it to show. Flips, quarter turns and shifts by
            whole pixels are exact with any.

    Raises:
        OptionError: if a value is none of these.
    """

    steps: tuple[AnyStep, ...] = ()
    border: str = "mirror"
    interpolation: str = AUTO

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        for step in self.steps:
            if not isinstance(step, (Step, OneOf, AugMix)):
                raise OptionError(
                    f"The steps of a policy are `Step`, `OneOf` or `AugMix`. Received: {step!r}"
                )
        for name, known in (("border", BORDERS), ("interpolation", (AUTO, *INTERPOLATIONS))):
            if getattr(self, name) not in known:
                raise OptionError(
                    f"`{name}` is one of {', '.join(known)}. Received: {getattr(self, name)!r}"
                )

    @property
    def draws(self) -> int:
        """Number of uniform random numbers that one image needs."""
        return sum(step.draws for step in self.steps)

    def label_preserving(self) -> Policy:
        """Return the policy for digits, text and other images with an orientation.

        Operations that change labels are left out, others limited; see `Op.label_preserving`.
        """
        kept = (step.label_preserving() for step in self.steps)
        return dataclasses.replace(self, steps=tuple(step for step in kept if step is not None))

    def check(self, shape: Sequence[int]) -> None:
        """Check that the policy can be applied to images.

        Args:
            shape: (height, width, channels) of the images.

        Raises:
            OptionError: if there is anything but 1, 3 or 4 channels, or a quarter turn would not
                fit.
        """
        if len(shape) != 3 or shape[2] not in (1, 3, 4) or min(shape) < 1:
            raise OptionError(
                "Augmentation takes images (height, width, channels) with 1 (grey), 3 (RGB) or 4 "
                f"(RGBA) channels. Received: {tuple(shape)}"
            )
        if shape[0] != shape[1]:
            for name in sorted({name for step in self.steps for name in step.operations}):
                form = OPS[name].form
                if isinstance(form, Geometric) and form.square:
                    raise OptionError(
                        f"{name!r} needs images that are as wide as high; leave it out. "
                        f"Received: {shape[0]}×{shape[1]}"
                    )

    def to_json(self) -> dict[str, Any]:
        """Return the policy as JSON-able values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Policy:
        """Make a policy from `to_json`'s output.

        Raises:
            OptionError: if it is none.
        """
        if not isinstance(content, Mapping) or not isinstance(content.get("steps"), (list, tuple)):
            raise OptionError(f"A policy is an object with a list of steps. Received: {content!r}")
        names = {field.name for field in dataclasses.fields(cls)} - {"steps"}
        rest = {name: value for name, value in content.items() if name in names}
        return cls(tuple(step_from_json(step) for step in content["steps"]), **rest)

    @classmethod
    def named(cls, name: str) -> Policy:
        """Return one of `POLICIES`.

        Raises:
            OptionError: if there is none of that name.
        """
        return POLICIES[find_policy(name)]

    @classmethod
    def suggest(cls, hp: keras_tuner.HyperParameters) -> Policy:
        """Declare hyperparameters for operations, their number, probability and strength.

        The hyperparameters are named "augment_…"; with their defaults the policy is "trivial".
        For digits and text: `Policy.suggest(hp).label_preserving()`.

        Args:
            hp: A `keras_tuner.HyperParameters`, or anything that declares them the same way.
        """
        return cls(suggest_steps(hp))


POLICIES: dict[str, Policy] = {name: Policy(steps) for name, steps in SPACES.items()}


LARGE_SIDE = 96
"""Pixels of the shorter side from which images count as photographs."""


def default_policy(shape: Sequence[int]) -> str:
    """Return the name of the default policy for images of a size.

    Args:
        shape: (height, width, …) of the images, in pixels.
    """
    return "photo" if min(shape[:2]) >= LARGE_SIDE else "light"


def find_policy(name: str) -> str:
    """Return the name in `POLICIES` that a spelling matches.

    Raises:
        OptionError: if none matches.
    """
    aliases = {"TrivialAugment": "trivial", "TrivialAugmentWide": "trivial"}
    return find_name(name, POLICIES, "augmentation policy", aliases=aliases)
