"""The smallest form of each family."""

import keras
from keras import layers

from hypermodels import HYPERMODELS

TINY = {
    "convnet": {"stages": 1, "filters": 8},
    "resnet": {"stages": 1, "blocks": 1, "filters": 8},
    "xception": {"width": 0.0625, "blocks": 0},
    "mlp": {"stages": 1, "units": 32},
    "recurrent": {"stages": 1, "units": 8},
    "vit": {"patch_size": 4, "width": 16, "depth": 1, "heads": 2},
    # Its backbone has learned nothing: the images are told apart when it learns, too.
    "finetune": {
        "values": "tf",
        "unfreeze": 1.0,
        "adaptive_learning_rate": 1e-2,
    },
    "linearprobe": {"values": "tf"},
}


def tiny(family, shape, classes, **fixed):
    """A hypermodel whose models are built and trained in a moment."""
    if family in ("finetune", "linearprobe"):
        fixed["backbone"] = small_backbone()
    return HYPERMODELS[family](shape, classes, **{**TINY[family], **fixed})


def small_backbone():
    """Two convolutions, in place of a network that would have to be downloaded."""
    last = keras.config.image_data_format() == "channels_last"
    inputs = keras.Input((32, 32, 3) if last else (3, 32, 32))
    x = layers.Conv2D(8, 3, strides=2)(inputs)
    x = layers.BatchNormalization(axis=-1 if last else 1)(x)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
