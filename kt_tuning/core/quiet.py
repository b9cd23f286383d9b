"""Context managers that keep the output of other libraries from users.

They hide only output that is not about the user's code: notices of a library about itself, progress
that is shown in another way, and warnings about code of this package.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

ONCE = "once"
"""Attribute of a log record that `without_repetitions` shows once a value."""


@contextlib.contextmanager
def ignored_warnings(category: type[Warning] = Warning, message: str = "") -> Iterator[None]:
    """Ignore warnings within the block.

    Args:
        category: Their class.
        message: Regular expression that their text begins with.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, category)
        yield


@contextlib.contextmanager
def quiet_logger(name: str, level: int = logging.WARNING) -> Iterator[None]:
    """Show only records of `level` and above of a logger within the block."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def without_retracing_advice() -> Iterator[None]:
    """Hide TensorFlow's advice to trace functions less often.

    TensorFlow counts by the code of a function, and the functions of all Keras models have the same
    code. So the first prediction of each new model counts as a function that is traced again.
    """
    logger = logging.getLogger("tensorflow")

    # A filter for each block: of nested blocks the inner one would remove a shared filter.
    def hidden(record: logging.LogRecord) -> bool:
        return "tf.function retracing" not in record.getMessage()

    logger.addFilter(hidden)
    try:
        yield
    finally:
        logger.removeFilter(hidden)


@contextlib.contextmanager
def quiet_keras_tuner(*, prints: bool = False) -> Iterator[None]:
    """Hide what KerasTuner prints, its deprecations, and TensorFlow's warnings of retracing.

    Args:
        prints: Whether what is printed is shown, as users' own code runs in the block.
    """
    with (
        without_retracing_advice(),
        ignored_warnings(DeprecationWarning, "currentThread|getName"),
        contextlib.ExitStack() as hidden,
    ):
        if not prints:
            hidden.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield


@contextlib.contextmanager
def quiet_optuna(level: int = logging.WARNING) -> Iterator[None]:
    """Hide Optuna's log records below `level` and its warnings of experimental features."""
    import_tqdm()
    import optuna
    from optuna.exceptions import ExperimentalWarning

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(level)
    try:
        with ignored_warnings(ExperimentalWarning):
            yield
    finally:
        optuna.logging.set_verbosity(before)


def import_tqdm() -> None:
    """Import tqdm without its warning of a notebook that lacks ipywidgets.

    Optuna imports it, so this comes before Optuna is imported.
    """
    with ignored_warnings(message="IProgress not found"):
        importlib.import_module("tqdm.auto")


def import_tensorflow() -> None:
    """Import TensorFlow without the lines that its C++ code writes before logging is set up."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_held_back():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Hold back the output to file descriptor 2, and write it if the block raises."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


@contextlib.contextmanager
def without_repetitions() -> Iterator[None]:
    """Show only the first of the log records that share a value of the attribute `once`."""
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
    """Exclude the objects that exist already from garbage collections within the block.

    A collection after each trial frees its model. Looking through the million objects that
    TensorFlow's import leaves would take longer than that.
    """
    if gc.get_freeze_count():
        # They are excluded already, for longer than this block.
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
