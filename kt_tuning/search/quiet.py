"""Suppression of KerasTuner's prints, of repeated log records and of long garbage collections."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import warnings
from collections.abc import Iterator

from kt_tuning.trials import ONCE


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress KerasTuner's prints and deprecation warnings in the block.

    TensorFlow's warning about repeated tracing is suppressed as well: each trial has another model.
    """
    tensorflow = logging.getLogger("tensorflow")
    tensorflow.addFilter(_is_no_tracing_warning)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.filterwarnings("ignore", "currentThread|getName", DeprecationWarning)
            yield
    finally:
        tensorflow.removeFilter(_is_no_tracing_warning)


def _is_no_tracing_warning(record: logging.LogRecord) -> bool:
    return "tf.function retracing" not in record.getMessage()


@contextlib.contextmanager
def without_repetitions() -> Iterator[None]:
    """Show only the first log record with each value of the attribute `once` in the block."""
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
    """Exclude existing objects from garbage collection in the block.

    The collection after each trial frees its model; scanning the million objects of TensorFlow
    would take longer than that.
    """
    if gc.get_freeze_count():
        # The caller has excluded them for longer.
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
