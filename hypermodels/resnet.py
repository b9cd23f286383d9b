"""Residual networks (He et al. 2016a, 2016b), from eight layers to the published ones."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import layers

from hypermodels.base import ImageHyperModel
from hypermodels.blocks import (
    activate,
    classifier,
    convolution,
    drop_rates,
    needs_bias,
    normalize,
    pool,
    residual_add,
    spatial_size,
    squeeze_excite,
)
from hypermodels.space import Space

BLOCKS = ("basic", "bottleneck")
STEMS = ("small", "large")
MOST_STAGES = 4
EXPANSION = 4
"""Channels that a bottleneck block ends with, as a multiple of those inside it."""
LARGE_IMAGE = 96
"""Pixels of the shorter side from which the large-image stem is the default."""
SMALLEST_MAP = 4
"""Pixels of the shorter side below which no stage shrinks its maps."""
SQUEEZE_RATIO = 8

DEPTHS: dict[int, dict[str, Any]] = {
    # For 32×32 pixels, 6n + 2 layers (He et al. 2016a, section 4.2).
    8: {"block": "basic", "filters": 16, "stages": 3, "blocks": 1},
    14: {"block": "basic", "filters": 16, "stages": 3, "blocks": 2},
    20: {"block": "basic", "filters": 16, "stages": 3, "blocks": 3},
    32: {"block": "basic", "filters": 16, "stages": 3, "blocks": 5},
    56: {"block": "basic", "filters": 16, "stages": 3, "blocks": 9},
    110: {"block": "basic", "filters": 16, "stages": 3, "blocks": 18},
    # For ImageNet (the same, table 1).
    18: {"block": "basic", "filters": 64, "stages": 4, "blocks": 2},
    34: {"block": "basic", "filters": 64, "stages": 4, "blocks": (3, 4, 6, 3)},
    50: {"block": "bottleneck", "filters": 64, "stages": 4, "blocks": (3, 4, 6, 3)},
    101: {"block": "bottleneck", "filters": 64, "stages": 4, "blocks": (3, 4, 23, 3)},
    152: {"block": "bottleneck", "filters": 64, "stages": 4, "blocks": (3, 8, 36, 3)},
}
"""Published numbers of layers -> the hyperparameters that `depth` fixes."""


class ResNet(ImageHyperModel):
    """A stem, stages of residual blocks, global average pooling and a dense layer.

    `ResNet(shape, 10, depth=18)` fixes a published layout (He et al. 2016a), and further keywords
    change it: `depth=50, filters=16` is a quarter as wide. Without `depth` the layout is searched,
    with sizes that can be trained within minutes on a few processors. Each stage doubles the number
    of channels and halves height and width, as long as 4 pixels remain.

    Hyperparameters:
        stages, blocks: Number of stages, and of blocks per stage; `blocks=(3, 4, 6, 3)` fixes the
            number for each stage.
        block: "basic" (two 3×3 convolutions) or "bottleneck" (1×1, 3×3 and 1×1, four times as
            wide).
        filters: Channels of the first stage, the width of the whole network; 64 in the paper.
        stem: "small" (3×3) or "large" (7×7 with stride 2, then max-pooling); not searched unless
            `space="wide"`. By default "large" if the shorter side has at least 96 pixels.
        preactivation: Whether normalisation and activation come before each convolution, and none
            after the sum (He et al. 2016b).
        activation, norm: Activation and normalisation of all convolutions.
        squeeze_excite: Whether each block ends with channel attention (Hu et al. 2018).
        stochastic_depth: Rate at which the last block is dropped; it is lower for earlier blocks
            (Huang et al. 2016).
        dropout: Share of features dropped before the classifier.
        conv_bias: Whether convolutions have a bias in addition to their normalisation; not
            searched, since it only changes the number of parameters: with it, the number is that
            of `keras.applications`, without it that of torchvision.

    The stride of a bottleneck block is in its 3×3 convolution, so that all pixels are used.

    Args:
        depth: Number of layers: 8, 14, 20, 32, 56 or 110 (for images of 32×32 pixels), or 18, 34,
            50, 101 or 152 (for ImageNet); None to search the layout.

    Raises:
        ValueError: if `depth` has another value.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        depth: int | None = None,
        **fixed: Any,
    ) -> None:
        if depth is not None:
            if depth not in DEPTHS:
                raise ValueError(
                    f"`depth` is one of {', '.join(map(str, DEPTHS))}; fix `stages` and `blocks` "
                    f"for others. Received: depth={depth!r}"
                )
            fixed = {**DEPTHS[depth], **fixed}
        super().__init__(input_shape, classes, **fixed)

    def architecture(self, space: Space, x: Any) -> Any:
        """Map rescaled images, float (N, height, width, channels), to logits (N, classes)."""
        usual = "large" if min(self.input_shape[:2]) >= LARGE_IMAGE else "small"
        stem = space.choice("stem", [usual], default=usual, rare=[s for s in STEMS if s != usual])
        stages = space.stages(MOST_STAGES, default=3)
        counts = [
            space.integer("blocks", 1, 3, default=1, stage=stage) for stage in range(MOST_STAGES)
        ][:stages]
        filters = space.choice("filters", [16, 32, 64], default=32)
        settings = _Settings.ask(space)
        last_rate = space.number("stochastic_depth", 0.0, 0.3, default=0.0, step=0.1)
        dropout = space.number("dropout", 0.0, 0.5, default=0.0, step=0.1)

        x = _stem(x, stem, filters, settings)
        rates = iter(drop_rates(last_rate, sum(counts)))
        for stage, count in enumerate(counts):
            for block in range(count):
                halve = stage > 0 and block == 0 and min(spatial_size(x)) > 2 * (SMALLEST_MAP - 1)
                x = _block(x, filters * 2**stage, 2 if halve else 1, settings, next(rates))
        if settings.preactivation:
            x = activate(normalize(x, settings.norm), settings.activation)
        return classifier(layers.GlobalAveragePooling2D()(x), self.classes, dropout=dropout)


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What all blocks share."""

    block: str
    preactivation: bool
    activation: str
    norm: str
    squeeze_excite: bool
    conv_bias: bool

    @classmethod
    def ask(cls, space: Space) -> _Settings:
        return cls(
            block=space.choice("block", BLOCKS, default="basic"),
            preactivation=space.boolean("preactivation", default=False),
            activation=space.choice(
                "activation", ["relu", "silu", "gelu"], default="relu", rare=["leaky_relu", "elu"]
            ),
            norm=space.choice("norm", ["batch"], default="batch", rare=["group", "layer", "none"]),
            squeeze_excite=space.boolean("squeeze_excite", default=False),
            conv_bias=space.choice("conv_bias", [False], default=False),
        )

    def convolve(self, x: Any, filters: int, kernel_size: int, strides: int = 1) -> Any:
        return convolution(
            x,
            filters,
            kernel_size,
            strides=strides,
            use_bias=self.conv_bias or needs_bias(self.norm),
            activation=self.activation,
        )

    def finish(self, x: Any) -> Any:
        return activate(normalize(x, self.norm), self.activation)


def _stem(x: Any, kind: str, filters: int, settings: _Settings) -> Any:
    x = settings.convolve(x, filters, 3) if kind == "small" else settings.convolve(x, filters, 7, 2)
    if not settings.preactivation:
        x = settings.finish(x)
    return x if kind == "small" else pool(x, "max", "same", size=3, strides=2)


def _block(x: Any, filters: int, strides: int, settings: _Settings, drop_rate: float) -> Any:
    """Convolutions and squeeze-excite, then the sum with what came in."""
    if settings.block == "basic":
        convolutions = [(filters, 3, strides), (filters, 3, 1)]
    else:
        convolutions = [(filters, 1, 1), (filters, 3, strides), (EXPANSION * filters, 1, 1)]
    entered = settings.finish(x) if settings.preactivation else x
    branch = settings.convolve(entered, *convolutions[0])
    for convolution_of_block in convolutions[1:]:
        branch = settings.convolve(settings.finish(branch), *convolution_of_block)
    if not settings.preactivation:
        branch = normalize(branch, settings.norm)
    if settings.squeeze_excite:
        branch = squeeze_excite(branch, SQUEEZE_RATIO)
    if x.shape != branch.shape:
        x = settings.convolve(entered, convolutions[-1][0], 1, strides)
        x = x if settings.preactivation else normalize(x, settings.norm)
    x = residual_add(x, branch, drop_rate=drop_rate)
    return x if settings.preactivation else activate(x, settings.activation)
