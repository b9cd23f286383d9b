"""Convolutional networks, from a single stage to a small residual network."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from keras import layers

from hypermodels.base import ImageHyperModel
from hypermodels.blocks import (
    ACTIVATIONS,
    MISSING_NORMS,
    NORMS,
    activate,
    classifier,
    convolution,
    drop_rates,
    needs_bias,
    normalize,
    pool,
    residual_add,
    shortcut,
    spatial_size,
    squeeze_excite,
    whiten,
)
from hypermodels.space import Space

PADDINGS = ("same", "valid")
POOLINGS = ("max", "average", "strides")
HEADS = ("global_average", "flatten")
MOST_STAGES = 4
MOST_GROWTH = 4
"""Channels of a stage as a multiple of those of the first one, at most."""
SMALLEST_MAP = 4
SMALL_IMAGE = 64
"""Pixels of the shorter side up to which there is no stem."""
LARGE_IMAGE = 128
"""Pixels of the shorter side from which the stem shrinks it by 4 instead of 2."""
SMALLEST_KERNEL = 3
"""Pixels of a side of the stem's kernel, at least."""


class ConvNet(ImageHyperModel):
    """Stages of convolution blocks; each stage halves height and width.

    A block is a sequence of `convs` convolutions, each followed by a normalisation and an
    activation; with `residual` the input of the block is added to its output, through a 1×1
    projection if their shapes differ (He et al. 2016). The default has about 0.5 million parameters
    (514,866 for 32×32 RGB images and 10 classes) and follows airbench's network (Jordan 2024, arXiv
    2404.00498): 32 channels in the first of three stages and four times as many in the others, SiLU
    activations, pooling after the first convolution of a stage, and whitened pixels.

    Images of more than 64 pixels are first shrunk by a stem, since the first stages would otherwise
    be expensive: a 3×3 convolution with `filters` channels and stride 2, or for images of at least
    128 pixels a 4×4 convolution with stride 4. The pixels of smaller images are whitened, see
    `hypermodels.blocks.whiten`.

    `stem`, `whitening`, `stages`, `growth`, `activation`, `residual`, `padding`, `early_pooling`,
    `head`, `dense_units`, `dropout` and `stochastic_depth` are shared by all stages. Each of the
    others can be fixed as a tuple with one value per stage, or be searched separately for each
    stage, as with `per_stage=("filters",)`. `whitening`, `early_pooling`, `strides`, `groups`,
    `squeeze_excite` and `stochastic_depth`, most kinds of `norm` and 7×7 kernels are searched only
    with `space="wide"`.

    Hyperparameters:
        stem: Factor by which the stem shrinks height and width, 1 for no stem; not searched. By
            default 1 if the shorter side has at most 64 pixels, 4 from 128 pixels on, else 2.
        whitening: Whether most of the correlation of neighbouring pixels is removed first; the
            default is True if there is no stem.
        stages, blocks, convs: Number of stages, of blocks per stage, of convolutions per block.
        filters: Channels of the first stage.
        growth: Factor by which the number of channels grows from one stage to the next, up to four
            times that of the first stage; not used if `filters` has a value for every stage.
        widen: Factor by which the last convolution of a block has more channels than the others.
        kernel_size, separable, norm: Kernel size in pixels, kind (depthwise-separable or plain) and
            normalisation of all convolutions; norm is one of "none", "batch", "layer", "group",
            "local_response", "batch_renorm".
        activation: Activation after all convolutions.
        residual: Whether the input of a block is added to its output.
        padding: "same" or "valid" (without `residual`; "same" if a feature map is too small).
        pooling: "max", "average" or "strides" (the last convolution of the stage is strided).
        early_pooling: Whether a stage is pooled after the first convolution of its last block,
            before its normalisation, rather than after the last convolution. Not with "strides".
        head: "global_average" or "flatten" (the last stage is then pooled, too), which is the
            default if there is no stem.
        dense_units: Units of a hidden dense layer, 0 for none.
        dropout: Share of features dropped before the classifier.
        strides: Factor by which a stage shrinks height and width; 2 by default.
        groups: Groups of channels of plain convolutions; 1 by default.
        squeeze_excite: Reduction ratio of the channel attention in each block (Hu et al. 2018), 0
            for none.
        stochastic_depth: Rate at which the last residual block is dropped; it is lower for earlier
            blocks (Huang et al. 2016).
    """

    def architecture(self, space: Space, x: Any) -> Any:
        """Map rescaled images, float (N, height, width, channels), to logits (N, classes)."""
        side = min(self.input_shape[:2])
        usual = 1 if side <= SMALL_IMAGE else 2 if side < LARGE_IMAGE else 4
        stem = space.choice("stem", [usual], default=usual)
        halvings = int(math.log2(max(2, side / stem / SMALLEST_MAP)))
        most = min(MOST_STAGES, halvings + 1)
        stages = space.stages(most, default=3)
        settings = [_StageSettings.ask(space, stage) for stage in range(most)][:stages]
        head = space.choice("head", HEADS, default="flatten" if stem == 1 else "global_average")
        with space.when("residual", [True]):
            drop_rate = space.number("stochastic_depth", 0.0, 0.3, default=0.0, step=0.1, rare=True)
        rates = iter(drop_rates(drop_rate or 0.0, sum(setting.blocks for setting in settings)))
        if space.boolean("whitening", default=stem == 1, rare=True):
            x = whiten(x)
        x = _stem(x, stem, settings[0])
        for setting in settings:
            shrinks = head == "flatten" or setting is not settings[-1]
            for block in range(setting.blocks):
                ends_stage = block == setting.blocks - 1
                factor = setting.strides if ends_stage and shrinks else 1
                x = _block(x, setting, factor=factor, drop_rate=next(rates))
        x = layers.GlobalAveragePooling2D()(x) if head == "global_average" else layers.Flatten()(x)
        return classifier(
            x,
            self.classes,
            dense_units=space.choice("dense_units", [0, 32, 128, 512], default=0),
            dropout=space.number("dropout", 0.0, 0.5, default=0.0, step=0.1),
            activation=settings[0].activation,
        )


