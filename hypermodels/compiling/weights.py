"""How the kernels of a model start and what holds them small: initializers and regularizers.

Both are set on the finished model, so that no block has to pass them on. They are set on the layers
too, and so are saved with the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from hypermodels.space import Space

INITIALIZERS = {
    "glorot": "glorot_uniform",
    "he": "he_normal",
    "lecun": "lecun_normal",
    "orthogonal": "orthogonal",
}
"""Glorot and Bengio 2010, He et al. 2015, LeCun et al. 1998, Saxe et al. 2014."""
REGULARIZERS = ("l1", "l2", "l1_l2")
KERNELS = (
    ("kernel", "kernel"),
    ("kernel", "depthwise"),
    ("depthwise_kernel", "depthwise"),
    ("pointwise_kernel", "pointwise"),
    ("recurrent_kernel", "recurrent"),
)
"""A layer's attribute for a kernel, and what its arguments for that kernel begin with."""


def condition_weights(space: Space, model: keras.Model) -> None:
    """Initialise and regularise a model's kernels as a space says.

    `initialization`: "auto" is what the blocks chose, by their activation; recurrent kernels and
    models inside the model, which may be pre-trained, and frozen layers always keep their own.
    `regularizer` and its strength `penalty`, λ: "l1" is λ Σ|w|, "l2" λ Σw², "l1_l2" both, added to
    the loss. `max_norm`: the largest norm of the weights that lead to one unit, 0 for any
    (Srivastava et al. 2014, 5.1).

    Args:
        space: Answers for these; by default nothing is changed.
        model: Built, not compiled yet.
    """
    start = space.choice("initialization", ["auto"], default="auto", rare=tuple(INITIALIZERS))
    kind = space.choice("regularizer", ["none"], default="none", rare=REGULARIZERS)
    with space.when("regularizer", REGULARIZERS):
        penalty = space.number("penalty", 1e-6, 1e-2, default=1e-4, log=True)
    max_norm = space.choice("max_norm", [0.0], default=0.0, rare=[2.0, 3.0, 4.0])
    if start != "auto":
        for layer, variable, prefix in _kernels(_own_layers(model)):
            if prefix != "recurrent" and layer.trainable:
                initializer = keras.initializers.get(INITIALIZERS[start])
                setattr(layer, f"{prefix}_initializer", initializer)
                variable.assign(initializer(variable.shape, dtype=variable.dtype))
    for layer, variable, prefix in _kernels(model._flatten_layers()):
        if kind != "none":
            variable.regularizer = _regularizer(kind, penalty)
            setattr(layer, f"{prefix}_regularizer", variable.regularizer)
        if max_norm:
            axes = _incoming_axes(variable, prefix)
            variable.constraint = keras.constraints.MaxNorm(max_norm, axis=axes)
            setattr(layer, f"{prefix}_constraint", variable.constraint)


def _regularizer(kind: str, penalty: float) -> keras.regularizers.Regularizer:
    return keras.regularizers.L1L2(
        l1=penalty if kind != "l2" else 0.0, l2=penalty if kind != "l1" else 0.0
    )


def _incoming_axes(kernel: keras.Variable, prefix: str) -> list[int]:
    """The axes of the weights that lead to one unit."""
    units = 2 if prefix == "depthwise" else 1
    return list(range(len(kernel.shape) - units))


def _own_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model, but not those of models inside it."""
    for layer in model.layers:
        if not isinstance(layer, keras.Model):
            yield from layer._flatten_layers()


def _kernels(
    layers: Any,
) -> Iterator[tuple[keras.layers.Layer, keras.Variable, str]]:
    """Layer, kernel and prefix of its arguments, for every kernel."""
    for layer in layers:
        for attribute, prefix in KERNELS:
            if hasattr(layer, f"{prefix}_initializer"):
                kernel = getattr(layer, attribute, None)
                if isinstance(kernel, keras.Variable):
                    yield layer, kernel, prefix
