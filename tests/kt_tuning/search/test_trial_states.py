"""Constraint values of trials, as Optuna 4 and Optuna 5 store them."""

import optuna
import pytest

from kt_tuning.search.study.trial_states import is_infeasible


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, False),
        ({"constraints": [0.0, -1.0]}, False),
        ({"constraints": [-1.0, 0.5]}, True),
        ({"constraints:size": -2.0}, False),
        ({"constraints:size": -2.0, "constraints:time": 0.5}, True),
    ],
)
def test_a_trial_is_infeasible_if_any_constraint_is_above_zero(attributes, expected):
    trial = optuna.create_trial(value=1.0, system_attrs=attributes)
    assert is_infeasible(trial) is expected
