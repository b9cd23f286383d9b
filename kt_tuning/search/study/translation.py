"""Translation of earlier trials into a wider space, and parameter names for the storage.

Optuna refuses a categorical parameter whose choices change, and samplers ignore a parameter with
different ranges in different trials or draw from its old range. So earlier trials are read as if
they had been drawn from the present space, if it contains their values; and a parameter that the
storage would refuse is stored under another name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    check_distribution_compatibility,
)
from optuna.trial import FrozenTrial

from kt_tuning.core.errors import OptionError
from kt_tuning.search.distributions import Parameter, SearchSpace

VALUES = "values"
"""Attribute of a trial: its configuration by KerasTuner's names."""

Distributions = Mapping[str, BaseDistribution]


def stored_names(space: SearchSpace, stored: Distributions) -> dict[str, str]:
    """Return other names for parameters that the storage would refuse.

    Args:
        space: The present space.
        stored: Distributions in the storage by name.

    Returns:
        Names in the storage by names of parameters, where they differ.
    """
    return {
        parameter.name: f"{parameter.name} {_shown(parameter.distribution)}"
        for parameter in space.parameters
        if parameter.distribution is not None
        and parameter.name in stored
        and not _compatible(stored[parameter.name], parameter.distribution)
    }


def first_distributions(trials: Iterable[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return the distribution of each parameter in the first trial that has it."""
    found: dict[str, BaseDistribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            found.setdefault(name, distribution)
    return found


def translated(
    trial: FrozenTrial, space: SearchSpace
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return parameters and distributions of a trial as if it had been drawn from a space.

    Args:
        trial: A trial; without the attribute `VALUES` it is returned unchanged.
        space: The present space.
    """
    values = trial.user_attrs.get(VALUES)
    if values is None:
        return trial.params, trial.distributions
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    for parameter in space.active(values):
        name, distribution = parameter.name, parameter.distribution
        if distribution is None:
            continue
        if trial.distributions.get(name) == distribution:
            params[name], distributions[name] = trial.params[name], distribution
        elif (drawn := _drawn(parameter, values[parameter.hp.name])) is not None:
            params[name], distributions[name] = drawn, distribution
        elif name in trial.params:
            params[name], distributions[name] = trial.params[name], trial.distributions[name]
    return params, distributions


def _drawn(parameter: Parameter, value: Any) -> Any:
    """Return the study's value for a value of a hyperparameter; None if it is out of range."""
    try:
        return parameter.to_study(value)
    except OptionError:
        return None


def _compatible(stored: BaseDistribution, now: BaseDistribution) -> bool:
    try:
        check_distribution_compatibility(stored, now)
    except ValueError:
        return False
    return True


def _shown(distribution: BaseDistribution) -> str:
    """Return a text that distinguishes distributions which need different names."""
    if isinstance(distribution, CategoricalDistribution):
        return f"{{{', '.join(map(str, distribution.choices))}}}"
    kind = type(distribution).__name__.removesuffix("Distribution").lower()
    return f"({kind}, log)" if getattr(distribution, "log", False) else f"({kind})"
