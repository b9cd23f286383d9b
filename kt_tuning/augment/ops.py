"""The table of augmentation operations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from kt_tuning.augment import geometric_ops as geometry
from kt_tuning.augment import pixel_ops as pixel
from kt_tuning.augment.arrays import Floats

Kind = Literal["geometric", "linear", "pointwise", "filter"]
Strength = Literal["signed", "up to", "exactly"]


@dataclasses.dataclass(frozen=True)
class Op:
    """One augmentation operation.

    Attributes:
        kind: Decides what `function` takes and returns, and what can be fused. "geometric" moves
            pixels by 3×3 matrices, see `geometric_ops`; several become one resampling. "linear"
            maps colours by matrices, several become one; "pointwise" replaces values by a table,
            several become one; "filter" changes one image by PIL: see `pixel_ops`.
        function: The function of the random numbers.
        unit: Meaning of the magnitude.
        low: Smallest magnitude.
        high: Largest magnitude.
        label_preserving: Largest magnitude that keeps the labels of images with an orientation,
            such as digits and letters; 0 if none does.
        strength: Distribution of the amount for the magnitude m: "signed", uniform in [-m, m]; "up
            to", uniform in [0, m]; or "exactly", m.
        parameters: Number of further uniform numbers of one image, such as for a position.
        square: Whether it needs square images.
    """

    kind: Kind
    function: Callable[..., Any]
    unit: str
    low: float
    high: float
    label_preserving: float
    strength: Strength = "signed"
    parameters: int = 0
    _: dataclasses.KW_ONLY
    square: bool = False

    @property
    def draws(self) -> int:
        """Number of uniform random numbers that one image needs."""
        return self.parameters + (self.strength != "exactly")

    def amounts(self, magnitude: float, uniforms: Floats, *, fixed: bool) -> Floats:
        """Return the amount for each image, (n,).

        Args:
            magnitude: Largest amount.
            uniforms: (n, draws) numbers in [0, 1); the first column decides.
            fixed: Whether all amounts have the size of `magnitude`; only the sign is random.
        """
        if self.strength == "exactly" or (fixed and self.strength == "up to"):
            return np.full(len(uniforms), float(magnitude))
        if self.strength == "up to":
            return magnitude * uniforms[:, 0]
        signs = 2 * uniforms[:, 0] - 1
        return magnitude * (np.where(signs < 0, -1.0, 1.0) if fixed else signs)


_NONE = "always 1"
_DEGREES = "degrees, either way"
_FACTOR = "largest change of the factor around 1"
_SIDE = "share of the side, either way"
_SHEAR = "pixels for each pixel across, either way"
_ZOOM = "doublings of the size, either way"
_SHIFT = "largest shift in whole pixels, as a share of the side"
_CUT = "largest share of the area that is cut away"
_CORNER = "largest displacement of a corner, as a share of the side"
_SOLARISED = "largest share of the range that is inverted, from white"
_GAMMA = "doublings of the exponent, either way"
_BLUR = "largest standard deviation, as a share of the shorter side"
_NOISE = "largest standard deviation, in grey levels"
_PIXELS = "largest share of pixels"

OPS: dict[str, Op] = {
    # kind, function; unit, least and largest magnitude; largest for a digit; how drawn
    "flip": Op("geometric", geometry.flip, _NONE, 1, 1, 0, "exactly"),
    "vertical_flip": Op("geometric", geometry.vertical_flip, _NONE, 1, 1, 0, "exactly"),
    "turn": Op("geometric", geometry.turn, _NONE, 1, 1, 0, "exactly", 1, square=True),
    "rotate": Op("geometric", geometry.rotate, _DEGREES, 0, 180, 15),
    "shear_x": Op("geometric", geometry.shear_x, _SHEAR, 0, 1, 0.3),
    "shear_y": Op("geometric", geometry.shear_y, _SHEAR, 0, 1, 0.3),
    "translate_x": Op("geometric", geometry.translate_x, _SIDE, 0, 1, 0.25),
    "translate_y": Op("geometric", geometry.translate_y, _SIDE, 0, 1, 0.25),
    "zoom": Op("geometric", geometry.zoom, _ZOOM, 0, 2, 0.5),
    "crop": Op("geometric", geometry.crop, _SHIFT, 0, 0.5, 0.25, "exactly", 2),
    "resized_crop": Op("geometric", geometry.resized_crop, _CUT, 0, 0.95, 0.25, "up to", 3),
    "perspective": Op("geometric", geometry.perspective, _CORNER, 0, 0.2, 0.1, "exactly", 8),
    "brightness": Op("linear", pixel.brightness, _FACTOR, 0, 1, 1),
    "contrast": Op("linear", pixel.contrast, _FACTOR, 0, 1, 1),
    "saturation": Op("linear", pixel.saturation, _FACTOR, 0, 1, 1),
    "hue": Op("linear", pixel.hue, _DEGREES, 0, 180, 180),
    "greyscale": Op("linear", pixel.greyscale, "share taken away", 0, 1, 1, "exactly"),
    "gains": Op("linear", pixel.gains, _FACTOR, 0, 1, 1, "exactly", 3),
    "posterise": Op("pointwise", pixel.posterise, "most bits cleared", 0, 7, 7, "up to"),
    "solarise": Op("pointwise", pixel.solarise, _SOLARISED, 0, 1, 1, "up to"),
    "invert": Op("pointwise", pixel.invert, _NONE, 1, 1, 1, "exactly"),
    "gamma": Op("pointwise", pixel.gamma, _GAMMA, 0, 3, 3),
    "equalise": Op("filter", pixel.equalise, _NONE, 1, 1, 1, "exactly"),
    "autocontrast": Op("filter", pixel.autocontrast, _NONE, 1, 1, 1, "exactly"),
    "sharpness": Op("filter", pixel.sharpness, _FACTOR, 0, 1, 1),
    "blur": Op("filter", pixel.blur, _BLUR, 0, 0.1, 0.1, "up to"),
    "noise": Op("filter", pixel.noise, _NOISE, 0, 128, 128, "up to", 1),
    "salt_and_pepper": Op("filter", pixel.salt_and_pepper, _PIXELS, 0, 0.5, 0.5, "up to", 1),
    "jpeg": Op("filter", pixel.jpeg, "quality lost, of 100", 0, 99, 99, "up to"),
    "cutout": Op("filter", pixel.cutout, "share of each side", 0, 1, 0.5, "exactly", 2),
    "erasing": Op("filter", pixel.erasing, "largest share of the area", 0, 1, 0.25, "up to", 4),
}
