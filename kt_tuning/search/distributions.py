"""Exact conversion of KerasTuner's hyperparameters to Optuna's distributions and back."""

from __future__ import annotations

import contextlib
import dataclasses
import decimal
import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine import hyperparameters as hps
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from kt_tuning.core.errors import OptionError

Value = bool | int | float | str
"""Type of the value of a hyperparameter."""
Values = dict[str, Value]
"""Hyperparameter values by KerasTuner's names, active ones only."""

ON_GRID = 1e-6
"""Largest distance of a value from the grid, in steps, that counts as on the grid."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One KerasTuner hyperparameter and its counterpart in the study.

    Attributes:
        hp: The hyperparameter.
        name: Its name in the study: `hp.name`, unless that is taken by another range.
        distribution: What Optuna draws from; None if there is nothing to draw.
        mirror: Set for "reverse_log": the study's parameter is `mirror - value`, on a log scale.
    """

    hp: hps.HyperParameter
    name: str
    distribution: BaseDistribution | None
    mirror: float | None = None

    def is_active(self, values: Mapping[str, Any]) -> bool:
        """Whether all parents have the values that this hyperparameter asks for."""
        return all(condition.is_active(values) for condition in self.hp.conditions)

    def suggest(self, trial: optuna.Trial) -> Value:
        """Let the study's sampler choose; return the hyperparameter's value."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                drawn: Any = trial.suggest_categorical(self.name, choices)
            case IntDistribution(low=low, high=high, step=step, log=log):
                drawn = trial.suggest_int(self.name, low, high, step=step, log=log)
            case FloatDistribution(low=low, high=high, step=step, log=log):
                drawn = trial.suggest_float(self.name, low, high, step=step, log=log)
            case _:
                drawn = self.hp.default
        return self.to_keras(drawn)

    def to_keras(self, drawn: Any) -> Value:
        """The hyperparameter's value for one of the study's."""
        if not isinstance(self.distribution, (IntDistribution, FloatDistribution)):
            return drawn
        if self.mirror is not None:
            drawn = self.mirror - drawn
        if isinstance(self.hp, hps.Int):
            return int(drawn)
        if self.hp.step is not None:
            # Bit for bit what KerasTuner computes: 0.1 * 3 is not 0.3.
            steps = round((drawn - self.hp.min_value) / self.hp.step)
            drawn = self.hp.min_value + steps * self.hp.step
        return float(min(max(drawn, self.hp.min_value), self.hp.max_value))

    def to_study(self, value: Any) -> Any:
        """The study's value for one of the hyperparameter's.

        Raises:
            OptionError: if `value` is out of range.
        """
        if isinstance(self.distribution, CategoricalDistribution) or self.distribution is None:
            choices = self.choices
            if value not in choices:
                raise self._outside(value, f"one of {', '.join(map(repr, choices))}")
            return choices[choices.index(value)]
        low, high, step = self.hp.min_value, self.hp.max_value, self.hp.step
        whole = isinstance(self.hp, hps.Int)
        kind = "a whole number" if whole else "a number"
        expected = f"{kind} from {low} to {high}" + (f" in steps of {step}" if step else "")
        # KerasTuner's own arithmetic oversteps a bound by a rounding error.
        slack = 0.0 if whole else ON_GRID * (high - low)
        wrong_type = isinstance(value, (bool, str)) or (whole and value % 1)
        if wrong_type or not low - slack <= value <= high + slack:
            raise self._outside(value, expected)
        nearest = self.nearest(value)
        if step and abs(self.to_keras(nearest) - value) > ON_GRID * step:
            raise self._outside(value, expected)
        return nearest

    def nearest(self, value: Any) -> Any:
        """The study's value closest to a hyperparameter's, which may be off the grid.

        KerasTuner takes any default, also one that its own sampling cannot reach.
        """
        match self.distribution:
            case IntDistribution(low=low, high=high, step=step):
                drawn = value if self.mirror is None else self.mirror - value
                return int(min(max(low + round((drawn - low) / step) * step, low), high))
            case FloatDistribution(low=low, high=high, step=step):
                drawn = value if self.mirror is None else self.mirror - value
                if step is not None:
                    drawn = low + round((drawn - low) / step) * step
                return float(min(max(drawn, low), high))
        choices = self.choices
        if value in choices or isinstance(value, str):
            return choices[choices.index(value)]
        return min(choices, key=lambda choice: abs(choice - value))

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a parameter without an order, or the only one."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices
        return (self.hp.default,)

    def _outside(self, value: Any, expected: str) -> OptionError:
        return OptionError(f"{self.hp.name!r} should be {expected}. Received: {value!r}")


class SearchSpace:
    """A KerasTuner space, walked parents first.

    Args:
        space: `HyperParameters.space`: every parent comes before its children.
    """

    def __init__(self, space: Iterable[hps.HyperParameter]) -> None:
        self.parameters: list[Parameter] = []
        taken: dict[str, Parameter] = {}
        for hp in space:
            parameter = _parameter(hp)
            same = taken.get(parameter.name)
            if same is not None and same.distribution != parameter.distribution:
                scope = ", ".join(
                    f"{c.name}={'|'.join(map(str, c.values))}" for c in parameter.hp.conditions
                )
                parameter = dataclasses.replace(parameter, name=f"{parameter.name} [{scope}]")
            taken.setdefault(parameter.name, parameter)
            self.parameters.append(parameter)

    def walk(self, choose: Callable[[Parameter], Value]) -> Values:
        """Give every active hyperparameter the value that `choose` returns."""
        values: Values = {}
        for parameter in self.parameters:
            # Under overlapping scopes a name may be active twice; KerasTuner holds one value.
            if parameter.hp.name not in values and parameter.is_active(values):
                values[parameter.hp.name] = choose(parameter)
        return values

    def active(self, values: Mapping[str, Any]) -> list[Parameter]:
        """The parameters that `values` make active and have a value for."""
        found: dict[str, Parameter] = {}
        for parameter in self.parameters:
            if parameter.hp.name in values and parameter.is_active(values):
                found.setdefault(parameter.hp.name, parameter)
        return list(found.values())

    def defaults(self) -> Values:
        """The default configuration."""
        return self.walk(lambda parameter: parameter.hp.default)

    def check_names(self, wanted: Iterable[str]) -> None:
        """Refuse names that the space does not have, with an `OptionError`."""
        names = {parameter.hp.name for parameter in self.parameters}
        for name in wanted:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                hint = f"Did you mean {close[0]!r}?" if close else f"Known: {sorted(names)}."
                raise OptionError(f"There is no hyperparameter {name!r}. {hint}")

    def check(self, values: Mapping[str, Any]) -> Values:
        """Return `values`, some or all of a configuration, with the types of the space.

        Raises:
            OptionError: if a name is unknown, not active or its value out of range.
        """
        self.check_names(values)
        active = {parameter.hp.name: parameter for parameter in self.active(values)}
        for name in values:
            if name not in active:
                scopes = " or ".join(
                    " and ".join(f"{c.name} in {c.values}" for c in parameter.hp.conditions)
                    for parameter in self.parameters
                    if parameter.hp.name == name
                )
                raise OptionError(f"{name!r} needs {scopes}. Received: {dict(values)}")
        return {
            name: active[name].to_keras(active[name].to_study(value))
            for name, value in values.items()
        }


def overlap(one: hps.HyperParameter, other: hps.HyperParameter) -> bool:
    """Whether two hyperparameters have one name, and may both be active."""
    parents = {condition.name: condition.values for condition in other.conditions}
    return one.name == other.name and all(
        condition.name not in parents or set(condition.values) & set(parents[condition.name])
        for condition in one.conditions
    )


def _parameter(hp: hps.HyperParameter) -> Parameter:
    distribution: BaseDistribution | None
    match hp:
        case hps.Fixed():
            distribution = None
        case hps.Boolean():
            distribution = CategoricalDistribution((False, True))
        case hps.Choice():
            distribution = CategoricalDistribution(tuple(dict.fromkeys(hp.values)))
        case hps.Int(sampling="linear"):
            high = hp.max_value - (hp.max_value - hp.min_value) % hp.step
            distribution = IntDistribution(hp.min_value, high, step=hp.step)
        case hps.Float(sampling="linear", step=None):
            distribution = FloatDistribution(hp.min_value, hp.max_value)
        case hps.Float(sampling="linear"):
            # KerasTuner's floor division drops the last value of (0, 1, step=0.2), against its
            # documentation. Decimals keep Optuna from calling 0.6000000000000001 off the grid.
            steps = math.floor((hp.max_value - hp.min_value) / hp.step + ON_GRID)
            low, step = decimal.Decimal(str(hp.min_value)), decimal.Decimal(str(float(hp.step)))
            high = float(low + steps * step)
            distribution = FloatDistribution(hp.min_value, high, step=float(hp.step))
        case hps.Int(step=None):
            distribution = IntDistribution(hp.min_value, hp.max_value, log=True)
        case hps.Float(step=None):
            distribution = FloatDistribution(hp.min_value, hp.max_value, log=True)
        case hps.Int() | hps.Float():
            # A logarithmic range with a step: Optuna has no such thing, but the values are few.
            count = len(tuple(hp.values))
            values = {hp.prob_to_value((index + 0.5) / count) for index in range(count)}
            distribution = CategoricalDistribution(tuple(sorted(values)))
        case _:
            raise OptionError(f"Cannot search a hyperparameter of type {type(hp).__name__}: {hp!r}")
    if getattr(hp, "sampling", None) == "reverse_log" and hp.step is None:
        mirror = hp.min_value + hp.max_value
        return Parameter(hp, f"{mirror:g} - {hp.name}", distribution, mirror)
    return Parameter(hp, hp.name, distribution)


RANGE = {"min": "min_value", "max": "max_value", "step": "step", "sampling": "sampling"}
"""Keys of a range, and KerasTuner's names for them."""


