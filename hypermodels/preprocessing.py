"""What a pre-trained network expects of its input, as layers: size, channels and values."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from hypermodels.blocks import channel_axis

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Of ImageNet's pixels: red, green, blue as shares of 255; blue, green, red out of 255."""

VALUES = ("raw", "tf", "torch", "caffe")


def fit_pixels(pixels: Any, model: keras.Model, height: int, width: int) -> Any:
    """Give raw pixels the size, the channels and the layout that a model takes.

    Where the model's own input has no fixed size, `height` and `width` are it. Images are resized
    bilinearly, with antialiasing if that shrinks them. Grey is repeated to three channels, and
    three become grey by their luminance.

    Args:
        pixels: (N, height, width, channels), 0 to 255, channels last.
        model: Takes images.
        height: Wanted height, in pixels.
        width: Wanted width, in pixels.

    Returns:
        (N, …), 0 to 255, in Keras' image format and the model's type of numbers.

    Raises:
        ValueError: if the model takes another number of channels than can be made.
    """
    shape = list(model.input_shape[1:])
    wanted = shape.pop(channel_axis())
    size = tuple(own or given for own, given in zip(shape, (height, width), strict=True))
    x = layers.Rescaling(1.0, name="as_float")(pixels)
    if size != tuple(x.shape[1:3]):
        shrinks = size[0] < x.shape[1] or size[1] < x.shape[2]
        x = layers.Resizing(*size, antialias=shrinks, data_format="channels_last", name="resize")(x)
    channels = x.shape[-1]
    if (channels, wanted) == (1, 3):
        x = layers.Concatenate(name="grey_to_rgb")([x, x, x])
    elif (channels, wanted) == (3, 1):
        x = ops.image.rgb_to_grayscale(x, data_format="channels_last")
    elif channels != wanted:
        raise ValueError(
            f"The backbone takes images of {wanted} channels. Received: images of {channels}; only "
            "1 and 3 can be made into each other."
        )
    if channel_axis() == 1:
        x = layers.Permute((3, 1, 2))(x)
    taken = model.inputs[0].dtype
    return x if "float" in taken else ops.cast(ops.round(x), taken)


def rescale_values(x: Any, values: str) -> Any:
    """Bring raw pixels to the values that a network was trained on.

    As `preprocess_input` of the modules of `keras.applications` does.

    Args:
        x: float RGB images, 0 to 255, in Keras' image format.
        values: "raw" leaves them; "tf" is -1 to 1; "torch" has ImageNet's mean and deviation taken
            out of 0 to 1; "caffe" is BGR less ImageNet's mean.

    Returns:
        Images of the same shape.
    """
    if values == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(x)
    if values == "torch":
        scale = [1 / (255 * deviation) for deviation in DEVIATION]
        offset = [-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
        return scale_channels(x, scale, offset)
    if values == "caffe":
        x = ops.flip(x, axis=channel_axis())
        return scale_channels(x, [1.0, 1.0, 1.0], [-mean for mean in CAFFE_MEAN])
    return x


def scale_channels(x: Any, scale: list[float], offset: list[float]) -> Any:
    """Multiply each channel of images by its own number and add another.

    Args:
        x: float images in Keras' image format.
        scale: A factor per channel.
        offset: A number per channel that is added after that.

    Returns:
        Images of the same shape.
    """
    if channel_axis() == 1:
        # Keras would add these offsets to columns.
        shaped = [[[[number]] for number in numbers] for numbers in (scale, offset)]
        return layers.Rescaling(*shaped, name="rescale")(x)
    return layers.Rescaling(scale, offset=offset, name="rescale")(x)
