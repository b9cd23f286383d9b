"""Batches of a split, shuffled and augmented differently in each epoch."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Batch = tuple[NDArray[Any], ...]
"""(images, labels) or (images, labels, weights)."""

RUN_PIXELS = 2**19
"""Batches are made together up to this number of pixels: for small images the overhead of calls for
single batches would be as large as the work."""


class Images(Protocol):
    """The part of `ImageSplit` that `Batches` uses."""

    labels: NDArray[np.int64]

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return images, uint8 (n, height, width, channels) or the input of `augment`."""


class Random(NamedTuple):
    """A function of images and random numbers.

    Attributes:
        function: Takes, among others, uniform numbers in [0, 1), (n, draws).
        draws: Number of random numbers for each image.
    """

    function: Callable[..., Any]
    draws: int


class _Epoch(NamedTuple):
    """The order of the images in an epoch, and uniform numbers for each image, (n, draws)."""

    order: NDArray[np.int64]
    #: Rows of `augment` and `mix` by place in `order`.
    numbers: NDArray[np.int64]
    augment: NDArray[np.float64]
    mix: NDArray[np.float64]


class Batches:
    """Training batches as a function of epoch, index and batch size.

    The order of images and their random numbers depend only on (seed, epoch, image), not on
    threads, batch size or restarts. The partners in mixing also depend on the batch.

    Args:
        images: The training split.
        batch_size: Default number of images per batch; the last batch of an epoch may be smaller.
        seed: Seed of the order and of all random numbers.
        balanced: Whether each epoch has equally many images of every class, see `balanced_order`.
            An image that occurs twice is augmented differently each time.
        augment: (images (n, H, W, C), uniforms) -> images, or None.
        mix: (images, labels, uniforms, weights) -> (images, targets (n, classes), weights), where
            weights may be None; or None.
        class_weight: Weight of the loss by label, or None for equal weights.
    """

    def __init__(
        self,
        images: Images,
        batch_size: int,
        *,
        seed: int,
        balanced: bool = False,
        augment: Random | None = None,
        mix: Random | None = None,
        class_weight: dict[int, float] | None = None,
    ) -> None:
        self._images = images
        self.batch_size = batch_size
        self._seed = seed
        self._balanced = balanced
        self._augment = augment
        self._mix = mix
        self._weights = None
        if class_weight is not None:
            table = np.array([class_weight[label] for label in range(len(class_weight))])
            self._weights = table[images.labels].astype(np.float32)
        self._epochs: dict[int, _Epoch] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.count(self.batch_size)

    def count(self, batch_size: int) -> int:
        """Return the number of batches in an epoch for a batch size."""
        return math.ceil(len(self._images) / batch_size)

    def run_length(self, batch_size: int) -> int:
        """Return the number of batches in a run, see `read_run`, for a batch size."""
        # (n, height, width, channels), or features (n, width) of images.
        pixels = math.prod(self._images.shape[1:-1])
        return max(1, RUN_PIXELS // (batch_size * pixels))

    def read(self, epoch: int, index: int, batch_size: int | None = None) -> Batch:
        """Make the batch `index` of an epoch, both counted from 0; thread-safe."""
        return self._make(epoch, index, 1, batch_size or self.batch_size)[0]

    def read_run(self, epoch: int, run: int, batch_size: int | None = None) -> list[Batch]:
        """Make a run of consecutive batches, equal to those of `read`; thread-safe.

        `run` is the index of the run in the epoch, from 0; the last one may be shorter.
        """
        size = batch_size or self.batch_size
        length = self.run_length(size)
        return self._make(epoch, run * length, length, size)

    def _make(self, epoch: int, first: int, count: int, size: int) -> list[Batch]:
        """Make up to `count` batches of `size` images each, from index `first` on."""
        drawn = self._draw(epoch)
        places = slice(first * size, (first + count) * size)
        chosen, numbers = drawn.order[places], drawn.numbers[places]
        images = self._images.take(chosen)
        if self._augment is not None:
            images = self._augment.function(images, drawn.augment[numbers])
        parts = (slice(start, start + size) for start in range(0, len(chosen), size))
        return [
            self._labelled(images[part], chosen[part], drawn.mix[numbers[part]]) for part in parts
        ]

    def _labelled(
        self, images: NDArray[np.uint8], chosen: NDArray[np.int64], uniforms: NDArray[np.float64]
    ) -> Batch:
        """Add labels and weights to images, and mix them."""
        labels = self._images.labels[chosen]
        weights = None if self._weights is None else self._weights[chosen]
        if self._mix is None:
            return (images, labels) if weights is None else (images, labels, weights)
        mixed, targets, weights = self._mix.function(images, labels, uniforms, weights)
        return (mixed, targets) if weights is None else (mixed, targets, weights)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_epochs": {}, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def _draw(self, epoch: int) -> _Epoch:
        """Return the random numbers of an epoch; those of the previous epoch are kept, too."""
        with self._lock:
            if epoch not in self._epochs:
                rng = np.random.default_rng((self._seed, epoch))
                count = len(self._images)
                labels = self._images.labels
                order = balanced_order(labels, rng) if self._balanced else rng.permutation(count)
                # An image may have several places in an epoch only if classes are balanced.
                numbers = np.arange(count) if self._balanced else order
                drawn = _Epoch(
                    order,
                    numbers,
                    rng.random((count, self._augment.draws if self._augment else 0)),
                    rng.random((count, self._mix.draws if self._mix else 0)),
                )
                before = {e: d for e, d in self._epochs.items() if e == epoch - 1}
                self._epochs = {**before, epoch: drawn}
            return self._epochs[epoch]


def balanced_order(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a balanced random order of as many images as there are.

    Classes differ by at most one image. No image of a class occurs again before all others of the
    class have occurred as often. Returns places of images in `labels`, (n,).
    """
    classes = np.unique(labels)
    shares = np.full(len(classes), len(labels) // len(classes))
    shares[rng.permutation(len(classes))[: len(labels) % len(classes)]] += 1
    drawn = []
    for label, share in zip(classes, shares, strict=True):
        own = np.flatnonzero(labels == label)
        rounds = [rng.permutation(own) for _ in range(math.ceil(share / len(own)))]
        drawn.append(np.concatenate([own[:0], *rounds])[:share])
    return rng.permutation(np.concatenate(drawn))
