"""Float twins of Keras models: with gradients at the input, and outputs of inner layers.

A model whose input is uint8 has no gradient with respect to it, and a nested model casts its input
to its own input's type. The twin shares every layer and weight, but each input, nested
ones included, is float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kt_tuning.core.errors import OptionError

Select = Callable[[Any], Any]
"""A functional model -> one of its operations, or None."""


def as_keras(model: Any) -> Any:
    """Return a Keras model as it is, and the one that an `Ensemble` is.

    Raises:
        OptionError: if it is neither, or has not one input and one output.
    """
    import keras

    network = model.to_keras() if hasattr(model, "to_keras") else model
    if not is_functional(network) or len(network.inputs) > 1 or len(network.outputs) > 1:
        kind = type(network).__name__
        raise OptionError(
            "Expected an Ensemble, or a functional or built Sequential keras.Model with one input "
            "and one output"
            + (
                f". Received: {network.name!r}, a {kind}. Subclassed models are not functional."
                if isinstance(network, keras.Model)
                else f". Received: {kind}."
            )
        )
    return network


def is_functional(operation: Any) -> bool:
    """Whether it is a model whose layers can be followed from input to output."""
    import keras

    known = isinstance(operation, keras.Model) and getattr(operation, "inputs", None)
    return bool(known and getattr(operation, "outputs", None))


def functional_view(model: Any) -> Any:
    """Return the model's graph as an uncompiled functional model of the same layers."""
    import keras

    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def check_tensorflow(purpose: str) -> None:
    """Refuse other Keras backends.

    Raises:
        OptionError: if the backend is not TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise OptionError(
            f"{purpose} computes gradients with TensorFlow. "
            f"Received: KERAS_BACKEND={keras.backend.backend()}."
        )


def float_twin(model: Any, select: Select | None = None) -> Any:
    """Return a functional model of the same layers that takes float32.

    Args:
        model: A functional or built Sequential Keras model with one input and one output.
        select: If given, it names an operation whose output is wanted: of the model, or where it
            names none there, of the models nested in it, of which only the first call counts.

    Returns:
        float32 (n, …) -> the model's output; if `select` named something, a list of it and what
        was named.
    """
    import keras

    source = functional_view(model)
    target = None if select is None else select(source)
    deeper = select if target is None else None
    pixels = keras.Input(batch_shape=model.inputs[0].shape, dtype="float32", name="floats")
    shown: list[Any] = []

    def renewed(operation: Any) -> Any:
        if is_functional(operation):
            inner = float_twin(operation, deeper)
            return _watched(inner, shown, whole=operation is target)
        if operation is target:
            return _watched(operation, shown, whole=True)
        return operation

    twin = keras.models.clone_model(source, input_tensors=pixels, clone_function=renewed)
    outputs = twin.outputs[0]
    return keras.Model(pixels, [outputs, *shown] if shown else outputs)


def _watched(operation: Any, shown: list[Any], *, whole: bool) -> Any:
    """Return `operation` as a function that collects the outputs to show of each call.

    Args:
        operation: The operation; a list that it returns is its output, and outputs to show.
        shown: Gets the outputs.
        whole: Whether its own output is to be shown.
    """
    called = False

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal called
        result = operation(*args, **kwargs)
        output, *further = result if isinstance(result, list) else [result]
        if not called:
            shown.extend([output] if whole else further)
        called = True
        return output

    return call
