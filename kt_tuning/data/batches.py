"""Batches of a split, shuffled and augmented afresh each epoch."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Batch = tuple[NDArray[Any], ...]
"""(images, labels) or (images, labels, weights)."""

RUN_PIXELS = 2**19
"""Batches are made together as long as they have no more pixels: calls for a batch of small images
take as long as their work."""


class Images(Protocol):
    """What `Batches` needs of an `ImageSplit`."""

    labels: NDArray[np.int64]

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Images at `indices`, uint8 (n, height, width, channels), or what `augment` takes."""


class Random(NamedTuple):
    """A function of images and of random numbers.

    Attributes:
        function: Takes, among others, uniform numbers in [0, 1), (n, draws).
        draws: How many of them it needs for each image.
    """

    function: Callable[..., Any]
    draws: int


@dataclasses.dataclass(frozen=True)
class _Epoch:
    """What is drawn for an epoch.

    Attributes:
        order: Images by place.
        numbers: Rows of `augment` and `mix` by place.
        augment: Uniform numbers, (rows, draws).
        mix: Likewise.
    """

    order: NDArray[np.int64]
    numbers: NDArray[np.int64]
    augment: NDArray[np.float64]
    mix: NDArray[np.float64]


class Batches:
    """Training batches, each a function of its epoch, place and size.

    The order of images and what is drawn for each depend on (seed, epoch, image) alone: not on
    threads, batch size or restarts. What images are mixed with depends on their batch, too.

    Args:
        images: The training split.
        batch_size: Images a batch, unless `read` is told otherwise; the last batch of an epoch may
            be smaller.
        seed: Seed of the order and of all that is drawn.
        balanced: Whether each epoch draws as many images of every class, see `balanced_order`. An
            image that comes twice is augmented differently each time.
        augment: (images (n, H, W, C), uniforms) -> images, or None.
        mix: (images, labels, uniforms, weights) -> (images, targets (n, classes), weights), where
            weights may be None; or None.
        class_weight: Weight of the loss by label, or None for all alike.
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
        """Batches in an epoch, if each has so many images."""
        return math.ceil(len(self._images) / batch_size)

    def run_length(self, batch_size: int) -> int:
        """Batches in a run, see `read_run`, if each has so many images."""
        height, width = self._images.shape[1:3]
        return max(1, RUN_PIXELS // (batch_size * height * width))

    def read(self, epoch: int, index: int, batch_size: int | None = None) -> Batch:
        """Make a batch; several threads may do so at the same time.

        Args:
            epoch: Counted from 0.
            index: Place in the epoch, from 0.
            batch_size: Images a batch, in place of the usual number.
        """
        return self._make(epoch, index, 1, batch_size or self.batch_size)[0]

    def read_run(self, epoch: int, run: int, batch_size: int | None = None) -> list[Batch]:
        """Make several batches that follow each other, the same as `read` does.

        Args:
            epoch: Counted from 0.
            run: Its place in the epoch, from 0; the last one of an epoch may be shorter.
            batch_size: As for `read`.
        """
        size = batch_size or self.batch_size
        length = self.run_length(size)
        return self._make(epoch, run * length, length, size)

    def _make(self, epoch: int, first: int, count: int, size: int) -> list[Batch]:
        """Make up to `count` batches from the one at `first` on, of `size` images each."""
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
        """A batch of these images, mixed."""
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
        """Draw for an epoch, once; the one before it is kept, its last batches may be wanted."""
        with self._lock:
            if epoch not in self._epochs:
                rng = np.random.default_rng((self._seed, epoch))
                count = len(self._images)
                order = self._order(rng)
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

    def _order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        if self._balanced:
            return balanced_order(self._images.labels, rng)
        return rng.permutation(len(self._images))


def balanced_order(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many images as there are, of each class alike, in random order.

    Classes differ by one image at most, where their number does not divide that of the images. No
    image of a class comes once more before all others of it have come as often.

    Args:
        labels: (n,), of all images.
        rng: Source of randomness.

    Returns:
        Places of images in `labels`, (n,).
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
