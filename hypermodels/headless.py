"""Models without their classifier: images to features."""

from __future__ import annotations

import re
from typing import Any

import keras
from keras import layers

from hypermodels.patches import average_steps

NAME = "backbone"
"""Name of the network as a layer of the whole model."""
NOT_IN_SCOPE = re.compile(r"[^A-Za-z0-9_.\\/>-]")
"""Characters that TensorFlow does not accept in the scopes of a graph."""


def without_classifier(model: keras.Model) -> keras.Model:
    """The part of a model that makes features.

    If the last layer with weights is a dense one, it is the classifier: its input is the features.
    Else the model's output is. Feature maps and sequences are averaged.

    Args:
        model: Functional or Sequential, with one input.

    Returns:
        A model named "backbone" that shares the layers: images -> features (N, features).

    Raises:
        ValueError: if it is another kind of model, or has no such output.
    """
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs or len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise ValueError(
            "`backbone` is a functional or Sequential model that takes one batch of images. "
            f"Received: {model.name!r}, a {type(model).__name__}"
        )
    _rename_layers(model)
    last = next((layer for layer in reversed(model.layers) if layer.weights), None)
    features = last.input if isinstance(last, layers.Dense) else outputs[0]
    if len(features.shape) == 4:
        features = layers.GlobalAveragePooling2D()(features)
    elif len(features.shape) == 3:
        features = average_steps(features)
    elif len(features.shape) != 2:
        raise ValueError(
            "`backbone` makes feature maps, sequences or vectors. "
            f"Received: {model.name!r}, whose features have the shape {features.shape}"
        )
    return keras.Model(inputs[0], features, name=NAME)


def _rename_layers(model: keras.Model) -> None:
    """Rename layers whose names TensorFlow does not accept in graphs, such as "a b" or "größe"."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _rename_layers(layer)
        if NOT_IN_SCOPE.search(layer.name):
            taken = {other.name for other in model.layers}
            name = NOT_IN_SCOPE.sub("_", layer.name)
            while name in taken:
                name += "_"
            layer.name = name


@keras.saving.register_keras_serializable(package="hypermodels")
class InferenceModel(keras.Model):
    """A functional model that is always in inference mode, even while it is trained.

    Calling a model with `training=False` inside another one does not do that: in Keras 3.15 the
    mode of the outer model overrides it.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Map inputs to outputs; `training` is not looked at."""
        return super().call(inputs, training=False, mask=mask)
