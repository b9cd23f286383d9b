"""Starting points of a search by the kind of its images, in tables that a benchmark may replace."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

PHOTOS, SMALL, GREY, PLAIN, MANY = "photos", "small", "grey", "plain", "many"
SMALL_SIDE = 64
"""Pixels of the shorter side up to which images are small: training from scratch is affordable."""
MANY_IMAGES = 20_000
"""Number of small images from which training from scratch comes first. On 5,000 of CIFAR-10 a
ConvNet gets 71% in 129 s, a probe 79% in 52 s; on all 50,000 a small ConvNet gets 76% in a minute.
Measured with the default of `ConvNet` before 2026-11-30."""
TINY_SIDE = 20
"""Pixels below which images are too coarse for what a pre-trained network looks for."""


@dataclasses.dataclass(frozen=True)
class StartingPoint:
    """A configuration that is tried before the sampler proposes others.

    Attributes:
        family: Name in `HYPERMODELS`.
        values: Values of its hyperparameters by name; the others have their defaults.
        never_pauses: Whether it is trained to its end where others pause.
        quick: Whether it is tried only where time is limited.
    """

    family: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    never_pauses: bool = False
    quick: bool = False


QUICK = StartingPoint(
    "convnet",
    {"filters": 16, "growth": 2, "activation": "relu"},
    never_pauses=True,
    quick=True,
)
"""A small network that is trained within a quarter of most time limits. In 40 s on two cores it
gets 99.0% in validation on 60,000 drawn digits; with the default's growth and SiLU 98.5%.
"""
FROM_NOTHING = (
    QUICK,
    StartingPoint("convnet"),
    # The time that is left if it was too short for the default.
    dataclasses.replace(QUICK, values={**QUICK.values, "dropout": 0.1}),
)
"""Starting points without a pre-trained network."""
PORTFOLIOS: dict[str, tuple[StartingPoint, ...]] = {
    PHOTOS: (
        StartingPoint("linearprobe", {"size": 224, "mirror": False}),
        StartingPoint("linearprobe", {"size": 224, "mirror": True}),
        StartingPoint("finetune", {"size": 288}, never_pauses=True),
        StartingPoint("linearprobe", {"size": 288, "mirror": False, "two_scales": True}),
    ),
    SMALL: (
        StartingPoint("linearprobe", {"size": 128, "mirror": False}),
        StartingPoint("finetune", {"size": 128, "unfreeze": 0.5}, never_pauses=True),
        StartingPoint("linearprobe", {"size": 160, "mirror": True}),
        StartingPoint("convnet"),
    ),
    GREY: (
        StartingPoint("linearprobe", {"size": 160, "mirror": False}),
        StartingPoint("linearprobe", {"size": 224, "mirror": False, "two_scales": True}),
        StartingPoint("finetune", never_pauses=True),
        StartingPoint("convnet"),
    ),
    PLAIN: (
        StartingPoint("linearprobe", {"size": 96, "mirror": False}),
        StartingPoint("convnet", never_pauses=True),
        StartingPoint("finetune"),
        StartingPoint("linearprobe", {"size": 160, "mirror": False}),
    ),
    MANY: (*FROM_NOTHING, StartingPoint("linearprobe", {"size": 128, "mirror": False})),
}
"""Kind of images -> starting points, in their order, if a pre-trained network is available."""

FAMILIES: dict[str, tuple[str, ...]] = {
    PHOTOS: ("linearprobe", "finetune", "convnet"),
    SMALL: ("linearprobe", "finetune", "convnet"),
    GREY: ("linearprobe", "finetune", "convnet"),
    PLAIN: ("linearprobe", "convnet", "finetune"),
    MANY: ("convnet", "linearprobe", "finetune"),
}
"""Kind of images -> families, in their order."""

HELD_BACK: dict[str, frozenset[str]] = {
    PHOTOS: frozenset({"convnet"}),
    SMALL: frozenset({"convnet"}),
    GREY: frozenset(),
    PLAIN: frozenset(),
    MANY: frozenset(),
}
"""Kind of images -> families that get time only if probes turn out to be poor."""

FINE_TUNED, EPOCHS_SHARE, FINE_TUNING_EPOCHS = "finetune", 1 / 3, 10
"""A family that begins with a solved classifier, the share of the epochs that it needs, and the
most that it trains beside other families."""
FINE_TUNING_SIZES: dict[str, tuple[int, ...]] = {
    PHOTOS: (224, 288),
    SMALL: (128,),
    GREY: (224,),
    PLAIN: (96,),
    MANY: (96, 128),
}
"""Kind of images -> pixels of the shorter side at which they are fine-tuned on, the largest for
which there is time. On 260 held-out flowers, two splits: log-loss 0.238 at 224, 0.222 at 288."""
FINE_TUNING_VIEWS = 11
"""What fine-tuning costs an image, a few epochs included: as much as features of so many views."""
PIXELS_A_SECOND = 14e6
"""Pixels of which a small pre-trained network computes features in a second on two processor cores:
EfficientNet-Lite0 takes about 3.5 ms for an image of 224 by 224."""


def kind_of(height: int, width: int, channels: int, images: int) -> str:
    """Return the kind of images: "photos", "small" (colour), "grey" (large), "plain", or "many".

    Args:
        height: Height in pixels.
        width: Width in pixels.
        channels: 1 (grey) or 3 (colour).
        images: Number of images; many are those of at most 64 pixels.
    """
    side = min(height, width)
    if side <= SMALL_SIDE and images >= MANY_IMAGES:
        return MANY
    if side < TINY_SIDE or (channels == 1 and side <= SMALL_SIDE):
        return PLAIN
    if channels == 1:
        return GREY
    return SMALL if side <= SMALL_SIDE else PHOTOS
