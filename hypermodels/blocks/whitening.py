"""Whitening of patches of pixels, by layers of Keras."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers
from numpy.typing import NDArray

from hypermodels.blocks.convolution import channel_axis

SIDE = 2
"""Pixels of a side of the patches."""
EPSILON = 5e-4
"""Added to the variances, those of pixels in about [-1, 1]; airbench's."""
MOMENTUM = 0.9


def whiten(x: Any) -> Any:
    """Remove most of the correlation of neighbouring pixels and of their channels.

    A fixed cosine transform of each patch of 2×2 pixels and of its channels, then a batch
    normalisation without scale and offset: brightness, colours and fine structure all have a
    variance of about 1, and the next convolution learns faster. For natural images the transform
    is close to the eigenvectors of the patches' covariance, which airbench computes from the
    training images (Jordan 2024, arXiv 2404.00498, section 3.2); of red, green and blue it is
    their sum, red against blue, and green against both.

    Args:
        x: Images (batch, height, width, channels), rescaled. Beyond the right and lower edges
            pixels are 0.

    Returns:
        Feature maps (batch, height, width, 4 · channels).
    """
    kernel = patch_basis(x.shape[channel_axis()])
    transform = layers.Conv2D(
        kernel.shape[-1], SIDE, padding="same", use_bias=False, trainable=False, name="whiten"
    )
    x = transform(x)
    transform.kernel.assign(kernel)
    return layers.BatchNormalization(
        channel_axis(), momentum=MOMENTUM, epsilon=EPSILON, center=False, scale=False
    )(x)


def patch_basis(channels: int) -> NDArray[np.float64]:
    """Return the cosine transform of patches as a kernel, (2, 2, channels, 4 · channels).

    The outer product of orthonormal DCT-II matrices of rows, columns and channels.

    Args:
        channels: Channels of an image.
    """
    side, depth = _cosines(SIDE), _cosines(channels)
    basis = np.einsum("ai,bj,ck->ijkabc", side, side, depth)
    return basis.reshape(SIDE, SIDE, channels, -1)


def _cosines(count: int) -> NDArray[np.float64]:
    """The orthonormal DCT-II matrix: frequencies by positions, (count, count)."""
    frequencies, positions = np.arange(count)[:, None], np.arange(count)[None, :]
    matrix = np.cos(math.pi * frequencies * (positions + 0.5) / count)
    matrix[0] /= math.sqrt(2)
    return matrix * math.sqrt(2 / count)
