"""The same model with the same weights, built anew from a changed configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kt_tuning.core.errors import ExportError
from kt_tuning.core.quiet import ignored_warnings

if TYPE_CHECKING:
    import keras


def rebuilt(
    model: keras.Model,
    change: Callable[[Any], Any],
    need: str,
    advice: str = "Or export saved_model.",
) -> keras.Model:
    """Build a model anew, not compiled.

    Layers of classes that are not registered with Keras are built by their classes, too.

    Args:
        model: Left as it is.
        change: From the whole configuration, as Keras serializes it, to the one that is built.
        need: Why, as the beginning of an error.
        advice: What else may be done, as the end of an error.

    Raises:
        ExportError: if it cannot be built from its configuration.
    """
    import keras

    classes = {type(layer).__name__: type(layer) for layer in custom_layers(model)}
    try:
        config = change(configuration(model))
        # Not safe mode: what is built is the model at hand, not a stranger's file.
        built = keras.saving.deserialize_keras_object(
            config, custom_objects=classes, safe_mode=False
        )
        built.set_weights(model.get_weights())
    except Exception as error:  # layers of the user's own raise what they like
        raise ExportError(
            f"{need}. It should be built anew from its configuration, which fails: "
            f"{reason_of(error)} Give each layer of your own a `get_config` that "
            "returns all arguments of its constructor, and register functions of your own with "
            f"`keras.saving.register_keras_serializable`. {advice}"
        ) from error
    return built


def configuration(model: keras.Model) -> Any:
    """The whole configuration as Keras serializes it, but for losses and metrics."""
    import keras

    # Keras warns of lambdas, which it would not load from a file.
    with ignored_warnings(UserWarning):
        return _not_compiled(keras.saving.serialize_keras_object(model))


def reason_of(error: Exception) -> str:
    """The line of a message of Keras' that tells the cause."""
    _, _, cause = str(error).strip().rpartition("Exception encountered: ")
    return f"{type(error).__name__}: {cause.partition(chr(10))[0]}"


def custom_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """A model and its layers, nested ones included, that are of classes other than Keras' own."""
    return [
        layer
        for layer in model._flatten_layers()
        if type(layer).__module__.partition(".")[0] != "keras"
    ]


def _not_compiled(config: Any) -> Any:
    """Without losses and metrics, which may be functions of the user's own."""
    if isinstance(config, dict):
        return {
            name: _not_compiled(value) for name, value in config.items() if name != "compile_config"
        }
    if isinstance(config, (list, tuple)):
        return type(config)(map(_not_compiled, config))
    return config