@dataclasses.dataclass(frozen=True)
class _StageSettings:
    """The hyperparameters of one stage."""

    blocks: int
    convs: int
    filters: int
    widen: int
    kernel_size: int
    activation: str
    residual: bool
    norm: str
    separable: bool
    padding: str
    pooling: str
    strides: int
    groups: int
    squeeze_excite: int
    early_pooling: bool

    @classmethod
    def ask(cls, space: Space, stage: int) -> _StageSettings:
        residual = space.boolean("residual", default=False)
        with space.when("residual", [False]):
            padding = space.choice("padding", PADDINGS, default="same")
        growth = space.choice("growth", [1, 2, 4], default=4)
        filters = space.choice("filters", [16, 32, 64, 128], default=32, stage=stage)
        if not space.by_stage("filters"):
            filters *= min(growth**stage, MOST_GROWTH)
        return cls(
            blocks=space.integer("blocks", 1, 3, default=1, stage=stage),
            convs=space.integer("convs", 1, 2, default=2, stage=stage),
            filters=filters,
            widen=space.choice("widen", [1, 2], default=1, stage=stage),
            kernel_size=space.choice("kernel_size", [3, 5], default=3, stage=stage, rare=[7]),
            activation=space.choice("activation", ACTIVATIONS[:-1], "silu", rare=ACTIVATIONS[-1:]),
            residual=residual,
            norm=space.choice(
                "norm",
                ["batch", "none"],
                "batch",
                stage,
                rare=NORMS,
                missing=MISSING_NORMS,
            ),
            separable=space.boolean("separable", default=False, stage=stage),
            padding=padding or "same",
            pooling=space.choice("pooling", POOLINGS, default="max", stage=stage),
            strides=space.choice("strides", [2], default=2, stage=stage, rare=[1, 4]),
            groups=space.choice("groups", [1], default=1, stage=stage, rare=[2, 4]),
            squeeze_excite=space.choice("squeeze_excite", [0], 0, stage, rare=[4, 16]),
            early_pooling=space.boolean("early_pooling", default=True, rare=True),
        )


def _stem(x: Any, factor: int, setting: _StageSettings) -> Any:
    """Shrink images by one convolution, of patches that do not overlap where `factor` is 4."""
    if factor == 1:
        return x
    x = convolution(
        x,
        setting.filters,
        max(SMALLEST_KERNEL, factor),
        strides=factor,
        use_bias=needs_bias(setting.norm),
        activation=setting.activation,
    )
    return activate(normalize(x, setting.norm), setting.activation)


def _block(x: Any, setting: _StageSettings, *, factor: int, drop_rate: float) -> Any:
    """Convolutions, then downsampling, then the residual sum."""
    inputs = x
    factor = min(factor, *spatial_size(x))
    strided = factor > 1 and setting.pooling == "strides"
    pools_early = factor > 1 and setting.early_pooling and not strided
    for index in range(setting.convs):
        last = index == setting.convs - 1
        x = convolution(
            x,
            setting.filters * (setting.widen if last else 1),
            setting.kernel_size,
            strides=factor if strided and last else 1,
            padding=setting.padding if min(spatial_size(x)) > setting.kernel_size else "same",
            separable=setting.separable,
            groups=setting.groups,
            use_bias=needs_bias(setting.norm),
            activation=setting.activation,
        )
        if pools_early and index == 0 and min(spatial_size(x)) >= factor:
            x = pool(x, setting.pooling, setting.padding, size=factor)
        x = normalize(x, setting.norm)
        if not (last and setting.residual):
            x = activate(x, setting.activation)
    if factor > 1 and not (strided or pools_early) and min(spatial_size(x)) >= factor:
        x = pool(x, setting.pooling, setting.padding, size=factor)
    if setting.squeeze_excite:
        x = squeeze_excite(x, setting.squeeze_excite)
    if setting.residual:
        passed = shortcut(inputs, x, factor, norm=setting.norm)
        x = activate(residual_add(passed, x, drop_rate=drop_rate), setting.activation)
    return x
