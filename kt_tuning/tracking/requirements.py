"""Packages that some trackers need and kt-tuning does not bring."""

from __future__ import annotations

import importlib.util

from kt_tuning.core.errors import MissingExtraError


def require(package: str) -> None:
    """Refuse to go on without a package; the extra that brings it has its name.

    Raises:
        MissingExtraError: if it is missing.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(
            f"The tracker {package!r} needs the package {package}: "
            f"pip install 'kt-tuning[{package}]'"
        )
