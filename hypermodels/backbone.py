"""What every pre-trained network has in common, wherever its weights come from."""

from __future__ import annotations

import abc
import dataclasses
import functools
import hashlib
import re
from pathlib import Path
from typing import ClassVar

import keras

TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
KERAS_CALL = re.compile(
    r"Exception encountered when calling (.+?)\.\s*\n(.*?)(\n\s*Arguments received by .*)?$", re.S
)
"""The form of errors that Keras raises where a layer is called."""


class BackboneError(ValueError):
    """A pre-trained network cannot be had: it is not there, damaged, or out of reach."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a pre-trained network comes from, as far as that is known: for a model card.

    Attributes:
        name: As it is passed as `backbone`.
        licence: SPDX identifier of the licence of its weights.
        data: What it was trained on.
        source: Where its weights come from: a URL, a file, or a handle.
        digest: Of its weights, as "sha256:…" or "md5:…" and hexadecimal digits.
    """

    name: str
    licence: str | None = None
    data: str | None = None
    source: str | None = None
    digest: str | None = None


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
    def check(self) -> None:
        """Make sure that `load` will work; what has to be downloaded is downloaded.

        Raises:
            BackboneError: if it will not. Without a network that takes some seconds at most.
        """

    @property
    @abc.abstractmethod
    def origin(self) -> Origin:
        """Where it comes from."""

    @abc.abstractmethod
    def load(self, height: int, width: int) -> keras.Model:
        """Make it, with the weights it begins with.

        Args:
            height: Of the images, in pixels; smaller ones than it can take are enlarged to that.
            width: Likewise.

        Returns:
            A model named "backbone": images -> features (N, features).
        """


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The digest of a file, in hexadecimal digits; computed again only if the file has changed."""
    status = path.stat()
    return _digest(path, algorithm, status.st_mtime_ns, status.st_size)


@functools.lru_cache
def _digest(path: Path, algorithm: str, modified: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def error_text(error: object) -> str:
    """Return what an error says, without terminal colours and the arguments that Keras lists."""
    text = TERMINAL_COLOUR.sub("", str(error)).strip()
    found = KERAS_CALL.match(text)
    return f"{found[1]}: {found[2].strip()}" if found else text


def first_line(error: object, longest: int = 200) -> str:
    """What an error says, as one line of at most so many characters."""
    lines = [line.strip() for line in error_text(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= longest else f"{text[:longest]}…"