def narrow(
    space: keras_tuner.HyperParameters, wanted: Mapping[str, Any]
) -> keras_tuner.HyperParameters:
    """Fix or narrow some hyperparameters of a space.

    Args:
        space: The whole space, which is not changed.
        wanted: By name: a value, which fixes the hyperparameter; a list of values to choose from;
            or for a number a sub-range such as `{"min": 16, "max": 64, "step": 16, "sampling":
            "log"}`, in which each key is optional.

    Returns:
        A space for `Tuner(hyperparameters=...)`. A default outside of it becomes the nearest or
        the first possible value.

    Raises:
        OptionError: if a name is unknown or a value is not in the space.
    """
    known = SearchSpace(space.space)
    known.check_names(wanted)
    narrowed = keras_tuner.HyperParameters()
    narrowed.merge(
        [
            _narrowed(each, wanted[each.hp.name]) if each.hp.name in wanted else each.hp
            for each in known.parameters
        ]
    )
    return narrowed


def _narrowed(parameter: Parameter, wanted: Any) -> hps.HyperParameter:
    hp = parameter.hp
    if wanted is None or wanted == []:
        raise OptionError(
            f"{hp.name!r} should have a value, a list of values, or a range such as "
            "{min: 1, max: 8}. "
            f"Received: {wanted!r}"
        )
    if isinstance(wanted, Mapping):
        return _range(parameter, wanted)
    asked = wanted if isinstance(wanted, list) else [wanted]
    values = list(dict.fromkeys(_value(parameter, one) for one in asked))
    if len(values) == 1:
        return hps.Fixed(hp.name, values[0], conditions=hp.conditions)
    if isinstance(hp, hps.Boolean):
        return hp
    default = hp.default if hp.default in values else values[0]
    return hps.Choice(hp.name, values, default=default, conditions=hp.conditions)


