"""Vision transformers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from keras import layers

from hypermodels.base import ImageHyperModel
from hypermodels.blocks import (
    classifier,
    convolutional_stem,
    drop_rates,
    normalize,
    residual_add,
)
from hypermodels.patches import (
    ClassToken,
    LearnedPositions,
    SinCosPositions,
    average_steps,
    channels_last,
    check_patch_size,
    cut_patches,
    patch_grid,
    patch_sizes,
)
from hypermodels.space import Space

MOST_PATCHES = 256
ENOUGH_PATCHES = 49
"""The default patch is the largest that leaves so many: 7×7."""
LARGEST_DEFAULT = 16
"""Pixels of the default patch, at most: larger ones hide what is in them."""
EPSILON = 1e-6


class ViT(ImageHyperModel):
    """The vision transformer (Dosovitskiy et al. 2021).

    Patches of the image, or of the output of convolutions, are projected to `width` features, and
    position embeddings are added. They pass through `depth` encoder blocks: self-attention, then a
    perceptron for each patch, both with a normalisation of the input and a residual connection. The
    default is a small compact convolutional transformer (Hassani et al. 2021), which can be trained
    on a few thousand small images. ViT-S/16, with 22.05 million parameters, is
    `ViT((224, 224, 3), 1000, stem="patches", patch_size=16, width=384, depth=12, heads=6,
    mlp_ratio=4, positions="learned", pooling="class_token")`.

    Hyperparameters:
        stem: Input of the projection: "convolution", the output of 3×3 convolutions with pooling
            that shrink the image by `patch_size`, or "patches" of pixels.
        patch_size: Side of a patch in pixels. By default the largest size, up to 16, with at least
            7×7 patches.
        width, depth, heads: Features per patch, encoder blocks, attention heads; `width` must be a
            multiple of `heads`.
        mlp_ratio: Units of the hidden layer of a perceptron divided by `width`.
        positions: "sincos", fixed sines and cosines of row and column, which are better for small
            data sets (Beyer et al. 2022), or "learned".
        pooling: "average" over all patches, or "class_token", the output for a learned extra token.
        dropout: Share of features dropped after each dense layer.
        stochastic_depth: Probability with which the last block is skipped; it is lower for earlier
            blocks.
    """

    compiling_defaults: ClassVar = {
        "optimizer": "adamw",
        "adaptive_learning_rate": 1e-3,
        "weight_decay": 0.05,
    }

    def architecture(self, space: Space, x: Any) -> Any:
        """Map rescaled images, float (N, height, width, channels), to logits (N, classes)."""
        sizes = patch_sizes(self.input_shape, MOST_PATCHES)
        size = space.choice("patch_size", sizes, default=self._default_size(sizes))
        check_patch_size(self.input_shape, size)
        stem = space.choice("stem", ["convolution", "patches"], default="convolution")
        width = space.choice("width", [64, 96, 128, 192], default=128, rare=[256, 384])
        depth = space.integer("depth", 2, 8, default=4)
        heads = space.choice("heads", [2, 4, 8], default=4)
        _check_heads(width, heads)
        ratio = space.choice("mlp_ratio", [1, 2, 4], default=2)
        positions = space.choice("positions", ["sincos", "learned"], default="sincos")
        pooling = space.choice("pooling", ["average", "class_token"], default="average")
        dropout = space.number("dropout", 0.0, 0.3, default=0.0, step=0.1)
        last_drop = space.number("stochastic_depth", 0.0, 0.3, default=0.0, step=0.1)

        if stem == "convolution":
            x = channels_last(convolutional_stem(x, width, size))
            x = layers.Reshape((math.prod(patch_grid(self.input_shape, size)), width))(x)
        else:
            x = cut_patches(channels_last(x), size)
        x = layers.Dense(width, name="patch_embedding")(x)
        if positions == "sincos":
            # A class token has no place in the image.
            x = SinCosPositions(*patch_grid(self.input_shape, size), name="positions")(x)
        if pooling == "class_token":
            x = ClassToken(name="class_token")(x)
        if positions == "learned":
            x = LearnedPositions(name="positions")(x)
        x = _drop(x, dropout)
        for drop_rate in drop_rates(last_drop, depth):
            x = encoder_block(x, heads, hidden=ratio * width, dropout=dropout, drop_rate=drop_rate)
        x = normalize(x, "layer", epsilon=EPSILON)
        x = x[:, 0] if pooling == "class_token" else average_steps(x)
        return classifier(x, self.classes)

    def _default_size(self, sizes: list[int]) -> int:
        enough = [
            size
            for size in sizes
            if size <= LARGEST_DEFAULT
            and math.prod(patch_grid(self.input_shape, size)) >= ENOUGH_PATCHES
        ]
        return max(enough, default=sizes[0])


def encoder_block(x: Any, heads: int, *, hidden: int, dropout: float, drop_rate: float) -> Any:
    """Self-attention, then a perceptron for each step.

    Each normalises its input first and is added to it.

    Args:
        x: A sequence (batch, steps, features).
        heads: Attention heads; a divisor of the features.
        hidden: Width of the perceptron's hidden layer.
        dropout: Share of features dropped after each dense layer but those of query, key and value.
        drop_rate: Probability with which each of the two branches is skipped while training.

    Returns:
        A sequence of the same shape.
    """
    features = x.shape[-1]
    branch = normalize(x, "layer", epsilon=EPSILON)
    branch = layers.MultiHeadAttention(heads, features // heads)(branch, branch)
    x = residual_add(x, _drop(branch, dropout), drop_rate=drop_rate)
    branch = normalize(x, "layer", epsilon=EPSILON)
    branch = layers.Dense(hidden, activation="gelu")(branch)
    branch = layers.Dense(features)(_drop(branch, dropout))
    return residual_add(x, _drop(branch, dropout), drop_rate=drop_rate)


def _drop(x: Any, rate: float) -> Any:
    return layers.Dropout(rate)(x) if rate else x


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        raise ValueError(
            "`heads` divides `width`: each head gets an equal part of the features. "
            f"Received: width={width}, heads={heads}"
        )
