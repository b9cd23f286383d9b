"""TensorFlow's advice on functions that are traced often, which is wrong for many models."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


class _NoAdvice(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return "tf.function retracing" not in record.getMessage()


@contextlib.contextmanager
def without_retracing_advice() -> Iterator[None]:
    """Hide TensorFlow's advice to trace functions less often.

    TensorFlow counts by the code of a function, and the functions of all Keras models have the same
    code. So the first prediction of each new model counts as a function that is traced again.
    """
    # A filter for each block: of nested blocks the inner one would remove a shared filter.
    logger, hidden = logging.getLogger("tensorflow"), _NoAdvice()
    logger.addFilter(hidden)
    try:
        yield
    finally:
        logger.removeFilter(hidden)
