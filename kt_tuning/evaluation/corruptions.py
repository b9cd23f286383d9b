"""The corruptions: one table.

Names and severities are those of Hendrycks and Dietterich (2019), "Benchmarking neural network
robustness to common corruptions and perturbations", in the three versions of their published code:
CIFAR-10-C (32 pixels), Tiny ImageNet-C (64) and ImageNet-C (224). Frost, which needs photographs,
and glass blur are left out. Missing pixels are not among theirs.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.names import find_name
from kt_tuning.evaluation import corruption_functions as functions

SEVERITIES = (1, 2, 3, 4, 5)

Floats = NDArray[np.floating[Any]]
Distort = Callable[[Floats, Any, np.random.Generator], Floats]
"""(image (H, W, C) of floats in 0..1, the severity's constants, rng) -> image, not yet clipped."""


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One row of `CORRUPTIONS`.

    Attributes:
        kind: "noise", "blur", "weather" or "digital".
        distort: Changes one image.
        constants: Side of the images in pixels -> argument of `distort` at severities 1 to 5.
    """

    kind: str
    distort: Distort
    constants: Mapping[int, tuple[Any, Any, Any, Any, Any]]

    def constant(self, side: int, severity: int) -> Any:
        """Return the constants for images whose shorter side is nearest, by ratio, to `side`."""
        nearest = min(self.constants, key=lambda known: abs(math.log(known / side)))
        return self.constants[nearest][severity - 1]


# Their code for 224 pixels says 244.
_SLIP = 244 / 224

_TABLE: dict[str, dict[Distort, dict[int, tuple[Any, Any, Any, Any, Any]]]] = {
    "noise": {
        functions.gaussian_noise: {
            32: (0.04, 0.06, 0.08, 0.09, 0.10),
            64: (0.04, 0.08, 0.12, 0.15, 0.18),
            224: (0.08, 0.12, 0.18, 0.26, 0.38),
        },
        functions.shot_noise: {
            32: (500, 250, 100, 75, 50),
            64: (250, 100, 50, 30, 15),
            224: (60, 25, 12, 5, 3),
        },
        functions.impulse_noise: {
            32: (0.01, 0.02, 0.03, 0.05, 0.07),
            64: (0.01, 0.02, 0.05, 0.08, 0.14),
            224: (0.03, 0.06, 0.09, 0.17, 0.27),
        },
        functions.missing_pixels: {32: (0.05, 0.1, 0.2, 0.3, 0.5)},
    },
    "blur": {
        functions.gaussian_blur: {
            32: (0.4, 0.6, 0.7, 0.8, 1.0),
            64: (0.5, 0.75, 1.0, 1.25, 1.5),
            224: (1.0, 2.0, 3.0, 4.0, 6.0),
        },
        functions.defocus_blur: {
            32: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)),
            64: ((0.5, 0.6), (1.0, 0.1), (1.5, 0.1), (2.5, 0.01), (3.0, 0.1)),
            224: ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)),
        },
        functions.motion_blur: {
            32: ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)),
            64: ((10, 1.0), (10, 1.5), (10, 2.0), (10, 2.5), (12, 3.0)),
            224: ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)),
        },
        functions.zoom_blur: {
            32: ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
            64: ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
            224: ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
        },
    },
    "weather": {
        functions.snow: {
            32: (
                (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
                (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
                (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
                (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
                (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
            ),
            64: (
                (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.8),
                (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.8),
                (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.7),
                (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.65),
                (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.6),
            ),
            224: (
                (0.1, 0.3, 3.0, 0.5, 10, 4.0, 0.8),
                (0.2, 0.3, 2.0, 0.5, 12, 4.0, 0.7),
                (0.55, 0.3, 4.0, 0.9, 12, 8.0, 0.7),
                (0.55, 0.3, 4.5, 0.85, 12, 8.0, 0.65),
                (0.55, 0.3, 2.5, 0.85, 12, 12.0, 0.55),
            ),
        },
        functions.fog: {
            32: ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)),
            64: ((0.4, 3.0), (0.7, 3.0), (1.0, 2.5), (1.5, 2.0), (2.0, 1.75)),
            224: ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)),
        },
        functions.brightness: {
            32: (0.05, 0.1, 0.15, 0.2, 0.3),
            64: (0.1, 0.2, 0.3, 0.4, 0.5),
            224: (0.1, 0.2, 0.3, 0.4, 0.5),
        },
    },
    "digital": {
        functions.contrast: {
            32: (0.75, 0.5, 0.4, 0.3, 0.15),
            64: (0.4, 0.3, 0.2, 0.1, 0.05),
            224: (0.4, 0.3, 0.2, 0.1, 0.05),
        },
        functions.elastic_transform: {
            32: (
                (0.0, 0.0, 0.08),
                (0.05, 0.2, 0.07),
                (0.08, 0.06, 0.06),
                (0.1, 0.04, 0.05),
                (0.1, 0.03, 0.03),
            ),
            64: (
                (0.0, 0.0, 0.08),
                (0.05, 0.3, 0.06),
                (0.1, 0.08, 0.06),
                (0.1, 0.03, 0.03),
                (0.16, 0.03, 0.02),
            ),
            224: (
                (2.0 * _SLIP, 0.7 * _SLIP, 0.1 * _SLIP),
                (2.0 * _SLIP, 0.08 * _SLIP, 0.2 * _SLIP),
                (0.05 * _SLIP, 0.01 * _SLIP, 0.02 * _SLIP),
                (0.07 * _SLIP, 0.01 * _SLIP, 0.02 * _SLIP),
                (0.12 * _SLIP, 0.01 * _SLIP, 0.02 * _SLIP),
            ),
        },
        functions.pixelate: {
            32: (0.95, 0.9, 0.85, 0.75, 0.65),
            64: (0.9, 0.8, 0.7, 0.6, 0.5),
            224: (0.6, 0.5, 0.4, 0.3, 0.25),
        },
        functions.jpeg_compression: {
            32: (80, 65, 58, 50, 40),
            64: (65, 58, 50, 40, 25),
            224: (25, 18, 15, 10, 7),
        },
    },
}
"""Kind -> function -> side of the images in pixels -> its constants at severities 1 to 5."""

CORRUPTIONS: dict[str, Corruption] = {
    distort.__name__: Corruption(kind, distort, constants)
    for kind, rows in _TABLE.items()
    for distort, constants in rows.items()
}


def corrupt(
    images: NDArray[np.uint8], name: str, severity: int, *, seed: int = 0
) -> NDArray[np.uint8]:
    """Return corrupted copies of images.

    The random numbers depend only on the seed, the name and the position of the image, and not on
    the other images or the severity: a higher severity makes, for example, the same fog denser.

    Args:
        images: (n, H, W, C) uint8, grey or RGB.
        name: Name in `CORRUPTIONS`.
        severity: 1 (mild) to 5 (strong).
        seed: Seed of the random numbers.

    Raises:
        OptionError: if the corruption or the severity is unknown.
        DataError: if the images have another type or shape.

    Source: Hendrycks and Dietterich (2019), "Benchmarking neural network robustness to common
    corruptions and perturbations".
    """
    name = find_name(name, CORRUPTIONS, "corruption")
    if severity not in SEVERITIES:
        raise OptionError(f"A severity is a whole number from 1 to 5. Received: {severity}.")
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] not in (1, 3):
        raise DataError(
            "Expected uint8 images (n, H, W, C) with 1 or 3 channels. "
            f"Received: {images.dtype} {images.shape}."
        )
    corruption = CORRUPTIONS[name]
    constant = corruption.constant(min(images.shape[1:3]), severity)
    corrupted = np.empty_like(images)
    for place, image in enumerate(images):
        rng = np.random.default_rng((seed, zlib.crc32(name.encode()), place))
        distorted = corruption.distort(image / 255.0, constant, rng)
        corrupted[place] = np.rint(np.clip(distorted, 0.0, 1.0) * 255)
    return corrupted
