"""Metrics that are the mean of one number a row: (labels (N,), probabilities (N, C)) -> (N,)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

EPSILON = 1e-7
"""Smallest probability that a logarithm is taken of: one wrong row costs 16.1 nats at most."""


def correct(labels: Labels, probabilities: Floats) -> Floats:
    """Return 1 where the most probable class is the truth, the first one of equals."""
    return (probabilities.argmax(axis=1) == labels).astype(np.float64)


def among_top(labels: Labels, probabilities: Floats, k: int) -> Floats:
    """Return 1 where fewer than `k` classes are ahead of the truth.

    Of equally probable classes the first is ahead, as in `correct`: among the top 1 is correct.
    """
    of_truth = probabilities[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    ahead = (probabilities > of_truth) | ((probabilities == of_truth) & earlier)
    return (ahead.sum(axis=1) < k).astype(np.float64)


def log_losses(labels: Labels, probabilities: Floats) -> Floats:
    """Return -log p of the truth, in nats."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.clip(of_truth, EPSILON, 1.0))


def squared_errors(labels: Labels, probabilities: Floats) -> Floats:
    """Return the sum over classes of (p_c - [c is the truth])^2.

    Source: Brier (1950), the multi-class original.
    """
    errors = probabilities.astype(np.float64)
    errors[np.arange(len(labels)), labels] -= 1.0
    return np.einsum("nc,nc->n", errors, errors)
