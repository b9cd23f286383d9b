"""One thread at a time in an oracle."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from kt_tuning.core.quiet import ignored_warnings

Method = TypeVar("Method", bound=Callable[..., Any])


def guarded(method: Method) -> Method:
    """Hold the oracle's `_lock`; unlike `keras_tuner.synchronized`, an error lets it go.

    KerasTuner's averages warn of metrics that are not a number; here such a trial fails, and says
    why.
    """

    @functools.wraps(method)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._lock, ignored_warnings(RuntimeWarning, "All-NaN"):
            return method(self, *args, **kwargs)

    return cast(Method, locked)
