"""Convolutions before a network that sees no neighbourhoods by itself."""

from __future__ import annotations

from typing import Any

from hypermodels.blocks.convolution import activate, convolution, pool
from hypermodels.blocks.normalization import normalize

NARROWEST = 16


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
