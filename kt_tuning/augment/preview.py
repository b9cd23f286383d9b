"""A picture of images and their augmented copies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.augment.fused import augment
from kt_tuning.augment.policy import Policy
from kt_tuning.core.errors import OptionError
from kt_tuning.core.pictures import to_pil

TILE = 96
"""Smaller images are enlarged, by a whole factor, to about this many pixels."""
GAP = 2
"""Pixels between the images."""


def preview(
    policy: Policy | str, images: NDArray[np.uint8], *, draws: int = 8, seed: int = 0
) -> Image.Image:
    """Draw a picture with one row per image: the original, then augmented copies.

    A notebook displays the picture; `.save("preview.png")` writes it to a file.

    Args:
        policy: The policy, or its name.
        images: uint8 (n, height, width, channels), grey or RGB.
        draws: Number of augmented copies of each image, at least 1.
        seed: Seed of the augmentation.

    Returns:
        The picture, grey or RGB as the images.

    Raises:
        OptionError: if there is no such policy, or `images` or `draws` is invalid.
    """
    policy = Policy.named(policy) if isinstance(policy, str) else policy
    if draws < 1 or len(images) == 0:
        raise OptionError(
            "A preview needs at least 1 image and 1 draw. "
            f"Received: {len(images)} images, draws={draws}"
        )
    uniforms = np.random.default_rng(seed).random((len(images) * draws, policy.draws))
    augmented = augment(policy, np.repeat(images, draws, axis=0), uniforms)
    rows = augmented.reshape(len(images), draws, *images.shape[1:])
    return to_pil(_grid(np.concatenate([images[:, None], rows], axis=1)))


def _grid(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Arrange tiles (rows, columns, height, width, channels) on white."""
    factor = max(1, TILE // max(tiles.shape[2:4]))
    tiles = tiles.repeat(factor, axis=2).repeat(factor, axis=3)
    rows, columns, height, width, channels = tiles.shape
    spaced = np.full((rows, height + GAP, columns, width + GAP, channels), 255, dtype=np.uint8)
    spaced[:, :height, :, :width] = tiles.transpose(0, 2, 1, 3, 4)
    picture = spaced.reshape(rows * (height + GAP), columns * (width + GAP), channels)
    # Neither a last row nor a last column has a gap after it.
    return picture[:-GAP, :-GAP]
