"""Optional packages that trackers need."""

from __future__ import annotations

import importlib.util

from kt_tuning.errors import MissingExtraError


def require(package: str) -> None:
    """Raise an error if a package is missing; the extra that installs it has the same name.

    Raises:
        MissingExtraError: if it is missing.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(
            f"The tracker {package!r} needs the package {package}: "
            f"pip install 'kt-tuning[{package}]'"
        )
