"""Checks, parsing and formatting of counts and durations."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real
from typing import Any, Literal, overload

from kt_tuning.core.errors import OptionError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_UNIT = r"s|sec|seconds?|m|min|minutes?|h|hours?|d|days?"
_PART = re.compile(rf"(\d+(?:\.\d+)?)\s*({_UNIT})(?![a-z])\s*")


@overload
def check_count(
    name: str, value: Any, *, least: int = 1, optional: Literal[False] = False
) -> int: ...


@overload
def check_count(
    name: str, value: Any, *, least: int = 1, optional: Literal[True]
) -> int | None: ...


def check_count(name: str, value: Any, *, least: int = 1, optional: bool = False) -> int | None:
    """Return a whole number as a Python int, also that of NumPy's integers.

    Args:
        name: Name of the option, for the message.
        value: The number.
        least: The smallest one that is allowed.
        optional: Whether None is allowed.

    Raises:
        OptionError: if it is not a whole number, or too small.
    """
    if value is None and optional:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        none = ", or None" if optional else ""
        raise OptionError(
            f"`{name}` is a whole number, at least {least}{none}. Received: {name}={value!r}"
        )
    return int(value)


def check_share(name: str, value: Any) -> float:
    """Return a share, 0 to 1, as a Python float.

    Raises:
        OptionError: if it is no number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise OptionError(f"`{name}` should be a number from 0 to 1. Received: {name}={value!r}")
    return float(value)


def seconds(duration: str | float | None, name: str = "time_limit") -> float | None:
    """Convert a duration to seconds.

    Args:
        duration: "90s", "10m", "1h30m", "2 d", a number of seconds, or None for no limit.
        name: Name of the option, for the message.

    Raises:
        OptionError: if it is not a positive duration.
    """
    if duration is None:
        return None
    problem = OptionError(
        f"`{name}` is a duration such as '90s', '10m' or '1h30m', or a number of seconds. "
        f"Received: {duration!r}"
    )
    if isinstance(duration, str):
        text = duration.strip().lower()
        parts = list(_PART.finditer(text))
        if text and "".join(part.group(0) for part in parts) == text:
            total = sum(float(part.group(1)) * _SECONDS[part.group(2)[0]] for part in parts)
        else:
            try:
                total = float(text)
            except ValueError:
                raise problem from None
    else:
        total = float(duration)
    if not math.isfinite(total) or total <= 0:
        raise problem
    return total


def clock(duration: float) -> str:
    """Format seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def count(value: int, noun: str, plural: str | None = None) -> str:
    """Format a count with its noun: "1 trial", "1,200 trials"."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"
