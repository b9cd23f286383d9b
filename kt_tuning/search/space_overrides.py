"""Fixing or narrowing hyperparameters of a space by name, as in a YAML file."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as hps

from kt_tuning.core.errors import OptionError
from kt_tuning.search.distributions import Parameter, SearchSpace, Value

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
    parameters = SearchSpace(space.space).parameters
    names = {parameter.hp.name for parameter in parameters}
    for name in wanted:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known: {sorted(names)}."
            raise OptionError(f"There is no hyperparameter {name!r} to narrow. {hint}")
    narrowed = keras_tuner.HyperParameters()
    narrowed.merge(
        [
            _narrowed(parameter, wanted[parameter.hp.name])
            if parameter.hp.name in wanted
            else parameter.hp
            for parameter in parameters
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
    """A value with the type of the space.

    Raises:
        OptionError: if the space does not have it.
    """
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
