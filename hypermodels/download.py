"""Downloading weights: whether a server answers is known within seconds."""

from __future__ import annotations

import os
import queue
import threading
import urllib.request
from pathlib import Path

import keras

from hypermodels.backbone import BackboneError, first_line

ANSWER_SECONDS = 4.0
"""Seconds that a server has to answer."""


def unreachable(url: str, seconds: float | None = None) -> str | None:
    """Say why a server does not answer; None if it does.

    Resolving a name has no time limit of its own: a thread that may outlive this call does it.

    Args:
        url: A file; only its headers are asked for.
        seconds: To wait, at most; `ANSWER_SECONDS` if None.
    """
    seconds = ANSWER_SECONDS if seconds is None else seconds
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=seconds):
                answers.put(None)
        except Exception as error:
            answers.put(first_line(getattr(error, "reason", error)))

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return f"no answer within {seconds:g} s"


def keras_models() -> Path:
    """Where Keras keeps the weights that it has downloaded."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models"


def download(name: str, url: str, path: Path, digest: str | None) -> None:
    """Download a file of weights, unless it is there whole.

    Args:
        name: What it is, for the message.
        url: Of the file.
        path: Where it goes.
        digest: SHA-256 or MD5 of the file, hexadecimal.

    Raises:
        BackboneError: if it cannot be downloaded, or is not what was expected.
    """
    if (reason := unreachable(url)) is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            keras.utils.get_file(
                path.name,
                url,
                cache_dir=path.parent.parent,
                cache_subdir=path.parent.name,
                file_hash=digest,
            )
            return
        except Exception as error:
            reason = first_line(error)
    raise BackboneError(
        f"{name} cannot be downloaded from {url}: {reason}. Try again with a network, or put the "
        f"file at {path}."
    )
