"""What a search keeps from its users: KerasTuner's prints, repetitions, time for collections."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

from kt_tuning.retracing import without_retracing_advice


@contextlib.contextmanager
def quiet(*, prints: bool = False) -> Iterator[None]:
    """Hide KerasTuner's prints, the deprecations that it causes, and advice on retracing.

    Args:
        prints: Whether what is printed is shown, as users' own code runs in the block.
    """
    with without_retracing_advice(), warnings.catch_warnings(), contextlib.ExitStack() as hidden:
        if not prints:
            hidden.enter_context(contextlib.redirect_stdout(io.StringIO()))
        warnings.filterwarnings("ignore", "currentThread|getName", DeprecationWarning)
        yield
