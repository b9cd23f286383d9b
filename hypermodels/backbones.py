"""The pre-trained networks: found by what users call them, and listed.

Users pass a name, a file, a preset of KerasHub, or a Keras model.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from hypermodels.backbone import Backbone, BackboneError
from hypermodels.backbone_files import SavedBackbone, backbone_folder, pixel_values, short_name
from hypermodels.keras_hub_presets import UNFINISHED, PresetBackbone, is_preset
from hypermodels.model_backbone import ModelBackbone
from hypermodels.named_backbone import IMAGENET, NamedBackbone, application_names
from hypermodels.pretrained import PRETRAINED

logger = logging.getLogger("hypermodels")

SUFFIXES = (".keras", ".h5")
AT_HAND = "available"


def find_backbone(source: Any, weights: str | None, values: str | None) -> Backbone:
    """What a user calls a backbone.

    Args:
        source: A name in `PRETRAINED`, in `keras.applications` or in the folder of backbones, the
            path of a `.keras` or `.h5` file, a model, or a preset of KerasHub: "hf://…",
            "kaggle://…" or its folder.
        weights: Of a name; a model has its own.
        values: What the pixels of a file's model or of a model look like; if None, what is known of
            the file, else "raw". Others know their own.

    Raises:
        BackboneError: if there is no such thing.
    """
    if isinstance(source, keras.Model):
        return ModelBackbone.of(source, values or "raw")
    if is_preset(source):
        return PresetBackbone(str(source))
    if isinstance(source, Path) or str(source).endswith(SUFFIXES):
        path = Path(source)
        known = values or (pixel_values(path) if path.is_file() else "")
        if not known and path.suffix == ".keras" and path.is_file():
            _warn(
                f"{path}: nothing tells what its pixels look like, so they are taken to be 0 to "
                'some 255. If that is wrong: values="tf" (-1 to 1), or another name, such as '
                f"{short_name(path)}.tf.keras."
            )
        return SavedBackbone(path, known or "raw")
    return named_backbone(source, weights)


def named_backbone(name: str, weights: str | None) -> Backbone:
    """A network by its name in `PRETRAINED`, `keras.applications` or the folder of backbones.

    Args:
        name: E.g. "EfficientNetLite0" or "MobileNetV2"; in lower case, too.
        weights: As for `NamedBackbone`.

    Raises:
        BackboneError: if there is no such network.
    """
    networks = [*PRETRAINED, *application_names()]
    spellings = {network.lower(): network for network in networks}
    if (network := spellings.get(str(name).lower())) is not None:
        return NamedBackbone(network, weights)
    own = dict(own_backbones())
    if name in own:
        return own[name]
    spellings |= {one.lower(): one for one in own}
    close = difflib.get_close_matches(str(name).lower(), spellings, n=1)
    guess = f" Did you mean {spellings[close[0]]!r}?" if close else ""
    raise BackboneError(
        f"There is no pre-trained network {name!r}.{guess} `backbone` is a name that `kt-tuning "
        "backbones` lists or another one of keras.applications, the path of a .keras or .h5 file, "
        "a preset of KerasHub (hf://…, kaggle://… or its folder), or a keras.Model."
    )


def own_backbones() -> Iterator[tuple[str, Backbone]]:
    """What is in the folder of backbones, by its names, smallest files first.

    A file whose name is that of another network is left out, as is a JSON file that is damaged:
    either is warned of.
    """
    folder, seen = backbone_folder(), {name.lower() for name in PRETRAINED}
    paths = sorted(folder.glob("*")) if folder.is_dir() else []
    files = [path for path in paths if path.suffix == ".keras" and path.is_file()]
    presets = [path for path in paths if is_preset(path) and path.suffix != UNFINISHED]
    for path in [*sorted(files, key=lambda path: path.stat().st_size), *presets]:
        name = short_name(path)
        if name.lower() in seen:
            _warn(f"{path} is not used: another network is called {name}. Rename the file.")
            continue
        seen.add(name.lower())
        if path.is_dir():
            yield name, PresetBackbone(str(path))
            continue
        try:
            yield name, SavedBackbone(path, pixel_values(path))
        except BackboneError as error:
            _warn(f"{path} is not used: {error}")


def at_hand() -> dict[str, Backbone]:
    """The pre-trained networks that are here and can be loaded, from cheap to dear.

    Those of an installed package, those in Keras' cache, and what is in the folder of backbones.
    What is there and cannot be used is warned of, once.

    Returns:
        Name -> network.
    """
    found: list[tuple[str, Backbone]] = [
        (name, NamedBackbone(name, IMAGENET))
        for name, network in PRETRAINED.items()
        if network.path() is not None
    ]
    usable = {}
    for name, backbone in [*found, *own_backbones()]:
        if problem := problem_of(backbone):
            _warn(f"The pre-trained network {name} is not used: {problem}")
        else:
            usable[name] = backbone
    return usable


def problem_of(backbone: Backbone) -> str | None:
    """Why a network that is here cannot be used; None if it can. Nothing is downloaded."""
    try:
        if isinstance(backbone, NamedBackbone):
            PRETRAINED[backbone.name].check()
        else:
            backbone.check()
    except BackboneError as error:
        return str(error)
    return None


@functools.lru_cache
def _warn(text: str) -> None:
    """Warn once: several families look at the same networks."""
    logger.warning("%s", text)


@dataclasses.dataclass(frozen=True)
class BackboneRow:
    """A pre-trained network; None where something is not known.

    Attributes:
        name: Name, the value of `backbone`.
        at_hand: Whether it is available, and therefore used by default.
        status: The same in words, with the way to get it or the reason why it cannot be used.
        parameters: Number of scalars in its weights, without the classifier.
        size: Approximate size of the file of weights in bytes.
        multiply_adds: Multiply-adds for one image of `image_size`, in millions.
        accuracy: Published top-1 accuracy on ImageNet, 0 to 1.
        image_size: Side of the images in pixels.
        values: Scale of its pixels, see `hypermodels.preprocessing.VALUES`.
        licence: Licence of its weights.
        data: Data that it was trained on.
        source: Source of its weights.
        digest: Digest of its weights.
    """

    name: str
    at_hand: bool
    status: str
    parameters: int | None = None
    size: int | None = None
    multiply_adds: int | None = None
    accuracy: float | None = None
    image_size: int | None = None
    values: str | None = None
    licence: str | None = None
    data: str | None = None
    source: str | None = None
    digest: str | None = None


def catalogue() -> list[BackboneRow]:
    """Return the networks of the table, cheapest first, then those in the folder of backbones."""
    rows = []
    for name, network in PRETRAINED.items():
        status = network.how_to_get
        if network.path() is not None:
            status = problem_of(NamedBackbone(name, IMAGENET)) or AT_HAND
        facts = ("parameters", "size", "multiply_adds", "accuracy", "image_size", "values")
        known = {fact: getattr(network, fact) for fact in facts}
        rows.append(
            BackboneRow(
                at_hand=status == AT_HAND,
                status=status,
                **known,
                **dataclasses.asdict(network.origin),
            )
        )
    for name, backbone in own_backbones():
        problem = problem_of(backbone)
        path = backbone.path if isinstance(backbone, SavedBackbone) else None
        rows.append(
            BackboneRow(
                at_hand=problem is None,
                status=AT_HAND if problem is None else problem,
                size=None if path is None else path.stat().st_size,
                values=backbone.values or None,
                **{**dataclasses.asdict(backbone.origin), "name": name},
            )
        )
    return rows
