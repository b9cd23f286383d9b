"""Adding the trials of an earlier search to the study of a new one."""

from __future__ import annotations

from collections.abc import Sequence

import keras_tuner
import optuna
from optuna.trial import FrozenTrial, TrialState

from kt_tuning.core.errors import OptionError
from kt_tuning.search.distributions import SearchSpace, Values
from kt_tuning.search.study.open_study import DIRECTIONS, OBJECTIVES
from kt_tuning.search.study.translation import VALUES

ORIGIN = "warm_start"
"""Attribute of an adopted trial: study and number of its origin."""


def adopt_trials(
    study: optuna.Study,
    space: SearchSpace,
    source: optuna.Study,
    objectives: Sequence[keras_tuner.Objective],
) -> int:
    """Add the completed trials of another study that fit into the space.

    Args:
        study: The study that gets the trials.
        space: Space of `study`.
        source: The study of the trials.
        objectives: Objectives of `study`.

    Returns:
        The number of added trials, without those that had been added before.

    Raises:
        OptionError: if the two studies have different objectives.
    """
    check_objectives(source, objectives)
    there = {trial.user_attrs.get(ORIGIN) for trial in study.get_trials(deepcopy=False)}
    added = 0
    for trial in source.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        origin = trial.user_attrs.get(ORIGIN, f"{source.study_name}#{trial.number}")
        values = None if origin in there else _fitting(space, trial)
        if values is not None:
            study.add_trial(_adopted(space, values, trial, origin))
            added += 1
    return added


def check_objectives(source: optuna.Study, objectives: Sequence[keras_tuner.Objective]) -> None:
    """Refuse a study with other objectives.

    Raises:
        OptionError: if it has other objectives.
    """
    expected = [[objective.name, objective.direction] for objective in objectives]
    known = source.user_attrs.get(OBJECTIVES, expected)
    directions = [DIRECTIONS[objective.direction] for objective in objectives]
    if known != expected or source.directions != directions:
        raise OptionError(
            f"A warm start needs a search for the same objectives, {expected}. Received one for "
            f"{known}, {[direction.name.lower() for direction in source.directions]}."
        )


def _fitting(space: SearchSpace, trial: FrozenTrial) -> Values | None:
    """The trial's configuration in this space, or None if a value is out of range."""
    earlier = trial.user_attrs.get(VALUES, trial.params)
    values = space.walk(lambda p: earlier.get(p.hp.name, p.hp.default))
    try:
        for parameter in space.active(values):
            if parameter.hp.name in earlier:
                parameter.to_study(earlier[parameter.hp.name])
    except OptionError:
        return None
    return values if values.keys() & earlier.keys() else None


def _adopted(space: SearchSpace, values: Values, trial: FrozenTrial, origin: str) -> FrozenTrial:
    active = [p for p in space.active(values) if p.distribution is not None]
    return optuna.create_trial(
        values=trial.values,
        params={p.name: p.nearest(values[p.hp.name]) for p in active},
        distributions={p.name: p.distribution for p in active if p.distribution is not None},
        user_attrs={ORIGIN: origin, VALUES: values},
        intermediate_values=trial.intermediate_values,
    )
