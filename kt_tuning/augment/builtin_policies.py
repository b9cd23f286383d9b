"""The built-in policies by name, as steps.

Magnitudes suit small images; lengths are shares of the side and grow with it.
"""

from __future__ import annotations

from kt_tuning.augment.augmix import AnyStep, AugMix
from kt_tuning.augment.steps import OneOf, Step

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


SPACES: dict[str, tuple[AnyStep, ...]] = {
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
