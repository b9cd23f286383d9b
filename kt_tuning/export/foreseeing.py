"""What will keep a model from being exported, as far as that is known before it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kt_tuning.core.errors import ExportError
from kt_tuning.export.clean_names import refused_names, with_clean_names
from kt_tuning.export.rebuilding import configuration, custom_layers, reason_of, rebuilt

if TYPE_CHECKING:
    import keras


def export_obstacle(model: keras.Model) -> str | None:
    """Say in which formats a model cannot be exported, and why.

    Models whose layers are all Keras' own or registered, with names that TensorFlow takes, are not
    looked at any further; others are built once more from their configuration.

    Args:
        model: Left as it is.

    Returns:
        Sentences, or None if nothing is known to be in the way.
    """
    import keras

    lambdas = any(isinstance(layer, keras.layers.Lambda) for layer in model._flatten_layers())
    unregistered = [layer for layer in custom_layers(model) if not _is_registered(type(layer))]
    if refused_names(model):
        try:
            with_clean_names(model)
        except ExportError as error:
            return f"The model cannot be exported in any format. {error}"
    if not lambdas and not unregistered:
        return None
    try:
        rebuilt(model, lambda config: config, "It has layers of your own")
    except ExportError as error:
        return (
            "The model cannot be exported in the format keras, nor in litert, onnx or openvino if "
            f"it is trained in mixed precision or is recurrent. {error}"
        )
    try:
        keras.saving.deserialize_keras_object(configuration(model))
    except Exception as error:  # layers of the user's own raise what they like
        return (
            "The model cannot be exported in the format keras, as Keras would not load it: "
            f"{reason_of(error)} Register layers and functions of your own with "
            "`keras.saving.register_keras_serializable`, and have no Lambda layers of lambdas. "
            "Other formats take it."
        )
    return None


def _is_registered(kind: type) -> bool:
    import keras

    return keras.saving.get_registered_object(keras.saving.get_registered_name(kind)) is kind
