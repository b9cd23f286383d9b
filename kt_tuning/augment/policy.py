"""Augmentation policies: a sequence of operations, border and interpolation.

The magnitudes of the built-in policies are for small images; lengths are shares of the side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kt_tuning.augment.ops import OPS
from kt_tuning.augment.resampling import AUTO, BORDERS, INTERPOLATIONS
from kt_tuning.augment.steps import AnyStep, AugMix, OneOf, Step, step_from_json
from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name

if TYPE_CHECKING:
    import keras_tuner

MOST_OPERATIONS = 3
"""Random operations of a searched policy, at most."""

LARGE_SIDE = 96
"""Pixels of the shorter side from which images count as photographs."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """Operations in the order in which they are applied.

    Attributes:
        steps: The operations: `Step`, `OneOf` or `AugMix`.
        border: Pixels outside of the image: "mirror" (the image mirrored at its edge), "edge" (its
            outermost pixels), "wrap" (the opposite side) or "constant" (black).
        interpolation: "nearest", "box" (the mean of the pixels nearest to four points in the output
            pixel), "bilinear", "bicubic", or "auto": bilinear, but box for images of more than
            8,192 pixels that are not enlarged much, where it takes less than half the time and the
            difference is not visible. Flips, quarter turns and shifts by whole pixels are exact
            with all of them.

    Raises:
        OptionError: if a value is invalid.
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
        """Number of uniform random numbers per image."""
        return sum(step.draws for step in self.steps)

    @property
    def mirrors(self) -> bool:
        """Whether a `Step` mirrors some of the images, left to right."""
        return any(
            isinstance(step, Step) and step.op == "flip" and step.probability > 0
            for step in self.steps
        )

    def label_preserving(self) -> Policy:
        """Return a version of the policy for digits, text and other images with an orientation.

        Operations that change labels are left out, and the magnitudes of others are limited; see
        `Op.label_preserving`.
        """
        kept = (step.label_preserving() for step in self.steps)
        return dataclasses.replace(self, steps=tuple(step for step in kept if step is not None))

    def check(self, shape: Sequence[int]) -> None:
        """Check that the policy can be applied to images.

        Args:
            shape: (height, width, channels) of the images.

        Raises:
            OptionError: if the number of channels is not 1 or 3, or the images are not square and
                the policy turns them by 90 degrees.
        """
        if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
            raise OptionError(
                "Augmentation takes images (height, width, channels) with 1 (grey) or 3 (RGB) "
                f"channels. Received: {tuple(shape)}"
            )
        if shape[0] != shape[1]:
            for name in sorted({name for step in self.steps for name in step.operations}):
                if OPS[name].square:
                    raise OptionError(
                        f"{name!r} needs images that are as wide as high; leave it out. "
                        f"Received: {shape[0]}×{shape[1]}"
                    )

    def to_json(self) -> dict[str, Any]:
        """Return the policy as JSON-able values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Policy:
        """Create a policy from the output of `to_json`.

        Raises:
            OptionError: if the content is not a policy.
        """
        if not isinstance(content, Mapping) or not isinstance(content.get("steps"), (list, tuple)):
            raise OptionError(f"A policy is an object with a list of steps. Received: {content!r}")
        names = {field.name for field in dataclasses.fields(cls)} - {"steps"}
        rest = {name: value for name, value in content.items() if name in names}
        return cls(tuple(step_from_json(step) for step in content["steps"]), **rest)

    @classmethod
    def named(cls, name: str) -> Policy:
        """Return the policy with a name in `POLICIES`.

        Raises:
            OptionError: if there is no policy with that name.
        """
        return POLICIES[find_policy(name)]

    @classmethod
    def suggest(cls, hp: keras_tuner.HyperParameters) -> Policy:
        """Declare hyperparameters for operations, their number, probability and strength.

        The names of the hyperparameters begin with `augment_`. With their default values the policy
        is "trivial", with which a search therefore begins: in `benchmarks/policies.py` it was the
        best of the named policies. There are few hyperparameters, so that short searches benefit.
        Brightness, contrast and saturation share one strength, as do the random operations:
        RandAugment (Cubuk et al. 2020) found that one strength for all of them is as good as one
        for each. The strength of a random operation is uniform up to this value (TrivialAugment,
        Müller and Hutter 2021).

        For digits and text: `Policy.suggest(hp).label_preserving()`.

        Args:
            hp: A `keras_tuner.HyperParameters`, or anything that declares them the same way.
        """
        flip = hp.Boolean("augment_flip", default=True)
        shift = hp.Float("augment_shift", 0.0, 0.25, step=0.0625, default=0.125)
        angle = hp.Float("augment_rotate", 0.0, 30.0, step=5.0, default=0.0)
        zoom = hp.Float("augment_zoom", 0.0, 0.5, step=0.125, default=0.0)
        colour = hp.Float("augment_colour", 0.0, 0.8, step=0.1, default=0.0)
        hole = hp.Float("augment_cutout", 0.0, 0.5, step=0.125, default=0.0)
        # Of turning, zooming and cutting out; mirroring is even, colours always change a little.
        often = hp.Float("augment_probability", 0.25, 1.0, step=0.25, default=0.5)
        count = hp.Int("augment_operations", 0, MOST_OPERATIONS, default=1)
        with hp.conditional_scope("augment_operations", list(range(1, MOST_OPERATIONS + 1))):
            magnitude = hp.Float("augment_magnitude", 0.1, 1.0, step=0.1, default=1.0)
        steps = (
            Step("flip", 1.0, 0.5 * flip),
            Step("crop", shift),
            Step("rotate", angle, often),
            Step("zoom", zoom, often),
            Step("brightness", colour),
            Step("contrast", colour),
            Step("saturation", colour),
        )
        # Sums of steps may be a little over the range.
        drawn = random_operations(min(magnitude, 1.0), count, fixed=False) if count else ()
        active = tuple(step for step in steps if step.magnitude and step.probability)
        # A hole that came earlier would be moved and coloured.
        return cls((*active, *drawn, *((Step("cutout", hole, often),) if hole else ())))


_MIRROR_AND_SHIFT = (Step("flip", 1.0, 0.5), Step("crop", 0.125))

# Of RandAugment (Cubuk et al. 2020), at its largest magnitudes; the 14th is to do nothing.
_FULL = (
    Step("rotate", 30.0),
    Step("shear_x", 0.3),
    Step("shear_y", 0.3),
    Step("translate_x", 0.3),
    Step("translate_y", 0.3),
    Step("brightness", 0.9),
    Step("contrast", 0.9),
    Step("saturation", 0.9),
    Step("sharpness", 0.9),
    Step("posterise", 4.0),
    Step("solarise", 1.0),
    Step("equalise"),
    Step("autocontrast"),
)
_DOES_SOMETHING = len(_FULL) / (len(_FULL) + 1)


def random_operations(magnitude: float, count: int, *, fixed: bool) -> tuple[OneOf, ...]:
    """Return `count` steps, each a random operation of RandAugment.

    Args:
        magnitude: Strength as a share of the largest magnitude of each operation, in (0, 1].
        count: Number of steps; each does nothing for 1 image in 14.
        fixed: Whether all have this strength (RandAugment) or a uniform one up to it, which with
            one operation and magnitude 1 is TrivialAugment.
    """
    scaled = tuple(
        step
        if step.op in ("equalise", "autocontrast")
        else Step(step.op, magnitude * step.magnitude, fixed=fixed)
        for step in _FULL
    )
    return (OneOf(scaled, _DOES_SOMETHING),) * count


_STEPS: dict[str, tuple[AnyStep, ...]] = {
    "none": (),
    "light": _MIRROR_AND_SHIFT,
    # Photographs: a mirror image, and a random half to all of the area, at most 4:3 out of shape
    # (Szegedy et al. 2015, with less cut away).
    "photo": (Step("flip", 1.0, 0.5), Step("resized_crop", 0.5)),
    "standard": (
        *_MIRROR_AND_SHIFT,
        Step("rotate", 10.0, 0.5),
        Step("brightness", 0.2),
        Step("contrast", 0.2),
        Step("saturation", 0.2),
    ),
    "strong": (
        *_MIRROR_AND_SHIFT,
        Step("rotate", 15.0),
        Step("brightness", 0.4),
        Step("contrast", 0.4),
        Step("saturation", 0.4),
        Step("cutout", 0.25, 0.5),
    ),
    # Mirroring turns a digit or a letter into another one; shifts and small turns do not.
    "text": (Step("crop", 0.125), Step("rotate", 10.0)),
    # RandAugment with N = 2, M = 5 of 10.
    "randaugment": (*_MIRROR_AND_SHIFT, *random_operations(0.5, 2, fixed=True)),
    # TrivialAugment (Müller and Hutter 2021): one operation, of uniform strength.
    "trivial": (*_MIRROR_AND_SHIFT, *random_operations(1.0, 1, fixed=False)),
    # AugMix (Hendrycks et al. 2020), severity 3 of 10, without operations of ImageNet-C.
    "augmix": (
        *_MIRROR_AND_SHIFT,
        AugMix(
            (
                Step("rotate", 9.0),
                Step("shear_x", 0.09),
                Step("shear_y", 0.09),
                Step("translate_x", 0.1),
                Step("translate_y", 0.1),
                Step("posterise", 5.0),
                Step("solarise", 0.3),
                Step("equalise"),
                Step("autocontrast"),
            )
        ),
    ),
}

POLICIES: dict[str, Policy] = {name: Policy(steps) for name, steps in _STEPS.items()}


def default_policy(shape: Sequence[int], *, mirrored: bool = True) -> str:
    """Return the name of the default policy for images of a size.

    Args:
        shape: (height, width, …) of the images, in pixels.
        mirrored: Whether mirror images still show their class, see `loses_class_mirrored`.
    """
    if not mirrored:
        return "text"
    return "photo" if min(shape[:2]) >= LARGE_SIDE else "light"


def find_policy(name: str) -> str:
    """Return the name in `POLICIES` that a spelling matches.

    Raises:
        OptionError: if none matches.
    """
    aliases = {"TrivialAugment": "trivial", "TrivialAugmentWide": "trivial"}
    return find_name(name, POLICIES, "augmentation policy", aliases=aliases)
