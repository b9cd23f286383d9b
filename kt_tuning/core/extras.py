"""Optional dependencies, which kt-tuning's extras install."""

from __future__ import annotations

import importlib.util

from kt_tuning.core.errors import MissingExtraError


def require_extra(purpose: str, extra: str, *packages: str) -> None:
    """Refuse to go on without the packages of an extra. Nothing is imported.

    Args:
        purpose: What needs them, as the subject of the message: "The tracker 'wandb'".
        extra: The extra in setup.cfg that installs them.
        *packages: Their import names; by default that of the extra.

    Raises:
        MissingExtraError: if one is missing.
    """
    needed = packages or (extra,)
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise missing_extra(purpose, extra, *missing)


def missing_extra(purpose: str, extra: str, *packages: str) -> MissingExtraError:
    """Return the error that says what to install; see `require_extra`."""
    noun = "package" if len(packages) == 1 else "packages"
    return MissingExtraError(
        f"{purpose} needs the {noun} {', '.join(packages)}: pip install 'kt-tuning[{extra}]'"
    )
