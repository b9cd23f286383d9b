"""Backbones of KerasHub: `hf://…`, `kaggle://…`, or the folder of a preset."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from hypermodels.backbone import Backbone, BackboneError, Origin, file_digest, first_line
from hypermodels.backbone_files import about_file, backbone_folder, read_about, short_name
from hypermodels.download import unreachable
from hypermodels.network_parts import without_classifier
from hypermodels.preprocessing import scale_channels

SERVERS = {"hf://": "https://huggingface.co", "kaggle://": "https://www.kaggle.com"}
"""How a handle begins -> where its files are."""
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
"""Files of a preset."""
UNFINISHED = ".tmp"
"""How the name of a folder ends while it is downloaded."""


def is_preset(source: str | Path) -> bool:
    """Whether that is a handle, or the folder of a preset."""
    return str(source).startswith(tuple(SERVERS)) or (Path(source) / CONFIG).is_file()


@dataclasses.dataclass(frozen=True)
class PresetBackbone(Backbone):
    """A backbone of KerasHub with the scaling that its preset says.

    What a handle names is downloaded once, into the folder of backbones.

    Attributes:
        preset: A handle, or the path of a folder; other processes must find it there.
        values: "raw".
        pretrained: True.
    """

    preset: str
    values: str = dataclasses.field(default="raw", init=False)
    pretrained: bool = dataclasses.field(default=True, init=False)

    @property
    def folder(self) -> Path:
        """Where its files are, or will be: a name of the handle's organisation and model."""
        if not self.preset.startswith(tuple(SERVERS)):
            return Path(self.preset)
        handle = self.preset.partition("://")[-1]
        return backbone_folder() / re.sub(r"[^\w-]+", "-", handle).strip("-")

    def check(self) -> None:
        """Download it, unless it is there, and make it once; see `Backbone.check`."""
        _keras_hub()
        if not is_preset(self.folder):
            self.fetch()
        modified = (self.folder / CONFIG).stat().st_mtime_ns
        if problem := _problem(self.folder, modified):
            raise BackboneError(problem)

    def fetch(self) -> Path:
        """Download it.

        Returns:
            The folder.

        Raises:
            BackboneError: if it cannot be had.
        """
        hub, folder = _keras_hub(), self.folder
        if is_preset(folder):
            return folder
        server = next(url for start, url in SERVERS.items() if self.preset.startswith(start))
        reason = unreachable(server)
        if reason is None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=folder.parent, suffix=UNFINISHED))
            try:
                hub.models.Backbone.from_preset(self.preset).save_to_preset(str(temporary))
                hub.layers.ImageConverter.from_preset(self.preset).save_to_preset(str(temporary))
                about_file(folder).write_text(json.dumps({"source": self.preset}), "utf-8")
                temporary.rename(folder)
                return folder
            except Exception as error:
                reason = first_line(error)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        raise BackboneError(f"{self.preset} cannot be downloaded: {reason}")

    @property
    def origin(self) -> Origin:
        """The handle, and what the JSON file beside the folder says."""
        about, weights = read_about(self.folder), self.folder / WEIGHTS
        return Origin(
            name=short_name(self.folder),
            licence=about.get("licence"),
            data=about.get("data"),
            source=about.get("source", self.preset),
            digest=f"sha256:{file_digest(weights)}" if weights.is_file() else None,
        )

    def load(self, height: int, width: int) -> keras.Model:
        """Make it for images of its own size, else of that of the images; see `Backbone.load`."""
        return _load(self.folder)

    def __str__(self) -> str:
        return self.preset


def _keras_hub() -> ModuleType:
    try:
        return importlib.import_module("keras_hub")
    except ImportError as error:
        raise BackboneError(
            "A preset of KerasHub needs a package that is missing: pip install "
            f"'kt-tuning[keras-hub]' ({first_line(error)})"
        ) from error


def _load(folder: Path) -> keras.Model:
    """Raw pixels -> features."""
    hub = _keras_hub()
    network = hub.models.Backbone.from_preset(str(folder))
    converter = hub.layers.ImageConverter.from_preset(str(folder))
    if isinstance(network.input, dict) or isinstance(network.output, dict):
        raise BackboneError(f"{folder} is no network from images to features")
    inputs = keras.Input(network.input.shape[1:])
    scale, offset = _channels(converter.scale, 1.0), _channels(converter.offset, 0.0)
    features = network(scale_channels(inputs, scale, offset))
    return without_classifier(keras.Model(inputs, features))


def _channels(number: Any, default: float) -> list[float]:
    """One number per channel."""
    if number is None:
        number = default
    return [number] * 3 if isinstance(number, (int, float)) else list(map(float, number))


@functools.lru_cache
def _problem(folder: Path, modified: int) -> str | None:
    """Why a preset cannot be used; None if it can. Made again if the folder has changed."""
    try:
        _load(folder)
    except Exception as error:
        return f"{folder} cannot be read as a preset of images: {first_line(error)}"
    return None
