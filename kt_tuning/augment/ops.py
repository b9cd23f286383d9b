"""The table of augmentation operations."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from kt_tuning.augment import colour_ops as colour
from kt_tuning.augment import filter_ops as filters
from kt_tuning.augment import geometric_ops as geometry
from kt_tuning.augment.op_kinds import Filter, Floats, Form, Geometric, Linear, Pointwise

Strength = Literal["signed", "up to", "exactly"]


@dataclasses.dataclass(frozen=True)
class Op:
    """One augmentation operation.

    Attributes:
        form: The kind of operation, with its functions.
        unit: Meaning of the magnitude.
        low: Smallest magnitude.
        high: Largest magnitude.
        label_preserving: Largest magnitude that keeps the labels of images with an orientation,
            such as digits and letters; 0 if none does.
        strength: Distribution of the amount for the magnitude m: "signed", uniform in [-m, m]; "up
            to", uniform in [0, m]; or "exactly", m.
        parameters: Number of further uniform numbers of one image, such as for a position.
    """

    form: Form
    unit: str
    low: float
    high: float
    label_preserving: float
    strength: Strength = "signed"
    parameters: int = 0

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
_FACTOR = "largest change of the factor around 1"
_SIDE = "share of the side, either way"
_SHEAR = "pixels for each pixel across, either way"
_SHIFT = "largest shift in whole pixels, as a share of the side"
_CUT = "largest share of the area that is cut away"
_CORNER = "largest displacement of a corner, as a share of the side"
_SOLARISED = "largest share of the range that is inverted, from white"
_GAMMA = "doublings of the exponent, either way"
_BLUR = "largest standard deviation, as a share of the shorter side"
_NOISE = "largest standard deviation, in grey levels"

OPS: dict[str, Op] = {
    # form; unit, least and largest magnitude; the largest that keeps a digit's label; how drawn
    "flip": Op(Geometric(geometry.flip), _NONE, 1, 1, 0, "exactly"),
    "vertical_flip": Op(Geometric(geometry.vertical_flip), _NONE, 1, 1, 0, "exactly"),
    "turn": Op(Geometric(geometry.turn, square=True), _NONE, 1, 1, 0, "exactly", 1),
    "rotate": Op(Geometric(geometry.rotate), "degrees, either way", 0, 180, 15),
    "shear_x": Op(Geometric(geometry.shear_x), _SHEAR, 0, 1, 0.3),
    "shear_y": Op(Geometric(geometry.shear_y), _SHEAR, 0, 1, 0.3),
    "translate_x": Op(Geometric(geometry.translate_x), _SIDE, 0, 1, 0.25),
    "translate_y": Op(Geometric(geometry.translate_y), _SIDE, 0, 1, 0.25),
    "zoom": Op(Geometric(geometry.zoom), "doublings of the size, either way", 0, 2, 0.5),
    "crop": Op(Geometric(geometry.crop, reframes=True), _SHIFT, 0, 0.5, 0.25, "exactly", 2),
    "resized_crop": Op(
        Geometric(geometry.resized_crop, reframes=True), _CUT, 0, 0.95, 0.25, "up to", 3
    ),
    "perspective": Op(Geometric(geometry.perspective), _CORNER, 0, 0.2, 0.1, "exactly", 8),
    "brightness": Op(Linear(colour.brightness, colour.pil_brightness), _FACTOR, 0, 1, 1),
    "contrast": Op(Linear(colour.contrast, colour.pil_contrast), _FACTOR, 0, 1, 1),
    "saturation": Op(Linear(colour.saturation, colour.pil_saturation), _FACTOR, 0, 1, 1),
    "hue": Op(Linear(colour.hue, colour.pil_hue), "degrees, either way", 0, 180, 180),
    "greyscale": Op(
        Linear(colour.greyscale, colour.pil_greyscale), "share taken away", 0, 1, 1, "exactly"
    ),
    "gains": Op(Linear(colour.gains, colour.pil_gains), _FACTOR, 0, 1, 1, "exactly", 3),
    "posterise": Op(
        Pointwise(colour.posterise, colour.pil_posterise), "most bits cleared", 0, 7, 7, "up to"
    ),
    "solarise": Op(Pointwise(colour.solarise, colour.pil_solarise), _SOLARISED, 0, 1, 1, "up to"),
    "invert": Op(Pointwise(colour.invert, colour.pil_invert), _NONE, 1, 1, 1, "exactly"),
    "gamma": Op(Pointwise(colour.gamma, colour.pil_gamma), _GAMMA, 0, 3, 3),
    "equalise": Op(Filter(filters.equalise), _NONE, 1, 1, 1, "exactly"),
    "autocontrast": Op(Filter(filters.autocontrast), _NONE, 1, 1, 1, "exactly"),
    "sharpness": Op(Filter(filters.sharpness), _FACTOR, 0, 1, 1),
    "blur": Op(Filter(filters.blur), _BLUR, 0, 0.1, 0.1, "up to"),
    "noise": Op(Filter(filters.noise), _NOISE, 0, 128, 128, "up to", 1),
    "salt_and_pepper": Op(
        Filter(filters.salt_and_pepper), "largest share of pixels", 0, 0.5, 0.5, "up to", 1
    ),
    "jpeg": Op(Filter(filters.jpeg), "quality lost, of 100", 0, 99, 99, "up to"),
    "cutout": Op(Filter(filters.cutout), "share of each side", 0, 1, 0.5, "exactly", 2),
    "erasing": Op(Filter(filters.erasing), "largest share of the area", 0, 1, 0.25, "up to", 4),
}
