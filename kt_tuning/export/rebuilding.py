"""The same model with the same weights, built anew from a changed configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kt_tuning.errors import ExportError

if TYPE_CHECKING:
    import keras


def rebuilt(model: keras.Model, change: Callable[[Any], Any], need: str) -> keras.Model:
    """Build a model anew.

    Args:
        model: Left as it is.
        change: From the whole configuration, as Keras serializes it, to the one that is built.
        need: Why, as the beginning of an error.

    Raises:
        ExportError: if it cannot be built from its configuration.
    """
    import keras

    try:
        config = change(keras.saving.serialize_keras_object(model))
        # Not safe mode: what is built is the model at hand, not a stranger's file.
        built = keras.saving.deserialize_keras_object(config, safe_mode=False)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ExportError(
            f"{need}: it should be built anew from its configuration, which fails. Register layers "
            "of your own with `keras.saving.register_keras_serializable`, or export saved_model or "
            f"keras. Received: {error}"
        ) from error
    built.set_weights(model.get_weights())
    return built
