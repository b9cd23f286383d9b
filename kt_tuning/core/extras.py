"""Packages that some formats need and kt-tuning does not bring."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from kt_tuning.core.errors import MissingExtraError


def check_installed(wanted: str, extra: str | None, packages: Sequence[str]) -> None:
    """Refuse to go on without the packages of an extra.

    Args:
        wanted: What needs them, for the message.
        extra: Name of the extra in kt-tuning's setup that brings them; None if none is needed.
        packages: As they are imported.

    Raises:
        MissingExtraError: if one is missing.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        noun = "package" if len(missing) == 1 else "packages"
        raise MissingExtraError(
            f"{wanted} needs the {noun} {', '.join(missing)}: pip install 'kt-tuning[{extra}]'"
        )
