"""Earlier trials in a space that has been widened since, and names that a storage takes.

Optuna refuses a categorical parameter whose choices change, and samplers leave out, or draw from
the old range of, a parameter that has different ranges in different trials. So earlier trials are
read as if they had been drawn from the space as it is now, which is true as long as it has their
values; and a parameter that a storage would refuse is stored under a name of its own.
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
    """Under which name a storage takes each parameter that it refuses under its own.

    Args:
        space: As it is now.
        stored: What the storage has, by its names.

    Returns:
        By the parameter's name; those that need no other name are left out.
    """
    return {
        parameter.name: f"{parameter.name} {_shown(parameter.distribution)}"
        for parameter in space.parameters
        if parameter.distribution is not None
        and parameter.name in stored
        and not _compatible(stored[parameter.name], parameter.distribution)
    }


def first_distributions(trials: Iterable[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The distribution of each parameter in the first trial that has it."""
    found: dict[str, BaseDistribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            found.setdefault(name, distribution)
    return found


def translated(
    trial: FrozenTrial, space: SearchSpace
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Parameters and distributions of a trial, as if it had been drawn from a space.

    Args:
        trial: With its configuration in the attribute `VALUES`; one without it stays as it is.
        space: As it is now.
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
    """The study's value of a hyperparameter's; None if it is out of range."""
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
    """What tells distributions apart that a storage does not take under one name."""
    if isinstance(distribution, CategoricalDistribution):
        return f"{{{', '.join(map(str, distribution.choices))}}}"
    kind = type(distribution).__name__.removesuffix("Distribution").lower()
    return f"({kind}, log)" if getattr(distribution, "log", False) else f"({kind})"
