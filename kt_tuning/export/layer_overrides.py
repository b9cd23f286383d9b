"""Attributes of layers that are replaced while a model is exported, and restored afterwards.

A runtime may need other names, no 16-bit arithmetic, no loops or no antialiased resizing. Keras
reads these attributes whenever a layer is called, so the model itself is traced with others.
"""

from __future__ import annotations

import contextlib
import keyword
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_tuning.core.quiet import ignored_warnings

if TYPE_CHECKING:
    import keras

_HALVES = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
# TensorFlow makes an input's name the name of a parameter of a Python method.
_RESERVED = "self"
_CLEAN = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.-]*")
_REFUSED = re.compile(r"[^A-Za-z0-9_.-]")
_ABSENT = object()


@contextlib.contextmanager
def clean_names(model: keras.Model) -> Iterator[None]:
    """Give a model, its layers and variables names that TensorFlow accepts within the block.

    A SavedModel's names have letters of the Latin alphabet, digits, "_", "." and "-", the first
    character neither "_" nor "-".
    """
    layers = model._flatten_layers()
    named = [*layers, *(tensor for layer in layers for tensor in _inputs(layer))]
    accepted = accepted_names(each.name for each in named)
    changes: list[tuple[object, str, Any]] = [
        (each, "name", accepted[each.name]) for each in named if accepted[each.name] != each.name
    ]
    for variable in (variable.value for variable in model.variables):
        # The path of the layer, the variable, and ":0".
        path, output = variable.name.rsplit(":", 1)
        clean = "/".join(
            _REFUSED.sub("_", part).lstrip("_-") or "layer" for part in path.split("/")
        )
        if clean != path:
            changes.append((variable, "_handle_name", f"{clean}:{output}"))
    with _attributes(changes):
        yield


def accepted_names(names: Iterable[str]) -> dict[str, str]:
    """Return for each name one that TensorFlow accepts, different from all others."""
    names = list(names)
    used, accepted = set(names), {}
    for name in dict.fromkeys(names):
        candidate = name
        if not _is_clean(name):
            base = _REFUSED.sub("_", name).lstrip("_-") or "layer"
            base = candidate = base if _is_clean(base) else f"{base}_"
            number = 0
            while candidate in used:
                number += 1
                candidate = f"{base}_{number}"
            used.add(candidate)
        accepted[name] = candidate
    return accepted


def half_precision(model: keras.Model) -> str | None:
    """Return the 16-bit policy that layers of a model compute in, or None if none does."""
    names = (layer.dtype_policy.name for layer in model._flatten_layers(include_self=False))
    return next((name for name in names if name in _HALVES), None)


@contextlib.contextmanager
def in_float32(model: keras.Model) -> Iterator[None]:
    """Have a model that was trained in mixed precision compute in float32 within the block.

    Its weights are float32 already; only what is computed from them is rounded to 16 bits.
    """
    import keras

    float32 = keras.DTypePolicy("float32")
    changes: list[tuple[object, str, Any]] = []
    for layer in model._flatten_layers():
        if layer.dtype_policy.name in _HALVES:
            changes.append((layer, "_dtype_policy", float32))
        tensors = [tensor for tensor in _inputs(layer) if tensor.dtype in _HALVES]
        changes += [(tensor, "_dtype", "float32") for tensor in tensors]
        # A cast, which is no layer, has the name of a type instead of a policy.
        operations = getattr(layer, "operations", ())
        casts = [cast for cast in operations if vars(cast).get("dtype") in _HALVES]
        changes += [(cast, "dtype", "float32") for cast in casts]
    with _attributes(changes):
        yield


@contextlib.contextmanager
def unroll_rnn(model: keras.Model) -> Iterator[None]:
    """Have recurrent layers do their steps one after the other, without a loop, in the block."""
    loops = (one for one in model._flatten_layers() if getattr(one, "unroll", True) is False)
    with _attributes((layer, "unroll", True) for layer in loops):
        yield


