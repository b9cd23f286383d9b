"""What a search keeps from its users: KerasTuner's prints, repetitions, time for collections."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import warnings
from collections.abc import Iterator

ONCE = "once"
"""Attribute of a log record that `without_repetitions` shows once a value."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep KerasTuner's prints and the deprecations that it causes from users.

    And TensorFlow's advice not to trace so often: every trial has another model.
    """
    advice = logging.getLogger("tensorflow")
    advice.addFilter(_is_no_advice)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.filterwarnings("ignore", "currentThread|getName", DeprecationWarning)
            yield
    finally:
        advice.removeFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "tf.function retracing" not in record.getMessage()


@contextlib.contextmanager
def without_repetitions() -> Iterator[None]:
    """Within the block, show only the first of the log records that share an attribute `once`."""
    seen = set()

    def is_new(record: logging.LogRecord) -> bool:
        key = getattr(record, ONCE, None)
        new = key is None or key not in seen
        seen.add(key)
        return new

    logger = logging.getLogger("kt_tuning")
    logger.addFilter(is_new)
    try:
        yield
    finally:
        logger.removeFilter(is_new)


@contextlib.contextmanager
def light_collections() -> Iterator[None]:
    """Spare the collection after each trial the million objects that were there before.

    It frees the last trial's model; looking through all of TensorFlow would take longer than that.
    """
    if gc.get_freeze_count():
        # Somebody has spared them already, for longer than this.
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
