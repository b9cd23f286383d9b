"""What needs a newer Keras than the oldest that the package supports."""

from __future__ import annotations

import keras


def missing_before(version: str, *values: str) -> dict[str, str]:
    """Return the values that the installed Keras lacks, with what they need; see `Space.choice`.

    Args:
        version: First version of Keras that has them: "3.13".
        *values: Values of a hyperparameter.
    """
    if _numbers(keras.__version__) >= _numbers(version):
        return {}
    needed = f"Keras {version} or newer. Installed: {keras.__version__}"
    return dict.fromkeys(values, needed)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")[:2]]