@contextlib.contextmanager
def matmul_resizing(model: keras.Model) -> Iterator[None]:
    """Have antialiased resizing layers compute matrix products within the block.

    TensorFlow's operation, ScaleAndTranslate, is unknown to LiteRT and ONNX. It is linear, and
    separable into rows and columns: out = R·x·Cᵀ.
    """
    import keras

    found = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Resizing)
        and layer.antialias
        and layer.data_format == "channels_last"
        and not (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio)
    ]
    with _attributes((layer, "call", _resize_function(layer)) for layer in found):
        yield


def export_obstacle(model: keras.Model) -> str | None:
    """Return why Keras could not load a model from a file, as far as known before training.

    Models whose layers are all of Keras or registered are not examined any further; others are
    built once from their configuration.

    Args:
        model: Is not changed.

    Returns:
        Sentences, or None if no obstacle is known.
    """
    import keras

    layers = model._flatten_layers()
    has_lambda = any(isinstance(layer, keras.layers.Lambda) for layer in layers)
    if not has_lambda and all(_is_known(type(layer)) for layer in layers):
        return None
    try:
        # Keras warns of lambdas, which it would not load from a file.
        with ignored_warnings(UserWarning):
            config = keras.saving.serialize_keras_object(model)
        # Losses and metrics may be the user's functions; they are not needed.
        config.pop("compile_config", None)
        keras.saving.deserialize_keras_object(config)
    except Exception as error:  # layers of the user's own raise anything
        _, _, cause = str(error).strip().rpartition("Exception encountered: ")
        cause = cause.partition("\n")[0].partition(" Full object config")[0]
        return (
            "The model cannot be exported in the format keras, as Keras would not load it: "
            f"{type(error).__name__}: {cause} Give each layer of your own a "
            "`get_config` that returns all arguments of its constructor, register layers and "
            "functions of your own with `keras.saving.register_keras_serializable`, and have no "
            "Lambda layers of lambdas. Other formats take it."
        )
    return None


@contextlib.contextmanager
def _attributes(changes: Iterable[tuple[object, str, Any]]) -> Iterator[None]:
    """Set attributes of instances, (object, name, value), within the block."""
    changed = {(id(each), name): (each, name, value) for each, name, value in changes}
    before = [(each, name, vars(each).get(name, _ABSENT)) for each, name, _ in changed.values()]
    try:
        for each, name, value in changed.values():
            setattr(each, name, value)
        yield
    finally:
        for each, name, value in before:
            if value is _ABSENT:
                vars(each).pop(name, None)
            else:
                setattr(each, name, value)


def _resize_function(layer: keras.layers.Resizing) -> Any:
    """Return the layer's `call` as matrix products, (N, height, width, channels) images each."""
    import tensorflow as tf
    from keras import ops

    def weights(before: int, after: int) -> Any:
        """Return float32 (after, before): the weight of each line in each line of the result."""
        unit = np.eye(before, dtype=np.float32)[None, :, :, None]
        options = {"interpolation": layer.interpolation, "data_format": "channels_last"}
        with tf.init_scope():  # numbers, also when a graph is traced
            resized = ops.image.resize(unit, (after, before), antialias=True, **options)
            return ops.convert_to_numpy(resized)[0, :, :, 0]

    def call(data: Any, training: bool = True) -> Any:
        height, width, channels = data.shape[1:]
        lines = ops.reshape(data, (-1, height, width * channels))
        lines = ops.matmul(weights(height, layer.height), lines)
        lines = ops.reshape(lines, (-1, layer.height, width, channels))
        return ops.matmul(weights(width, layer.width), lines)

    return call


def _inputs(layer: Any) -> list[Any]:
    """Return the symbolic inputs of a model; of other layers none."""
    import keras

    return list(getattr(layer, "inputs", None) or []) if isinstance(layer, keras.Model) else []


def _is_known(kind: type) -> bool:
    """Return whether a class of layers is Keras' own or registered."""
    import keras

    own = kind.__module__.partition(".")[0] == "keras"
    registered = keras.saving.get_registered_object(keras.saving.get_registered_name(kind))
    return own or registered is kind


def _is_clean(name: str) -> bool:
    usable = name != _RESERVED and not keyword.iskeyword(name)
    return usable and _CLEAN.fullmatch(name) is not None
