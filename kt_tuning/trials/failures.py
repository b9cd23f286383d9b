"""What a trial is to be called whose build or training raised."""

from __future__ import annotations

import keras_tuner

from kt_tuning.core.records import FAILED, INFEASIBLE, OUT_OF_MEMORY
from kt_tuning.trials.spec import InfeasibleError, TrialFailedError


def describe_failure(error: Exception) -> tuple[str, str]:
    """Status and message of a trial, for what it raised."""
    name = type(error).__name__
    text = str(error).strip()
    if isinstance(error, (InfeasibleError, keras_tuner.errors.FailedTrialError)):
        return INFEASIBLE, text
    if isinstance(error, TrialFailedError):
        return FAILED, text
    # TensorFlow's by its name: it need not be there.
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError":
        return INFEASIBLE, f"{OUT_OF_MEMORY}: {text.splitlines()[0] if text else name}"
    return FAILED, f"{name}: {text}" if text else name
