"""The first and the last layers of a network: a stem, whitening, and from features to logits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers
from numpy.typing import NDArray

from hypermodels.blocks.convolution import activate, channel_axis, convolution, initializer, pool
from hypermodels.blocks.normalization import normalize

NARROWEST = 16
SIDE = 2
"""Pixels of a side of the patches."""
EPSILON = 5e-4
"""Added to the variances, those of pixels in about [-1, 1]; airbench's."""
MOMENTUM = 0.9
LOGITS = "logits"
"""Name of the last layer; Muon and fine-tuning know it by this name."""


def convolutional_stem(x: Any, channels: int, shrink: int) -> Any:
    """Shrink images by 3×3 convolutions, each with batch normalisation, ReLU and max pooling.

    Networks that read patches or rows learn what neighbouring pixels have to do with each other
    from many images only; convolutions know it (Hassani et al. 2021, section 3.3; Xiao et al.
    2021).

    Args:
        x: Images (batch, height, width, channels).
        channels: Channels of the output. Each convolution before the last one has half as many as
            the next.
        shrink: Factor by which height and width shrink, rounded up; one convolution for each of its
            prime factors, and one without pooling for 1.

    Returns:
        Feature maps (batch, ⌈height / shrink⌉, ⌈width / shrink⌉, channels).
    """
    factors = prime_factors(shrink) or [1]
    for index, factor in enumerate(factors):
        width = channels >> (len(factors) - 1 - index)
        x = convolution(x, max(width, min(NARROWEST, channels)), 3, use_bias=False)
        x = activate(normalize(x, "batch"), "relu")
        x = pool(x, "max", "same", size=factor) if factor > 1 else x
    return x


def prime_factors(number: int) -> list[int]:
    """The prime factors of a positive number, smallest first; none of 1."""
    factors, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return factors


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


def classifier(
    x: Any,
    classes: int,
    *,
    dropout: float = 0.0,
    dense_units: int = 0,
    activation: str = "relu",
) -> Any:
    """Map features to logits.

    Args:
        x: Features (batch, features).
        classes: Number of classes.
        dropout: Share of features dropped before the last layer while training, in [0, 1).
        dense_units: Width of a hidden dense layer, 0 for none.
        activation: Of that layer.

    Returns:
        Logits (batch, classes).
    """
    if dense_units:
        x = layers.Dense(dense_units, kernel_initializer=initializer(activation))(x)
        x = activate(x, activation)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return layers.Dense(classes, name=LOGITS)(x)
