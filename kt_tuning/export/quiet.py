"""Exporting without what converters have to say about it."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet(name: str, level: int = logging.WARNING) -> Iterator[None]:
    """Let a logger speak from `level` on only: a notebook would show the rest."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def quiet_interpreter() -> Iterator[None]:
    """Use the LiteRT interpreter that comes with TensorFlow.

    It warns that it is to move into a package of its own; as long as TensorFlow has it, it does.
    """
    with warnings.catch_warnings():
        # With a line break before "Warning".
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter", UserWarning)
        yield
