"""Features of several augmented views of each training image, computed once."""

from __future__ import annotations

import hashlib
import json
import time

import numpy as np
from numpy.typing import NDArray

from kt_tuning.augment import Policy, augment
from kt_tuning.data import ImageSplit
from kt_tuning.features.cache import Extractor, FeatureCache

MOST_VIEWS = 8
"""Views of an image, at most; the first one is the image itself."""
MEMORY = 768 << 20
"""Bytes that the features of all views may take in memory; fewer views if they would take more."""
SEED = 0
"""Of the views: all trials share them."""


class Views:
    """Features of views of a split's images, as the images of `kt_tuning.data.batches.Batches`.

    `take` returns places of images, of which `choose` makes features: of one view of each.

    Args:
        split: The training images.
        extractor: The frozen network.
        cache: Of the features.
        policy: Makes the views; with one that does nothing there is one view.
        until: Value of `time.monotonic()` after which no further view is begun.

    Attributes:
        labels: (n,) int64.
        shape: (n, height, width, channels) or (n, width): that of the features.
    """

    def __init__(
        self,
        split: ImageSplit,
        extractor: Extractor,
        cache: FeatureCache,
        policy: Policy,
        *,
        until: float | None = None,
    ) -> None:
        self.labels = split.labels

        def features(view: int) -> NDArray[np.float16]:
            seen = _View(split, extractor, policy, view)
            return cache.of(seen, seen).astype(np.float16)

        views = [features(0)]
        self.shape = views[0].shape
        count = min(MOST_VIEWS, max(1, MEMORY // views[0].nbytes)) if policy.steps else 1
        while len(views) < count and (until is None or time.monotonic() < until):
            views.append(features(len(views)))
        self._features = views

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places themselves, for `choose`."""
        return indices

    def choose(
        self, indices: NDArray[np.int64], uniforms: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Return features of one view of each image.

        Args:
            indices: (m,) places of images.
            uniforms: (m, 1) in [0, 1).
        """
        views = (uniforms[:, 0] * len(self._features)).astype(np.int64)
        found = np.empty((len(indices), *self.shape[1:]), np.float32)
        for view in np.unique(views):
            of_view = views == view
            found[of_view] = self._features[view][indices[of_view]]
        return found


class _View:
    """A split as one view shows it, and the network under a digest of its own."""

    def __init__(self, split: ImageSplit, extractor: Extractor, policy: Policy, view: int) -> None:
        self.index = split.index
        self._split = split
        self._extractor = extractor
        self._policy = policy if view else Policy()
        self._view = view
        recipe = json.dumps([self._policy.to_json(), view, SEED], sort_keys=True)
        key = f"{extractor.digest} {recipe}"
        self.digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self._split)

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return these images of the view."""
        images = self._split.take(indices)
        if not self._policy.steps:
            return images
        draws = [
            np.random.default_rng((SEED, self._view, int(place))).random(self._policy.draws)
            for place in self.index[indices]
        ]
        return augment(self._policy, images, np.stack(draws))

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features (n, …) of images of the view."""
        return self._extractor.features(images)
