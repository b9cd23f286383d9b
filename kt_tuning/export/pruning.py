"""Magnitude pruning: the smallest weights become zero, and fine-tuning adapts the others."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import OptionError

if TYPE_CHECKING:
    import keras

ROUNDS = 4
_POWER = 3


@dataclasses.dataclass(frozen=True)
class Pruned:
    """The result of pruning.

    Attributes:
        sparsity: Share of the kernels' weights that are zero.
        weights: Number of weights in all kernels.
        by_kernel: Share of zeros in each kernel, by its path in the model.
    """

    sparsity: float
    weights: int
    by_kernel: dict[str, float]


def prune(
    model: keras.Model,
    fit: Callable[[keras.Model, int], object],
    *,
    sparsity: float = 0.8,
    rounds: int = ROUNDS,
) -> Pruned:
    """Set the least important weights of all kernels to zero, in rounds of fine-tuning.

    In round r of R the share of zeros is s (1 - (1 - r/R)^3): most weights are removed early, while
    training can still adapt the others. Weights are ranked across layers by their square over that
    of all larger ones of their kernel, so that no kernel loses all. Biases and normalisation are
    not pruned.

    Args:
        model: Changed in place. Kernels are its trainable weights of that name (also
            "depthwise_kernel" and the like) with two dimensions or more.
        fit: Called with the model and the round, from 0, to train it; zero weights remain zero.
        sparsity: Final share of the kernels' weights that are zero, in (0, 1).
        rounds: At least 1.

    Raises:
        OptionError: if an argument is out of range, or the model has no kernels.

    Source: Zhu and Gupta (2017), "To prune, or not to prune", equation 1; Lee, Park, Mo, Ahn and
    Shin (2021), "Layer-adaptive sparsity for the magnitude-based pruning", equation 5.
    """
    if not 0 < sparsity < 1 or rounds < 1:
        raise OptionError(
            "`sparsity` is a share between 0 and 1, and `rounds` at least 1. "
            f"Received: sparsity={sparsity}, rounds={rounds}"
        )
    kernels = [
        weight
        for weight in model.trainable_weights
        if weight.name.endswith("kernel") and len(weight.shape) >= 2
    ]
    if not kernels:
        raise OptionError(f"The model {model.name!r} has no trainable kernels to prune.")
    with _masked(kernels) as masks:
        for number in range(rounds):
            share = sparsity * (1 - (1 - (number + 1) / rounds) ** _POWER)
            values = [kernel.numpy() for kernel in kernels]
            for kernel, mask, value, keep in zip(
                kernels, masks, values, keep_largest(values, share), strict=True
            ):
                mask.assign(keep)
                kernel.assign(value * keep)
            fit(model, number)
    values = [kernel.numpy() for kernel in kernels]
    total = sum(value.size for value in values)
    return Pruned(
        sparsity=sum(int((value == 0).sum()) for value in values) / total,
        weights=total,
        by_kernel={
            kernel.path: float((value == 0).mean())
            for kernel, value in zip(kernels, values, strict=True)
        },
    )


def keep_largest(
    kernels: Sequence[NDArray[np.floating[Any]]], share: float
) -> list[NDArray[np.float32]]:
    """Choose the weights to keep, across kernels.

    Args:
        kernels: Of any shapes.
        share: How many to drop, of all of them; in [0, 1).

    Returns:
        Of each kernel's shape: 1 to keep, 0 to drop.
    """
    scores = [_scores(kernel) for kernel in kernels]
    joined = np.concatenate([score.ravel() for score in scores])
    keep = np.ones(joined.size, np.float32)
    keep[np.argsort(joined, kind="stable")[: round(share * joined.size)]] = 0
    ends = np.cumsum([score.size for score in scores])[:-1]
    parts = np.split(keep, ends)
    return [part.reshape(kernel.shape) for part, kernel in zip(parts, kernels, strict=True)]


def _scores(kernel: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return w² over the sum of all squares that are not smaller; 1 for the largest weight."""
    squares = kernel.astype(np.float64).ravel() ** 2
    order = np.argsort(squares, kind="stable")
    sorted_squares = squares[order]
    larger = np.cumsum(sorted_squares[::-1])[::-1]
    scores = np.empty_like(squares)
    scores[order] = sorted_squares / np.maximum(larger, np.finfo(np.float64).tiny)
    return scores.reshape(kernel.shape)


@contextlib.contextmanager
def _masked(kernels: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield masks by which every training step multiplies the kernels."""
    import keras

    masks = [
        keras.Variable(np.ones(kernel.shape, np.float32), trainable=False, dtype="float32")
        for kernel in kernels
    ]
    constraints = [kernel.constraint for kernel in kernels]
    try:
        for kernel, mask, constraint in zip(kernels, masks, constraints, strict=True):
            kernel.constraint = _product(mask, constraint)
        yield masks
    finally:
        for kernel, mask, constraint in zip(kernels, masks, constraints, strict=True):
            kernel.constraint = constraint
            # `fit` may have set other weights at its end: averages, or those of the best epoch.
            kernel.assign(kernel.numpy() * mask.numpy())


def _product(mask: Any, constraint: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    import keras

    # Keras before 3.15 takes no plain function as a constraint.
    class Masked(keras.constraints.Constraint):
        def __call__(self, weights: Any) -> Any:
            constrained = weights if constraint is None else constraint(weights)
            return constrained * keras.ops.cast(mask, weights.dtype)

    return Masked()
