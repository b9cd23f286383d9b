"""A pre-trained network by its name in the table or in `keras.applications`."""

from __future__ import annotations

import dataclasses
import math
import re
import socket
from pathlib import Path
from typing import Any, ClassVar

import keras

from hypermodels.backbone import Backbone, BackboneError, Origin, file_digest, first_line
from hypermodels.blocks import channel_axis
from hypermodels.download import ANSWER_SECONDS, keras_models, unreachable
from hypermodels.network_parts import NAME, without_classifier
from hypermodels.pretrained import PRETRAINED

KERAS_FILE = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
"""One of the files of `keras.applications`: whether their server answers."""
IMAGENET = "imagenet"
RANDOM = "random"
MODULE_VALUES = {
    "convnext": "raw",
    "densenet": "torch",
    "efficientnet": "raw",
    "efficientnet_v2": "raw",
    "mobilenet_v3": "raw",
    "resnet": "caffe",
    "vgg16": "caffe",
    "vgg19": "caffe",
}
"""Module of `keras.applications` -> what its pixels look like (see `preprocessing`); else "tf"."""
SMALLEST = {"inception_resnet_v2": 75, "inception_v3": 75, "xception": 71}
"""Module of `keras.applications` -> pixels of its smallest image's side."""
SMALLEST_SIDE = 32
"""The same of all other networks: they shrink by 32 what they see."""


@dataclasses.dataclass(frozen=True)
class NamedBackbone(Backbone):
    """A network by its name, without its classifier, averaged over the image.

    Attributes:
        name: In `PRETRAINED`, or of a function in `keras.applications`, e.g. "MobileNetV2".
        weights: "imagenet"; the path of a weights file, for `keras.applications`; None: random
            ones; or "random": random ones that stand for others.
        values: What its pixels look like.
        pretrained: Whether it has, or pretends to have, learned something already.

    Raises:
        BackboneError: if there is no such network, or no such file of weights.
    """

    name: str
    weights: str | None
    values: str = dataclasses.field(init=False)
    pretrained: bool = dataclasses.field(init=False)
    resizable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        known = self.weights in (None, IMAGENET, RANDOM)
        if not known and (self._function is None or not Path(str(self.weights)).exists()):
            raise BackboneError(
                f'`weights` of {self.name} is None, "imagenet" or "random", or for a network of '
                "keras.applications the path of a weights file. "
                f"Received: weights={self.weights!r}, and there is no such file"
            )
        network = PRETRAINED.get(self.name)
        values = network.values if network else MODULE_VALUES.get(self._module, "tf")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "pretrained", self.weights is not None)

    @property
    def _function(self) -> Any:
        """What makes it in `keras.applications`, or None."""
        return getattr(keras.applications, self.name, None)

    @property
    def _module(self) -> str:
        """Where `keras.applications` has it, e.g. "mobilenet_v2"."""
        module: str = getattr(self._function, "__module__", "")
        return module.rpartition(".")[-1]

    @property
    def origin(self) -> Origin:
        """Where its weights come from; see `Backbone.origin`."""
        if self.weights in (None, RANDOM):
            return Origin(self.name, source="random weights")
        if self.weights != IMAGENET:
            path = Path(str(self.weights))
            return Origin(self.name, source=str(path), digest=f"sha256:{file_digest(path)}")
        if self.name in PRETRAINED:
            return PRETRAINED[self.name].origin
        return Origin(
            self.name, data="ImageNet (ILSVRC 2012)", source="https://keras.io/api/applications"
        )

    def check(self) -> None:
        """Have the weights here, with the right digest; see `Backbone.check`."""
        if self.weights != IMAGENET:
            if self.weights not in (None, RANDOM):
                self.load(SMALLEST_SIDE, SMALLEST_SIDE)
            return
        if self.name in PRETRAINED:
            PRETRAINED[self.name].fetch()
            return
        if not self._cached and (reason := unreachable(KERAS_FILE)) is not None:
            raise self._missing(reason)
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(ANSWER_SECONDS)
        try:
            self.load(224, 224)
        finally:
            socket.setdefaulttimeout(before)

    @property
    def takes_any_size(self) -> bool:
        """Whether its layers do not depend on the size of the images: `load` takes None for it."""
        network = PRETRAINED.get(self.name)
        return network is not None and network.package is not None

    def load(self, height: int | None, width: int | None) -> keras.Model:
        """Make it; see `Backbone.load` and `takes_any_size`.

        Raises:
            BackboneError: if ImageNet's weights are not available and cannot be downloaded, or a
                file of weights cannot be read.
        """
        if height is not None and width is not None:
            height, width = enlarged(height, width, SMALLEST.get(self._module, SMALLEST_SIDE))
        weights = None if self.weights == RANDOM else self.weights
        if self.name in PRETRAINED and weights in (None, IMAGENET):
            network = PRETRAINED[self.name].load(height, width, pretrained=weights == IMAGENET)
            return network if network.name == NAME else without_classifier(network)
        shape = (height, width, 3) if channel_axis() == -1 else (3, height, width)
        try:
            return without_classifier(
                self._function(include_top=False, weights=weights, input_shape=shape, pooling="avg")
            )
        except Exception as error:
            reason = first_line(error)
            if weights not in (None, IMAGENET):
                raise BackboneError(
                    f"{weights} cannot be read as weights of {self.name}: {reason}"
                ) from error
            if "URL fetch failure" in str(error) or isinstance(error, OSError):
                raise self._missing(reason) from error
            raise

    @property
    def _cached(self) -> bool:
        """Whether a file in Keras' cache may have its weights, going by its name."""
        folder, module = keras_models(), self._module.replace("_", "")
        names = [path.name for path in folder.glob("*")] if folder.is_dir() else []
        return any(module in re.sub(r"[^a-z0-9]", "", name.lower()) for name in names)

    def _missing(self, reason: str) -> BackboneError:
        return BackboneError(
            f"The ImageNet weights of {self.name} cannot be downloaded ({reason}). Load "
            f"keras.applications.{self.name}() once where there is a network, or pass the path of "
            "a weights file."
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.weights})"


def enlarged(height: int, width: int, smallest: int) -> tuple[int, int]:
    """Height and width in pixels, in proportion, with the shorter at least `smallest`."""
    factor = max(1.0, smallest / min(height, width))
    first, second = (math.ceil(round(side * factor, 6)) for side in (height, width))
    return first, second


def application_names() -> list[str]:
    """The networks of `keras.applications`."""
    return sorted(name for name in dir(keras.applications) if name[0].isupper())
