"""What a search keeps from its users: KerasTuner's prints, and time lost to collections."""

from __future__ import annotations

import contextlib
import gc
import io
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep KerasTuner's prints and the deprecations that it causes from users."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", "currentThread|getName", DeprecationWarning)
        yield


@contextlib.contextmanager
def light_collections() -> Iterator[None]:
    """Spare the collection after each trial the million objects that were there before.

    It frees the last trial's model; looking through all of TensorFlow would take longer than that.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
