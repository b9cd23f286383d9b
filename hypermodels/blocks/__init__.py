"""Building blocks of image models: tensor in, tensor out, on any Keras backend."""

from hypermodels.blocks.convolution import (
    ACTIVATIONS,
    activate,
    channel_axis,
    convolution,
    initializer,
    pool,
    spatial_size,
    subsample,
)
from hypermodels.blocks.normalization import MISSING_NORMS, NORMS, needs_bias, normalize
from hypermodels.blocks.residual import (
    drop_rates,
    residual_add,
    shortcut,
    squeeze_excite,
    stochastic_depth,
)
from hypermodels.blocks.stem_and_head import classifier, convolutional_stem, whiten

__all__ = [
    "ACTIVATIONS",
    "MISSING_NORMS",
    "NORMS",
    "activate",
    "channel_axis",
    "classifier",
    "convolution",
    "convolutional_stem",
    "drop_rates",
    "initializer",
    "needs_bias",
    "normalize",
    "pool",
    "residual_add",
    "shortcut",
    "spatial_size",
    "squeeze_excite",
    "stochastic_depth",
    "subsample",
    "whiten",
]
