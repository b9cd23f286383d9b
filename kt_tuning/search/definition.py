"""The definition of a search (everything that affects its trials), and differences of two."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as hps
from optuna.distributions import FloatDistribution, IntDistribution

from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.core.json_record import RESTORE, Record, content_checked
from kt_tuning.core.records import SearchRecord, TrialRecord
from kt_tuning.recipe import SEARCHED
from kt_tuning.run import Run
from kt_tuning.run.layout import DEFINITION, SEARCH
from kt_tuning.search.descriptions import NAME, STATE, Rows, as_stored, structure_difference
from kt_tuning.search.distributions import Parameter, SearchSpace, overlap

ENOUGH = 1000
"""Largest number of values of a range that are compared."""
FIXED = "fixed"
"""Attribute of the hypermodels of `hypermodels`: values that are not searched."""


def space_differences(
    before: Sequence[hps.HyperParameter],
    now: Sequence[hps.HyperParameter],
    fixed: Mapping[str, Any],
) -> dict[str, str]:
    """Return texts by name of the hyperparameters and values that a space has lost.

    Args:
        before: The space of earlier trials.
        now: The present space.
        fixed: Known values of hyperparameters that the hypermodel does not search.
    """
    found: dict[str, str] = {}
    present = SearchSpace(now).parameters
    for parameter in SearchSpace(before).parameters:
        hp = parameter.hp
        candidates = [other for other in present if overlap(hp, other.hp)]
        if any(_covers(other, parameter) for other in candidates):
            continue
        if candidates:
            told = _describe(candidates[0].hp)
            if told == _describe(hp):
                told = "under other conditions"
        else:
            told = f"fixed at {fixed[hp.name]}" if hp.name in fixed else "not searched"
        found[hp.name] = f"{hp.name}: was {_describe(hp)}, now {told}"
    return found


def _untried(
    before: Sequence[hps.HyperParameter],
    now: Sequence[hps.HyperParameter],
    trials: Iterable[TrialRecord],
    *,
    new: bool,
) -> dict[str, str]:
    """Return texts by name of hyperparameters without a value in earlier trials.

    Those count that had another default then, and if `new` is true all that are new, as it is
    unknown what the trials were trained with.
    """
    defaults = {hp.name: hp.default for hp in before}
    found: dict[str, str] = {}
    for trial in trials:
        for parameter in SearchSpace(now).parameters:
            hp = parameter.hp
            if hp.name in trial.values or not parameter.is_active(trial.values):
                continue
            if hp.name not in defaults and new:
                change = f"was not searched, now {_describe(hp)}"
            elif defaults.get(hp.name, hp.default) != hp.default:
                change = f"default was {defaults[hp.name]}, now {hp.default}"
            else:
                continue
            told = f"{hp.name}: {change}; trial {trial.number} was trained without it"
            found.setdefault(hp.name, told)
    return found


def _describe(hp: hps.HyperParameter) -> str:
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
    conditions = {condition.name: set(condition.values) for condition in before.hp.conditions}
    for condition in now.hp.conditions:
        if not conditions.get(condition.name, {None}) <= set(condition.values):
            return False
    values = _values(before)
    if not {type(value) for value in values} <= {type(value) for value in _values(now)}:
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
    match parameter.distribution:
        case IntDistribution(low=low, high=high, step=step, log=False):
            every = range(low, high + 1, step)
            return [*every[: ENOUGH - 1], every[-1]]
        case FloatDistribution(low=low, high=high, step=float(step)):
            count = min(round((high - low) / step) + 1, ENOUGH)
            return [parameter.to_keras(low + step * index) for index in range(count)]
        case IntDistribution() | FloatDistribution():
            return [parameter.hp.min_value, parameter.hp.max_value]
    return list(parameter.choices)


@dataclasses.dataclass(frozen=True)
class SearchDefinition(Record):
    """Everything that affects the trials of a search; None where a value is not known.

    Attributes:
        hypermodel: See `describe_hypermodel`.
        code: See `describe_code`; it is not compared by `differences`, as it may change the trials
            or, as a mended error, not.
        recipe: See `describe_recipe`.
        objectives: [name, direction] of each objective.
        seed: Seed of trials, initial weights and augmentation.
        folds: Trainings of each configuration on different splits.
        executions: Trainings of each configuration on each fold.
        limits: Upper limits of a model's costs, by name.
        oracle: "optuna", or the class of an oracle of KerasTuner.
        space: Configs of the hyperparameters, parents first.
        values: The configuration of `model`.
        model: See `describe_model`.
        data: Digests of arrays and plain arguments of `fit`, by name. An `ImageData` has its own
            file, data.json.
    """

    hypermodel: dict[str, Any] | None = None
    code: str | None = None
    recipe: dict[str, Any] | None = None
    objectives: list[list[str]] | None = None
    seed: int | None = None
    folds: int | None = None
    executions: int | None = None
    limits: dict[str, float] | None = None
    oracle: str | None = None
    space: list[dict[str, Any]] | None = None
    values: dict[str, Any] | None = None
    model: Rows | None = None
    data: dict[str, Any] | None = None

    @property
    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """The space, with the default values.

        Raises:
            StorageError: if it was read from a damaged file.
        """
        # KerasTuner changes what it reads.
        config = {"space": copy.deepcopy(self.space or []), "values": {}}
        with content_checked(DEFINITION):
            found = keras_tuner.HyperParameters.from_config(config)
            # Parents come before their children.
            for parameter in found.space:
                if found.is_active(parameter):
                    found.values[parameter.name] = parameter.default
        return found

    def differences(
        self,
        now: SearchDefinition,
        trials: Sequence[TrialRecord],
        model_of: Callable[[dict[str, Any]], Rows] | None,
    ) -> list[str]:
        """Describe the differences that would make trials of this search wrong in another one.

        A wider space is no difference, nor are more values of a recipe.

        Args:
            now: Definition of the other search.
            trials: Trials of this search with a score.
            model_of: Maps values to `describe_model` of the model that `now` builds; None if
                nothing was trained and models need not be compared.
        """
        found = [
            f"{name}: was {getattr(self, name)}, now {getattr(now, name)}"
            for name in ("objectives", "seed", "folds", "executions", "limits", "oracle")
            if getattr(self, name) is not None and getattr(self, name) != getattr(now, name)
        ]
        found += _recipe_differences(self.recipe, now.recipe)
        found += self._searched_otherwise(now, trials)
        if self.data is not None and now.data is not None:
            found += [
                f"{name} of the data: was {self.data.get(name)}, now {now.data.get(name)}"
                for name in sorted(self.data.keys() | now.data.keys())
                if self.data.get(name) != now.data.get(name)
            ]
        if found or self.model is None or model_of is None:
            return found
        return self._model_differences(now, model_of)

    def _searched_otherwise(
        self, now: SearchDefinition, trials: Sequence[TrialRecord]
    ) -> list[str]:
        was, here = ((one.hypermodel or {STATE: {}})[STATE] for one in (self, now))
        told: dict[str, str] = {}
        if self.space is not None:
            before, space = self.hyperparameters.space, now.hyperparameters.space
            told = space_differences(before, space, here.get(FIXED) or {})
            # Without the earlier model it is unknown whether trials were trained with the default
            # of a new hyperparameter.
            new = _untried(before, space, trials, new=self.model is None)
            told = {**new, **told}
        if self.hypermodel is not None and now.hypermodel is not None:
            names = [one.hypermodel[NAME] for one in (self, now) if one.hypermodel]
            if names[0] != names[1]:
                return [f"hypermodel: was {names[0]}, now {names[1]}", *told.values()]
            searched = {hp.name: _describe(hp) for hp in now.hyperparameters.space}
            told = {**_state_differences(was, here, searched), **told}
        return list(told.values())

    def _model_differences(
        self, now: SearchDefinition, model_of: Callable[[dict[str, Any]], Rows]
    ) -> list[str]:
        assert self.model is not None
        rows = now.model
        if rows is None or self.values != now.values:
            try:
                rows = as_stored(model_of(dict(self.values or {})))
            except Exception as error:  # any error of the user's code
                return [f"the model of {self.values} cannot be built any more: {error}"]
        difference = structure_difference(self.model, rows)
        if difference is not None:
            return [f"the model that is built of {self.values}: {difference}"]
        return []


def read_definition(run: Run) -> SearchDefinition | None:
    """Return what was searched in a run directory; None if nothing was.

    Raises:
        StorageError: if a file is damaged, or an earlier version of kt-tuning wrote the run.
    """
    found = run.read(SearchDefinition, DEFINITION)
    if found is None and run.read(SearchRecord, SEARCH) is not None:
        raise StorageError(
            f"{run.path} holds a search without {DEFINITION}, of an earlier version of kt-tuning: "
            "choose another run directory, or have the search deleted (overwrite=True, "
            "--overwrite)."
        )
    described = None if found is None else found.hypermodel
    if described is not None and not _is_description(described):
        raise StorageError(
            f"{run.path / DEFINITION} is damaged: its hypermodel lacks a name or a state. {RESTORE}"
        )
    return found


def _state_differences(
    was: dict[str, Any], here: dict[str, Any], searched: dict[str, str]
) -> dict[str, str]:
    """Attributes that both have and that differ, and fixed values that do, by name."""
    found = {}
    for name in sorted(was.keys() & here.keys()):
        one, other = was[name], here[name]
        if name == FIXED and isinstance(one, dict) and isinstance(other, dict):
            for key in sorted(one.keys() | other.keys()):
                if one.get(key) != other.get(key):
                    words = [
                        f"fixed at {values[key]}" if key in values else searched.get(key, "free")
                        for values in (one, other)
                    ]
                    found[key] = f"{key}: was {words[0]}, now {words[1]}"
        elif _is_members(one) and _is_members(other):
            for family in sorted(one.keys() & other.keys()):
                if one[family] != other[family]:
                    inner = _state_differences(one[family][STATE], other[family][STATE], searched)
                    found |= {f"{family}/{k}": f"{family}/{text}" for k, text in inner.items()}
        elif one != other:
            found[name] = f"{name} of the hypermodel: was {one}, now {other}"
    return found


def _is_description(value: Any) -> bool:
    """Whether a value is a result of `describe_hypermodel`."""
    return (
        isinstance(value, dict) and value.keys() == {NAME, STATE} and isinstance(value[STATE], dict)
    )


def _is_members(value: Any) -> bool:
    """Whether a value maps names to hypermodels; additional ones are no difference."""
    return isinstance(value, dict) and bool(value) and all(map(_is_description, value.values()))


def _recipe_differences(was: dict[str, Any] | None, now: dict[str, Any] | None) -> list[str]:
    found = []
    for name in (was or {}).keys() & (now or {}).keys():
        one, other = (was or {})[name], (now or {})[name]
        choices = [value if isinstance(value, list) else [value] for value in (one, other)]
        # Trials do not record a field with a single value; the default is used then.
        true = len(choices[0]) > 1 or choices[0][0] == choices[1][0]
        wider = name in SEARCHED and all(value in choices[1] for value in choices[0])
        if one != other and not (wider and true):
            found.append(f"{name} of the recipe: was {one}, now {other}")
    return sorted(found)
