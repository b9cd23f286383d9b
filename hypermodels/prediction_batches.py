"""How images are divided into batches for a prediction."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

FEWEST, MOST = 16, 256
"""Smallest and largest batch."""
VALUES = 3 * 2**18
"""Pixel values of a batch between these: those of 256 RGB images of 32×32 pixels."""


def prediction_batch_size(model: Any, shape: Sequence[int | None]) -> int:
    """Return how many images to predict at a time.

    On a processor the feature maps of few images stay in its caches, and need no new memory from
    the system: EfficientNet-Lite0 at 160 px makes features of 116 images/s in batches of 16, and of
    74 in batches of 256 (two cores of an AMD EPYC, `benchmarks/prediction_batch.py`). Small images
    are predicted in larger batches, as each call takes time.

    Args:
        model: A Keras model, whose nested models may take larger images than itself; of anything
            else only `shape` counts.
        shape: (height, width, channels) of the images.
    """
    if _has_accelerator():
        return MOST
    layers_inside = model._flatten_layers(False) if isinstance(model, keras.Model) else ()
    nested = [each for each in layers_inside if isinstance(each, keras.Model)]
    inputs = [getattr(each, "inputs", None) for each in nested]
    shapes = [tuple(shape), *(tuple(first.shape[1:]) for first, *_ in filter(None, inputs))]
    if any(None in sides for sides in shapes):
        return FEWEST
    return max(FEWEST, min(MOST, VALUES // max(map(math.prod, shapes))))


def equal_batches(count: int, most: int) -> list[NDArray[np.int64]]:
    """Divide images into as few batches as possible, all of one size.

    So a model is traced once, and not again for a smaller last batch. The last image is repeated as
    often as is needed for that; outputs beyond `count` are to be left out. Batches of `FEWEST` are
    always full: to predict some images in vain takes less time than to trace a graph.

    Args:
        count: Number of images, at least 1.
        most: Images in a batch, at most.

    Returns:
        Places of images, one array per batch.
    """
    batches = math.ceil(count / most)
    size = most if most == FEWEST else math.ceil(count / batches)
    return np.split(np.minimum(np.arange(batches * size), count - 1), batches)


@functools.cache
def _has_accelerator() -> bool:
    """Whether Keras computes on something else than a processor, as far as it tells."""
    if keras.backend.backend() not in ("tensorflow", "jax"):
        return False
    return not any(name.lower().startswith("cpu") for name in keras.distribution.list_devices())
