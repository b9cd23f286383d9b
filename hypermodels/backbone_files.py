"""Keras models of the user's own in a folder: used unasked if what their pixels look like is known.

Files are `NAME.keras` in the folder `KT_TUNING_BACKBONES`, or `backbones` in the cache folder of
kt-tuning. What the pixels of one look like is told by, in this order,

1. `NAME.json` beside it, such as `{"values": "tf", "licence": "MIT", "data": "…", "source": "…",
   "sha256": "…"}`; all keys are optional;
2. its name: `NAME.tf.keras`;
3. a `Rescaling` layer of a scale below 0.05 in front of all other layers: "raw".
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from hypermodels.backbone import Backbone, BackboneError, Origin, file_digest, first_line
from hypermodels.network_parts import without_classifier
from hypermodels.preprocessing import VALUES

ENVIRONMENT = "KT_TUNING_BACKBONES"
KNOWN = ("values", "licence", "data", "source", "sha256")
"""Keys of the JSON file beside a model."""
LARGEST_SCALE = 0.05
"""A `Rescaling` layer with a scale below it takes pixels of 0 to 255."""


def backbone_folder() -> Path:
    """Return `$KT_TUNING_BACKBONES`, or `backbones` in the folder where kt-tuning keeps images."""
    if chosen := os.environ.get(ENVIRONMENT):
        return Path(chosen).expanduser()
    if cache := os.environ.get("KT_TUNING_CACHE"):
        return Path(cache).expanduser() / "backbones"
    home = Path("~").expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "kt-tuning" / "backbones"


@dataclasses.dataclass(frozen=True)
class SavedBackbone(Backbone):
    """A Keras model in a file, read anew for each trial, without its classifier.

    Attributes:
        path: Of a `.keras` or `.h5` file; other processes and later runs must find it there.
        values: What its pixels look like; "" if that is not known.
        pretrained: True.

    Raises:
        BackboneError: if there is no such file.
    """

    path: Path
    values: str = "raw"
    pretrained: bool = dataclasses.field(default=True, init=False)

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise BackboneError(f"There is no file {self.path}. `backbone` is the path of a model.")

    def check(self) -> None:
        """Read it once; see `Backbone.check`."""
        if not self.values:
            raise BackboneError(
                f"what the pixels of {self.path} look like is not known. Write "
                f'{{"values": "tf"}} into {about_file(self.path)}, or rename it to '
                f"{short_name(self.path)}.tf{self.path.suffix}; values are {', '.join(VALUES)}."
            )
        status = self.path.stat()
        if problem := _problem(self.path, read_about(self.path).get("sha256"), status.st_mtime_ns):
            raise BackboneError(problem)

    @property
    def origin(self) -> Origin:
        """What the JSON file beside it says."""
        about = read_about(self.path)
        return Origin(
            name=short_name(self.path),
            licence=about.get("licence"),
            data=about.get("data"),
            source=about.get("source", str(self.path)),
            digest=f"sha256:{file_digest(self.path)}",
        )

    def load(self, height: int, width: int) -> keras.Model:
        """Read it; see `Backbone.load`."""
        return without_classifier(keras.models.load_model(self.path, compile=False))

    def __str__(self) -> str:
        return str(self.path)


def short_name(path: Path) -> str:
    """The name of a file up to the first dot."""
    return path.name.partition(".")[0]


def about_file(path: Path) -> Path:
    """The JSON file beside a model."""
    return path.with_name(f"{short_name(path)}.json")


def read_about(path: Path) -> dict[str, str]:
    """What the JSON file beside a model says; nothing if there is none.

    Raises:
        BackboneError: if it is no JSON object of `KNOWN`, or its values are unknown.
    """
    file = about_file(path)
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackboneError(f"{file} cannot be read: {first_line(error)}") from error
    fine = isinstance(found, dict) and all(
        key in KNOWN and isinstance(value, str) for key, value in found.items()
    )
    if not fine or found.get("values", "raw") not in VALUES:
        raise BackboneError(
            f"{file} holds a JSON object of texts, {', '.join(KNOWN)}, and values are one of "
            f"{', '.join(VALUES)}. Received: {found!r}"
        )
    return found


def pixel_values(path: Path) -> str:
    """What the pixels of a model in a file look like; "" if nothing tells.

    Raises:
        BackboneError: if what tells cannot be read.
    """
    if values := read_about(path).get("values"):
        return values
    told = path.stem.rpartition(".")[-1]
    if "." in path.stem and told in VALUES:
        return told
    return "raw" if _rescales(path) else ""


def _rescales(path: Path) -> bool:
    """Whether the first layer of a `.keras` file brings pixels of 0 to 255 to smaller numbers."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return False
    first = next(_layers(config), {})
    scale = first.get("config", {}).get("scale")
    rescaling = first.get("class_name") == "Rescaling"
    return rescaling and isinstance(scale, (int, float)) and 0 < scale < LARGEST_SCALE


def _layers(config: Any) -> Iterator[dict[str, Any]]:
    """The layers of a model's configuration, those of nested models included, without inputs."""
    for layer in config.get("config", {}).get("layers", ()):
        if "layers" in layer.get("config", {}):
            yield from _layers(layer)
        elif layer.get("class_name") != "InputLayer":
            yield layer


@functools.lru_cache
def _problem(path: Path, sha256: str | None, modified: int) -> str | None:
    """Why a model cannot be used; None if it can. Read again if the file has changed."""
    if sha256 is not None and (found := file_digest(path)) != sha256.lower():
        return (
            f"{path} is damaged or another version: its SHA256 is {found}, and {about_file(path)} "
            f"expects {sha256}."
        )
    try:
        without_classifier(keras.models.load_model(path, compile=False))
    except Exception as error:
        return f"{path} cannot be read as a Keras model of images: {first_line(error)}"
    return None
