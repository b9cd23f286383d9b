"""Images as sequences: cut into patches, with a place for each of them."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from hypermodels.blocks import channel_axis

FEWEST_PATCHES = 16


def channels_last(x: Any) -> Any:
    """Feature maps as (batch, height, width, channels), whatever Keras' image format is."""
    return x if channel_axis() == -1 else layers.Permute((2, 3, 1))(x)


def average_steps(x: Any) -> Any:
    """The mean of a sequence, (batch, steps, features) -> (batch, features)."""
    # Keras would take the steps for features where images have their channels first.
    return layers.GlobalAveragePooling1D(data_format="channels_last")(x)


def patch_grid(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Rows and columns of patches that cover an image.

    Args:
        shape: (height, width, …) of the image, in pixels.
        size: Side of a patch, in pixels.
    """
    return math.ceil(shape[0] / size), math.ceil(shape[1] / size)


def patch_sizes(shape: tuple[int, ...], most: int) -> list[int]:
    """Sides of patches that fit an image: powers of two that give 16 to `most` patches.

    Args:
        shape: (height, width, …) of the image, in pixels.
        most: Patches, at most.

    Returns:
        At least one side, in pixels, smallest first: that which comes closest if none fits.
    """
    sizes = [2**power for power in range(min(shape[:2]).bit_length())]
    fitting = [s for s in sizes if FEWEST_PATCHES <= math.prod(patch_grid(shape, s)) <= most]
    if fitting:
        return fitting
    return sizes[:1] if math.prod(patch_grid(shape, 1)) < FEWEST_PATCHES else sizes[-1:]


def check_patch_size(shape: tuple[int, ...], size: int) -> None:
    """Refuse a patch that is no part of the image.

    Raises:
        ValueError: if `size` is below 1 or above the image's shorter side.
    """
    if not 1 <= size <= min(shape[:2]):
        raise ValueError(
            f"`patch_size` is 1 to {min(shape[:2])} pixels for images of {shape[0]}×{shape[1]}. "
            f"Received: patch_size={size}"
        )


def cut_patches(x: Any, size: int) -> Any:
    """Cut images into square patches, row by row.

    Where `size` does not divide the image, it is padded with zeros on the right and below.

    Args:
        x: Images (batch, height, width, channels), channels last.
        size: Side of a patch, in pixels.

    Returns:
        Patches (batch, patches, size · size · channels).
    """
    _, height, width, channels = x.shape
    rows, columns = patch_grid((height, width), size)
    missing = (rows * size - height, columns * size - width)
    if any(missing):
        x = layers.ZeroPadding2D(((0, missing[0]), (0, missing[1])), data_format="channels_last")(x)
    x = layers.Reshape((rows, size, columns, size * channels))(x)
    x = layers.Permute((1, 3, 2, 4))(x)
    return layers.Reshape((rows * columns, size * size * channels))(x)


@keras.saving.register_keras_serializable(package="hypermodels")
class LearnedPositions(layers.Layer):
    """Adds a learned vector to each place of a sequence (batch, steps, features)."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the vectors, (1, steps, features)."""
        self.position = self.add_weight(
            shape=(1, *input_shape[1:]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="position",
        )

    def call(self, inputs: Any) -> Any:
        """Return the sequence with its places in it."""
        return inputs + self.position

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape


@keras.saving.register_keras_serializable(package="hypermodels")
class SinCosPositions(layers.Layer):
    """Adds sines and cosines of row and column to a grid of patches; nothing is learned.

    A quarter of the features each has sin(column · ω), cos(column · ω), sin(row · ω) and
    cos(row · ω), with ω = 10000^(-4i / features) (Vaswani et al. 2017, in two dimensions as in
    Chen et al. 2021).

    Args:
        rows: Rows of the grid.
        columns: Columns of the grid; rows · columns are the steps of the sequence.
    """

    def __init__(self, rows: int, columns: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows = rows
        self.columns = columns

    def call(self, inputs: Any) -> Any:
        """Return the sequence (batch, rows · columns, features) with its places in it."""
        table = sin_cos_table(self.rows, self.columns, inputs.shape[-1])
        return inputs + ops.cast(table, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving."""
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}


def sin_cos_table(rows: int, columns: int, features: int) -> Any:
    """The values that `SinCosPositions` adds, (rows · columns, features).

    Raises:
        ValueError: if `features` is no multiple of 4.
    """
    if features % 4:
        raise ValueError(
            "Sine-cosine positions need a `width` that is a multiple of 4. "
            f"Received: width={features}"
        )
    step = ops.arange(rows * columns)
    exponent = ops.arange(features // 4, dtype="float32") / (features // 4)
    frequency = 10_000.0**-exponent
    angles = [
        ops.outer(ops.cast(place, "float32"), frequency)
        for place in (step % columns, step // columns)
    ]
    return ops.concatenate([wave(a) for a in angles for wave in (ops.sin, ops.cos)], axis=1)


@keras.saving.register_keras_serializable(package="hypermodels")
class ClassToken(layers.Layer):
    """Puts a learned step before a sequence (batch, steps, features), to be read as its summary.

    As in Dosovitskiy et al. 2021 and Devlin et al. 2019.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the step, (1, 1, features)."""
        self.class_token = self.add_weight(
            shape=(1, 1, input_shape[-1]), initializer="zeros", name="class_token"
        )

    def call(self, inputs: Any) -> Any:
        """Return (batch, 1 + steps, features)."""
        shape = (ops.shape(inputs)[0], 1, inputs.shape[-1])
        return ops.concatenate([ops.broadcast_to(self.class_token, shape), inputs], axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """One step more."""
        batch, steps, features = input_shape
        return (batch, None if steps is None else steps + 1, features)
