"""Warnings for training on a processor: layers that oneDNN computes wrongly, and oneDNN missing.

A warning is logged for layers whose training can crash the process: strided 1×1 convolutions with
few channels. On x86 processors TensorFlow computes convolutions by oneDNN. The version in
TensorFlow 2.21 computes a wrong weight gradient, and writes past its memory, for kernels of size 1,
strides that divide the image, and fewer channels than oneDNN processes at a time (16 with AVX-512,
8 with AVX2). Found by experiment for Conv1D, Conv2D, their transposed and recurrent forms;
depthwise, separable, grouped and 3-D convolutions, pooling and XLA (`jit_compile=True`) gave right
gradients.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import keras

from kt_tuning import devices
from kt_tuning.core.onednn import lacks_onednn, onednn_channel_block
from kt_tuning.core.quiet import ONCE

logger = logging.getLogger("kt_tuning")

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D)
TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)
RECURRENT = (keras.layers.ConvLSTM1D, keras.layers.ConvLSTM2D)


def warn_of_unsafe_layers(model: keras.Model) -> None:
    """Log a warning with the names of layers that can crash this process."""
    if not _computes_in_tensorflow_on_cpu():
        return
    block = onednn_channel_block()
    names = unsafe_layers(model, block)
    if not names:
        return
    plural = "s" if len(names) > 1 else ""
    logger.warning(
        "The model's layer%s %s can crash the process (SIGSEGV) or get a wrong gradient while it "
        "is trained on this processor: a convolution with a kernel of size 1, strides above 1 and "
        "fewer than %d channels, of which oneDNN in TensorFlow computes the weight gradient "
        "wrongly. Take every nth pixel first, x[:, ::2, ::2], and convolve with strides=1, which "
        "computes the same; or set TF_ENABLE_ONEDNN_OPTS=0 before Python starts.",
        plural,
        ", ".join(map(repr, names)),
        block,
        extra={ONCE: __name__},
    )


def warn_of_missing_onednn() -> None:
    """Log a warning if this process trains slowly because TensorFlow was imported first."""
    if lacks_onednn() and _computes_in_tensorflow_on_cpu():
        logger.warning(
            "TensorFlow was imported before kt_tuning and so does not use oneDNN, with which it "
            "trains up to twice as fast on this processor: import kt_tuning first, or set "
            "TF_ENABLE_ONEDNN_OPTS=1 before Python starts.",
            extra={ONCE: "onednn"},
        )


def _computes_in_tensorflow_on_cpu() -> bool:
    on_tensorflow = keras.backend.backend() == "tensorflow"
    return on_tensorflow and devices.unasked_devices().kind == devices.CPU


def warnings_when_built(model: keras.Model) -> list[keras.callbacks.Callback]:
    """Return callbacks that warn of layers which are built only by the training."""
    if model.built:
        return []
    return [keras.callbacks.LambdaCallback(on_train_begin=lambda _: warn_of_unsafe_layers(model))]


def unsafe_layers(model: keras.Model, block: int) -> list[str]:
    """Return the names of layers for which oneDNN computes a wrong weight gradient.

    Args:
        model: A model; layers that are not built yet are ignored.
        block: Channels that oneDNN processes at a time, see `onednn_channel_block`.

    Returns:
        Names; those of nested layers such as "encoder/shrink".
    """
    if getattr(model, "jit_compile", False) is True:
        return []
    found = (name for name, layer in _named_layers(model, "") if _channels(layer) < block)
    return list(dict.fromkeys(found))


def _named_layers(parent: keras.layers.Layer, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield all layers in a layer with names as `unsafe_layers` returns them."""
    for layer in parent._flatten_layers(include_self=False, recursive=False):
        name = f"{prefix}{layer.name}"
        yield name, layer
        yield from _named_layers(layer, f"{name}/")


def _channels(layer: Any) -> float:
    """Return the input channels of a strided 1×1 convolution; infinity for other layers."""
    transposed = isinstance(layer, TRANSPOSED)
    if not layer.built or not isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED, *RECURRENT)):
        return float("inf")
    pointwise = max(layer.kernel_size) == 1 and max(layer.strides) > 1
    if not pointwise or getattr(layer, "groups", 1) > 1 or not _divides(layer):
        return float("inf")
    # A transposed convolution is the gradient of a convolution on its output.
    kernel = (layer.cell if isinstance(layer, RECURRENT) else layer).kernel
    return layer.filters if transposed else kernel.shape[-2]


def _divides(layer: Any) -> bool:
    """Whether the strides divide the size of the feature maps; true if it is unknown."""
    if isinstance(layer, RECURRENT) or len(layer._inbound_nodes) != 1:
        return True
    shape = (layer.output if isinstance(layer, TRANSPOSED) else layer.input).shape[1:]
    sizes = shape[:-1] if layer.data_format == "channels_last" else shape[1:]
    return all(
        size is None or size % stride == 0
        for size, stride in zip(sizes, layer.strides, strict=True)
    )