def _value(parameter: Parameter, wanted: Any) -> Value:
    """Return a value with the type of the space."""
    if isinstance(wanted, str) and not isinstance(parameter.hp.default, str):
        # YAML takes 1e-3 for a text.
        with contextlib.suppress(ValueError):
            wanted = float(wanted)
    return parameter.to_keras(parameter.to_study(wanted))


def _range(parameter: Parameter, wanted: Mapping[str, Any]) -> hps.HyperParameter:
    hp = parameter.hp
    if not isinstance(hp, (hps.Int, hps.Float)):
        raise OptionError(
            f"{hp.name!r} is no number, so it is narrowed by a list of values. "
            f"Received: {dict(wanted)!r}"
        )
    if unknown := wanted.keys() - RANGE.keys():
        raise OptionError(
            f"A range has {', '.join(RANGE)}. Received for {hp.name!r}: {sorted(unknown)}"
        )
    config = {**hp.get_config(), **{RANGE[name]: value for name, value in wanted.items()}}
    if "sampling" in wanted and "step" not in wanted:
        # A step means another thing on another scale.
        config["step"] = None
    for name in ("min_value", "max_value", "step"):
        if isinstance(config[name], str):
            with contextlib.suppress(ValueError):
                config[name] = float(config[name])
    try:
        inside = hp.min_value <= config["min_value"] <= config["max_value"] <= hp.max_value
        if not inside:
            raise ValueError(f"it should lie within {hp.min_value} to {hp.max_value}")
        made = type(hp).from_config({**config, "default": None})
        (small,) = SearchSpace([made]).parameters
        default = small.to_keras(small.nearest(hp.default))
        return type(hp).from_config({**config, "default": default})
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"The range of {hp.name!r} cannot be {dict(wanted)!r}: {error}"
        ) from error
