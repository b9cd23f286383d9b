"""Strided 1×1 convolutions, whose training crashes TensorFlow on some processors."""

import keras


def strided_pointwise(model: keras.Model) -> list[str]:
    """Names of the layers with a kernel of size 1 and strides above 1, nested ones included."""
    return [
        layer.name
        for layer in model._flatten_layers()
        if max(getattr(layer, "kernel_size", (2,))) == 1 and max(layer.strides) > 1
    ]
