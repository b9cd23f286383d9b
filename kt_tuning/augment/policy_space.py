"""The search space of policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kt_tuning.augment.augmix import AnyStep
from kt_tuning.augment.builtin_policies import random_operations
from kt_tuning.augment.steps import Step

if TYPE_CHECKING:
    import keras_tuner

MOST_OPERATIONS = 3


def suggest_steps(hp: keras_tuner.HyperParameters) -> tuple[AnyStep, ...]:
    """Declare the hyperparameters and return the steps for their values.

    Few, so that a short search can profit. Brightness, contrast and saturation share one strength,
    as do the random operations: RandAugment (Cubuk et al. 2020) found that one for all of them does
    as well as one for each. They are at most as strong as that, evenly (TrivialAugment, Müller and
    Hutter 2021), and the defaults are the policy "trivial": in `benchmarks/policies.py` it was the
    best of the named ones, so a search begins where they end.

    Args:
        hp: Where hyperparameters are declared, all of them named "augment_…".
    """
    flip = hp.Boolean("augment_flip", default=True)
    shift = hp.Float("augment_shift", 0.0, 0.25, step=0.0625, default=0.125)
    angle = hp.Float("augment_rotate", 0.0, 30.0, step=5.0, default=0.0)
    zoom = hp.Float("augment_zoom", 0.0, 0.5, step=0.125, default=0.0)
    colour = hp.Float("augment_colour", 0.0, 0.8, step=0.1, default=0.0)
    hole = hp.Float("augment_cutout", 0.0, 0.5, step=0.125, default=0.0)
    # Of turning, zooming and cutting out; mirroring is even, and colours always change a little.
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
    return (*active, *drawn, *((Step("cutout", hole, often),) if hole else ()))
