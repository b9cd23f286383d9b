"""Xception (Chollet 2017): residual modules of depthwise-separable convolutions."""

from __future__ import annotations

import dataclasses
import math
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
    shortcut,
)
from hypermodels.space import Space

STEM = (32, 64)
ENTRY = (128, 256, 728)
MIDDLE = 728
EXIT = (728, 1024)
TOP = (1536, 2048)
"""Channels at `width=1` (Chollet 2017, figure 5)."""
HALVINGS = 1 + len(ENTRY) + 1
"""Places that halve the maps in the paper: the stem, each entry module, the exit module."""
SMALLEST_MAP = 4
"""Pixels of the shorter side of the last maps, at least."""
ROUNDING = 8
"""Channels are a multiple of this."""


class Xception(ImageHyperModel):
    """Entry, middle and exit flow of separable convolutions (Chollet 2017), scaled to the images.

    `Xception((299, 299, 3), 1000, width=1.0, blocks=8)` is the published network. Feature maps of
    smaller images are halved less often, so that at least 4 pixels remain: first in the entry
    modules, then in the exit module, and only then in the stem. Images of 32×32 pixels are halved
    three times instead of five times.

    Hyperparameters:
        width: Number of channels of all layers, as a multiple of those in the paper.
        blocks: Modules of the middle flow, with three separable convolutions each; 8 in the paper.
        kernel_size: Kernel size of the separable convolutions in pixels.
        activation, norm: Activation and normalisation of all convolutions.
        stochastic_depth: Rate at which the last residual module is dropped; it is lower for earlier
            modules (Huang et al. 2016).
        dropout: Share of features dropped before the classifier; 0.5 in the paper.
    """

    def architecture(self, space: Space, x: Any) -> Any:
        """Map rescaled images, float (N, height, width, channels), to logits (N, classes)."""
        width = space.choice("width", [0.125, 0.25, 0.5], default=0.25, rare=[0.75, 1.0])
        blocks = space.integer("blocks", 0, 4, default=2)
        settings = _Settings.ask(space)
        last_rate = space.number("stochastic_depth", 0.0, 0.3, default=0.0, step=0.1)
        dropout = space.number("dropout", 0.0, 0.5, default=0.0, step=0.1)

        def scaled(*channels: int) -> tuple[int, ...]:
            return tuple(ROUNDING * max(1, round(width * n / ROUNDING)) for n in channels)

        strides = iter(_strides(min(self.input_shape[:2])))
        rates = iter(drop_rates(last_rate, len(ENTRY) + blocks + 1))
        for channels, step in zip(scaled(*STEM), (next(strides), 1), strict=True):
            x = settings.finish(
                convolution(
                    x,
                    channels,
                    3,
                    strides=step,
                    use_bias=needs_bias(settings.norm),
                    activation=settings.activation,
                )
            )
        for number, channels in enumerate(scaled(*ENTRY)):
            x = settings.module(
                x, (channels,) * 2, next(strides), next(rates), activated=number == 0
            )
        for _ in range(blocks):
            x = settings.module(x, scaled(MIDDLE) * 3, 1, next(rates))
        x = settings.module(x, scaled(*EXIT), next(strides), next(rates))
        for channels in scaled(*TOP):
            x = settings.finish(settings.separable(x, channels))
        return classifier(layers.GlobalAveragePooling2D()(x), self.classes, dropout=dropout)


def _strides(side: int) -> list[int]:
    """The step, 1 or 2, at each place that may halve: the stem, the entry modules, the exit.

    Args:
        side: Pixels of the shorter side of the image.
    """
    fitting = max(0, math.ceil(math.log2(side / (SMALLEST_MAP - 1))) - 1)
    halvings = min(HALVINGS, fitting)
    *modules, stem = [2] * halvings + [1] * (HALVINGS - halvings)
    return [stem, *modules]


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What all modules share."""

    kernel_size: int
    activation: str
    norm: str

    @classmethod
    def ask(cls, space: Space) -> _Settings:
        return cls(
            kernel_size=space.choice("kernel_size", [3, 5], default=3),
            activation=space.choice(
                "activation", ["relu", "silu", "gelu"], default="relu", rare=["leaky_relu", "elu"]
            ),
            norm=space.choice("norm", ["batch"], default="batch", rare=["group", "layer", "none"]),
        )

    def finish(self, x: Any) -> Any:
        return activate(normalize(x, self.norm), self.activation)

    def separable(self, x: Any, channels: int) -> Any:
        return convolution(
            x,
            channels,
            self.kernel_size,
            separable=True,
            use_bias=needs_bias(self.norm),
            activation=self.activation,
        )

    def module(
        self,
        x: Any,
        channels: tuple[int, ...],
        strides: int,
        drop_rate: float,
        *,
        activated: bool = False,
    ) -> Any:
        """Activated separable convolutions, max-pooling, then the sum with what came in.

        Args:
            x: What comes in.
            channels: Of each convolution.
            strides: 2 to halve height and width.
            drop_rate: At which the module is dropped.
            activated: Whether `x` has been activated already.
        """
        branch = x
        for number, filters in enumerate(channels):
            if number or not activated:
                branch = activate(branch, self.activation)
            branch = normalize(self.separable(branch, filters), self.norm)
        if strides > 1:
            branch = pool(branch, "max", "same", size=3, strides=strides)
        return residual_add(
            shortcut(x, branch, strides, norm=self.norm), branch, drop_rate=drop_rate
        )
