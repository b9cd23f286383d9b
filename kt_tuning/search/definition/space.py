"""Whether a space still has every configuration that another one had, and how it differs if not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_tuner.engine import hyperparameters as hps

from kt_tuning.core.errors import OptionError
from kt_tuning.core.records import TrialRecord
from kt_tuning.search.distributions import Parameter, SearchSpace, overlap

ENOUGH = 1000
"""Values of a range that are looked at one by one; of a longer one so many are."""


def space_differences(
    before: Sequence[hps.HyperParameter],
    now: Sequence[hps.HyperParameter],
    fixed: Mapping[str, Any],
) -> dict[str, str]:
    """What a space has lost: hyperparameters, and values of them.

    Args:
        before: The space of earlier trials.
        now: The space that is to be searched.
        fixed: Values of hyperparameters that the hypermodel does not search, as far as known.

    Returns:
        In words, by name.
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
    """Hyperparameters that earlier trials have no value of, and were not at the present default.

    Args:
        before: The space of earlier trials.
        now: The space that is to be searched.
        trials: The earlier ones.
        new: Whether a hyperparameter that the earlier space did not have counts: then it is not
            known what they were trained with.

    Returns:
        In words, by name.
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
    """What a hyperparameter may be: "searched from {16, 32}", "fixed at 8"."""
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
    """Whether each value of an earlier hyperparameter is one of a present one, wherever it was."""
    # 1 and 1.0 are equal, and not the same.
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
    """Values of a hyperparameter; of a range both ends and what is between."""
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
