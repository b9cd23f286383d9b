from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.export.tf_images import resize_bilinear

TARGETS = [(1, 1), (13, 8), (32, 32), (64, 48)]
RNG = np.random.default_rng(0)
SOURCES = [(1, 1), (32, 32), (64, 1), (2, 700), (700, 2), (97, 11), (11, 97), (513, 3)] + [
    tuple(RNG.integers(1, 200, 2)) for _ in range(10)
]


@functools.cache
def resizer(height: int, width: int) -> Callable[[NDArray[np.uint8]], tf.Tensor]:
    return tf.function(
        lambda image: resize_bilinear(image, height, width),
        input_signature=[tf.TensorSpec((None, None, None), tf.uint8)],
        autograph=False,
    )


def noise(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 256, (height, width, channels), dtype=np.uint8)


def pillow(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    squeezed = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    across = squeezed.resize((width, image.shape[0]), Image.Resampling.BILINEAR)
    resized = across.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(height, width, -1)


@pytest.mark.parametrize("target", TARGETS, ids="to {0[0]}x{0[1]}".format)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_byte_is_pillows(target, channels):
    for source in SOURCES:
        image = noise(*source, channels)
        resized = resizer(*target)(image)
        np.testing.assert_array_equal(resized, pillow(image, *target), err_msg=str(source))


@pytest.mark.parametrize("source", [(20_000, 1), (1, 20_000), (700, 97)])
def test_rounded_weights_do_not_overflow(source):
    white = np.full((*source, 1), 255, np.uint8)
    assert (resizer(64, 48)(white).numpy() == 255).all()
