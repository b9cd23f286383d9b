"""Comparison of a search space with that of earlier trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_tuner.engine import hyperparameters as hps

from kt_tuning.core.errors import OptionError
from kt_tuning.core.records import TrialRecord
from kt_tuning.search.distributions import Parameter, SearchSpace, overlap

ENOUGH = 1000
"""Largest number of values of a range that are compared."""


def space_differences(
    before: Sequence[hps.HyperParameter],
    now: Sequence[hps.HyperParameter],
    fixed: Mapping[str, Any],
) -> dict[str, str]:
    """Return the hyperparameters and values that a space has lost.

    Args:
        before: The space of earlier trials.
        now: The present space.
        fixed: Known values of hyperparameters that the hypermodel does not search.

    Returns:
        Texts by name of the hyperparameter.
    """
    found: dict[str, str] = {}
    present = SearchSpace(now).parameters
    for parameter in SearchSpace(before).parameters:
        hp = parameter.hp
        candidates = [other for other in present if overlap(hp, other.hp)]
        if any(_covers(other, parameter) for other in candidates):
            continue
        if candidates:
            told = describe(candidates[0].hp)
            if told == describe(hp):
                told = "under other conditions"
        else:
            told = f"fixed at {fixed[hp.name]}" if hp.name in fixed else "not searched"
        found[hp.name] = f"{hp.name}: was {describe(hp)}, now {told}"
    return found


def lacking(
    before: Sequence[hps.HyperParameter],
    now: Sequence[hps.HyperParameter],
    trials: Iterable[TrialRecord],
    *,
    new: bool,
) -> dict[str, str]:
    """Return hyperparameters without a value in earlier trials that had another default then.

    Args:
        before: The space of earlier trials.
        now: The present space.
        trials: The earlier trials.
        new: Whether new hyperparameters count, as it is unknown what trials were trained with.

    Returns:
        Texts by name of the hyperparameter.
    """
    defaults = {hp.name: hp.default for hp in before}
    found: dict[str, str] = {}
    for trial in trials:
        for parameter in SearchSpace(now).parameters:
            hp = parameter.hp
            if hp.name in trial.values or not parameter.is_active(trial.values):
                continue
            if hp.name not in defaults and new:
                change = f"was not searched, now {describe(hp)}"
            elif defaults.get(hp.name, hp.default) != hp.default:
                change = f"default was {defaults[hp.name]}, now {hp.default}"
            else:
                continue
            told = f"{hp.name}: {change}; trial {trial.number} was trained without it"
            found.setdefault(hp.name, told)
    return found


def describe(hp: hps.HyperParameter) -> str:
    """Describe a hyperparameter, such as "searched from {16, 32}" or "fixed at 8"."""
    match hp:
        case hps.Fixed():
            return f"fixed at {hp.value}"
        case hps.Choice():
            return f"searched from {{{', '.join(map(str, hp.values))}}}"
        case hps.Boolean():
            return "searched from {False, True}"
        case hps.Int() | hps.Float():
            step = "" if hp.step in (None, 1) else f" in steps of {hp.step}"
            scale = "" if hp.sampling == "linear" else f" ({hp.sampling})"
            return f"searched from {hp.min_value} to {hp.max_value}{step}{scale}"
    return repr(hp)


def _covers(now: Parameter, before: Parameter) -> bool:
    """Whether a present hyperparameter has each value of an earlier one, under its conditions."""
    # 1 and 1.0 are equal but have different types.
    if str(now.hp.get_config()) == str(before.hp.get_config()):
        return type(now.hp) is type(before.hp)
    conditions = {condition.name: condition.values for condition in before.hp.conditions}
    for condition in now.hp.conditions:
        if not set(conditions.get(condition.name, ())) <= set(condition.values):
            return False
        if condition.name not in conditions:
            return False
    values = _values(before)
    kinds = {type(value) for value in values}
    if not kinds <= {type(value) for value in _values(now)}:
        return False
    ranged = (hps.Int, hps.Float)
    if (
        isinstance(before.hp, hps.Float)
        and before.hp.step is None
        and (not isinstance(now.hp, hps.Float) or now.hp.step is not None)
    ):
        return False
    if isinstance(before.hp, ranged) and not isinstance(now.hp, ranged) and len(values) >= ENOUGH:
        return False
    try:
        for value in values:
            now.to_study(value)
    except OptionError:
        return False
    return True


def _values(parameter: Parameter) -> list[Any]:
    """Return values of a hyperparameter; of a range its ends and values in between."""
    hp = parameter.hp
    match hp:
        case hps.Fixed():
            return [hp.value]
        case hps.Boolean():
            return [False, True]
        case hps.Choice():
            return list(hp.values)
        case hps.Int() if hp.sampling == "linear" or hp.step is None:
            every = range(hp.min_value, hp.max_value + 1, hp.step or 1)
            return [*every[: ENOUGH - 1], every[-1]]
        case hps.Float() if hp.step is not None and hp.sampling == "linear":
            count = int((hp.max_value - hp.min_value) / hp.step + 1e-6) + 1
            return [hp.min_value + hp.step * index for index in range(min(count, ENOUGH))]
        case hps.Int() | hps.Float() if hp.step is not None:
            return list(parameter.choices)
    return [hp.min_value, hp.max_value]
