"""Multilayer perceptrons: a baseline that does not use the positions of pixels."""

from __future__ import annotations

from typing import Any, ClassVar

from keras import layers

from hypermodels.base import ImageHyperModel
from hypermodels.blocks import activate, classifier, initializer, needs_bias, normalize, pool
from hypermodels.space import Space

MOST_LAYERS = 4
SHRINKS = (1, 2, 4, 8)
SMALLEST_SIDE = 4
"""Pixels of the shorter side that any shrinking leaves."""
COMFORTABLE_SIDE = 48
"""Pixels of the shorter side that the default shrinking leaves, at most."""


class MLP(ImageHyperModel):
    """Dense layers over all pixels of an image (Rumelhart et al. 1986).

    The first layer has height · width · channels weights per unit. Larger images are therefore
    reduced by average pooling first: by default, at most 48 pixels remain on the shorter side.

    Hyperparameters:
        shrink: Factor by which the average pooling reduces height and width.
        stages: Number of hidden layers.
        units: Units of a hidden layer; `units=(500, 300)` fixes them, and `per_stage=("units",)`
            searches them, for each layer.
        activation, norm: Activation and normalisation of each hidden layer.
        dropout: Share of features dropped after each hidden layer.
    """

    compiling_defaults: ClassVar = {"sgd_learning_rate": 0.05}

    def architecture(self, space: Space, x: Any) -> Any:
        """Map rescaled images, float (N, height, width, channels), to logits (N, classes)."""
        shrinks = [s for s in SHRINKS if s == 1 or min(self.input_shape[:2]) // s >= SMALLEST_SIDE]
        fitting = [s for s in shrinks if min(self.input_shape[:2]) // s <= COMFORTABLE_SIDE]
        shrink = space.choice("shrink", shrinks, default=min(fitting, default=shrinks[-1]))
        most = space.stages(MOST_LAYERS, default=2)
        widths = [
            space.choice("units", [64, 128, 256, 512, 1024], default=512, stage=layer)
            for layer in range(MOST_LAYERS)
        ]
        activation = space.choice(
            "activation",
            ["relu", "gelu", "silu"],
            default="relu",
            rare=["leaky_relu", "elu", "tanh", "sigmoid"],
        )
        norm = space.choice("norm", ["none", "batch", "layer"], default="batch")
        rate = space.number("dropout", 0.0, 0.5, default=0.2, step=0.1)

        x = pool(x, "average", "valid", size=shrink) if shrink > 1 else x
        x = layers.Flatten()(x)
        for units in widths[:most]:
            x = layers.Dense(
                units, use_bias=needs_bias(norm), kernel_initializer=initializer(activation)
            )(x)
            x = activate(normalize(x, norm), activation)
            if rate:
                x = layers.Dropout(rate)(x)
        return classifier(x, self.classes)
