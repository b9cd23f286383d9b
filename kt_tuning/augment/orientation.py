"""Whether mirror images still show their class, decided by a small classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIDE = 14
"""Largest number of pixels per side; larger images are reduced to it."""
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
"""Penalties of the ridge classifier, chosen by leave-one-out errors; pixels are from 0 to 1."""
LOST, SIGNIFICANCE = 0.3, 1e-3
"""Mirror images lose their class if at least this share of the accuracy beyond guessing is lost on
them, and the p-value of McNemar's test is smaller than this."""


def loses_class_mirrored(images: NDArray[np.uint8], labels: ArrayLike) -> bool:
    """Return whether mirroring turns images of a class into something else, as it does with digits.

    A ridge classifier learns the classes from the coarse pixels of one half of the images, and is
    applied to the other half, unchanged and mirrored (left to right). If it is right about
    significantly fewer mirror images, such images should not be mirrored in training. If it cannot
    tell the classes apart, the answer is False.

    Args:
        images: uint8 (N, H, W, C); a few hundred are enough.
        labels: (N,) integers.

    Source: McNemar (1947), "Note on the sampling error of the difference between correlated
    proportions or percentages"; the exact binomial form.
    """
    # Deferred: they take a second to import, and augmentation does not need them.
    from scipy.stats import binomtest
    from sklearn.linear_model import RidgeClassifierCV

    pixels, truth = _reduced(images) / 255, np.asarray(labels)
    order = np.random.default_rng(0).permutation(len(truth))
    learned, asked = order[::2], order[1::2]
    if len(np.unique(truth[learned])) < 2 or not len(asked):
        return False
    model = RidgeClassifierCV(alphas=PENALTIES)
    model.fit(pixels[learned].reshape(len(learned), -1), truth[learned])
    plain, mirrored = (
        model.predict(shown.reshape(len(asked), -1)) == truth[asked]
        for shown in (pixels[asked], pixels[asked][:, :, ::-1])
    )
    guessed = np.bincount(np.unique(truth[asked], return_inverse=True)[1]).max() / len(asked)
    known = plain.mean() - guessed
    lost, gained = int((plain & ~mirrored).sum()), int((mirrored & ~plain).sum())
    if known <= 0 or plain.mean() - mirrored.mean() < LOST * known:
        return False
    return bool(binomtest(lost, lost + gained, alternative="greater").pvalue < SIGNIFICANCE)


def _reduced(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images reduced to at most `SIDE` pixels a side, as means of blocks."""
    means: NDArray[Any] = images
    for axis in (1, 2):
        size = images.shape[axis]
        if size > SIDE:
            edges = np.linspace(0, size, SIDE, endpoint=False).astype(int)
            counts = np.diff([*edges, size]).reshape([-1 if a == axis else 1 for a in range(4)])
            means = np.add.reduceat(means, edges, axis=axis, dtype=np.float32) / counts
    return means.astype(np.float32)
