"""MixUp and CutMix: mixtures of two images of a batch and of their labels."""

from __future__ import annotations

import dataclasses
import math
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from kt_tuning.augment.arrays import Floats, Pixels, check_batch
from kt_tuning.core.errors import OptionError

Weights = NDArray[np.float32]
Mixed = tuple[Pixels, NDArray[np.float32], Weights | None]

BITS = 8
UNIT = 2**BITS
"""Shares of MixUp are multiples of 1/256, so that mixing in integers is exact."""
METHOD, SHARE, X, Y = range(4)
"""Columns of an image's uniform numbers: method, share, and centre of the rectangle."""


@dataclasses.dataclass(frozen=True)
class Mixing:
    """The strength of mixing images of a batch with each other.

    The share λ of the first image follows Beta(α, α): 0.2 leaves most images nearly unchanged, 1
    makes all shares equally likely. With both methods on, each mixes half of the images; with both
    off, images stay unchanged.

    Attributes:
        mixup: α of MixUp, which blends two images (Zhang et al. 2018); 0 is off.
        cutmix: α of CutMix, which pastes a rectangle of one image into another (Yun et al. 2019);
            0 is off.

    Raises:
        OptionError: if α is negative or no number.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            number = isinstance(alpha, Real) and not isinstance(alpha, bool)
            if not number or not 0 <= alpha < math.inf:
                raise OptionError(
                    f"`{name}` is the α of a Beta distribution, such as 0.2, or 0 for off. "
                    f"Received: {name}={alpha!r}"
                )

    @property
    def draws(self) -> int:
        """Number of uniform random numbers that one image needs."""
        return len((METHOD, SHARE, X, Y))


def mix(
    mixing: Mixing,
    images: Pixels,
    labels: NDArray[np.int64],
    uniforms: Floats,
    weights: Weights | None = None,
    *,
    classes: int,
) -> Mixed:
    """Mix each image of a batch with the next one, the last with the first.

    MixUp: λ·a + (1 - λ)·b, rounded to the nearest whole number, halves up. CutMix: a rectangle of
    b in its own place in a, with the share 1 - λ of both sides' product before it is clipped at
    the border; λ is then the remaining share of a. Either way the label is λ of a's and 1 - λ of
    b's.

    Args:
        mixing: The strength.
        images: uint8 (n, height, width, channels), in random order.
        labels: (n,), 0 to classes - 1.
        uniforms: Numbers in [0, 1), (n, mixing.draws). Equal numbers give equal results.
        weights: (n,) of the loss of each image, or None. They are mixed so that the loss of a
            mixture is λ times the weighted loss of a's label and 1 - λ times that of b's.
        classes: Number of classes.

    Returns:
        Images as above, new; targets (n, classes) float32, each row with sum 1; and weights (n,)
        float32, or None.

    Raises:
        OptionError: if the arrays are of the wrong kind.
    """
    check_batch(images, uniforms, mixing.draws)
    partners = np.roll(np.arange(len(images)), -1)
    if mixing.mixup and mixing.cutmix:
        blended = uniforms[:, METHOD] < 0.5
        pasted = ~blended
    else:
        blended = np.full(len(images), bool(mixing.mixup))
        pasted = np.full(len(images), bool(mixing.cutmix))
    kept = np.ones(len(images))
    mixed = images.copy()
    kept[blended] = np.rint(UNIT * _beta(mixing.mixup, uniforms[blended, SHARE])) / UNIT
    for i in np.flatnonzero(blended & (kept < 1)):
        mixed[i] = _blend(images[i], images[partners[i]], int(kept[i] * UNIT))
    area = images.shape[1] * images.shape[2]
    shares = _beta(mixing.cutmix, uniforms[pasted, SHARE])
    for i, share in zip(np.flatnonzero(pasted), shares, strict=True):
        rows = _span(images.shape[1], share, uniforms[i, Y])
        columns = _span(images.shape[2], share, uniforms[i, X])
        mixed[i, rows, columns] = images[partners[i], rows, columns]
        kept[i] = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / area
    if weights is not None:
        own = kept * weights
        mixed_weights = own + (1 - kept) * weights[partners]
        kept, weights = own / mixed_weights, mixed_weights.astype(np.float32)
    own_share = kept.astype(np.float32)[:, None]
    own_class, other_class = np.arange(classes) == np.stack([labels, labels[partners]])[..., None]
    targets = own_share * own_class + (1 - own_share) * other_class
    return mixed, targets, weights


def _beta(alpha: float, uniforms: Floats) -> Floats:
    """Convert uniform numbers to Beta(α, α) by inversion."""
    if alpha in (0, 1):
        return uniforms
    from scipy.special import betaincinv

    shares: Floats = betaincinv(alpha, alpha, uniforms)
    return shares


def _blend(image: Pixels, other: Pixels, kept: int) -> Pixels:
    """(kept · image + (256 - kept) · other) / 256, within 16 bits: 255 · 256 + 128 < 2^16."""
    total = image * np.uint16(kept) + other * np.uint16(UNIT - kept) + np.uint16(UNIT // 2)
    return (total >> np.uint16(BITS)).astype(np.uint8)


def _span(size: int, share: float, uniform: float) -> slice:
    """Return the rows or columns of a rectangle around a uniform centre, clipped at the border."""
    side = int(size * math.sqrt(1 - share))
    start = int(size * uniform) - side // 2
    return slice(max(start, 0), min(start + side, size))
