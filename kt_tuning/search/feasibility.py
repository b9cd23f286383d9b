"""Constraint values of trials, in the form that Optuna 4 and 5 both read."""

from __future__ import annotations

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

CONSTRAINTS = "constraints"
"""System attribute with a list of values, one a constraint. Optuna 5 writes an attribute
`constraints:NAME` for each instead, but reads the list, too."""


def mark_infeasible(storage: BaseStorage, trial_id: int) -> None:
    """Store that a trial violates a constraint."""
    storage.set_trial_system_attr(trial_id, CONSTRAINTS, [1.0])


def is_infeasible(trial: FrozenTrial) -> bool:
    """Return whether a trial violates a constraint: a value is above 0."""
    named = (
        value for key, value in trial.system_attrs.items() if key.startswith(f"{CONSTRAINTS}:")
    )
    return any(value > 0 for value in (*trial.system_attrs.get(CONSTRAINTS, ()), *named))
