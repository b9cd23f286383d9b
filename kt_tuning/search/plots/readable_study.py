"""A study as its user knows it: KerasTuner's names and values, every score that a trial reached."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import keras_tuner
import optuna
import pandas as pd
from keras_tuner.engine import hyperparameters as hps
from optuna.trial import FrozenTrial, TrialState

from kt_tuning.records import COMPLETED, PRUNED, TrialRecord
from kt_tuning.search.distributions import SearchSpace
from kt_tuning.search.study.open_study import DIRECTIONS, OBJECTIVES, SPACE
from kt_tuning.search.study.storage import quiet_optuna
from kt_tuning.search.study.translation import VALUES
from kt_tuning.search.study.trial_states import SCORE
from kt_tuning.search.study.warm_start import ORIGIN

CUT_SHORT = "cut short"
"""Attribute of a trial in a readable study: it was pruned."""


def study_of(
    records: Iterable[TrialRecord],
    history: pd.DataFrame,
    objectives: Sequence[keras_tuner.Objective],
    hyperparameters: keras_tuner.HyperParameters,
) -> optuna.Study:
    """A study in memory of a search whose oracle keeps none.

    Args:
        records: The finished trials.
        history: A row an epoch of every trial: trial_id, epoch and the metrics.
        objectives: One or several.
        hyperparameters: The space.

    Returns:
        The study. Trials that have not finished are running in it, so that numbers agree.
    """
    by_number = {record.number: record for record in records}
    with quiet_optuna():
        study = optuna.create_study(directions=[DIRECTIONS[o.direction] for o in objectives])
    study.set_user_attr(OBJECTIVES, [[o.name, o.direction] for o in objectives])
    study.set_user_attr(SPACE, hyperparameters.get_config()["space"])
    space = SearchSpace(hyperparameters.space)
    curves = {str(trial_id): curve for trial_id, curve in history.groupby("trial_id")}
    for number in range(max(by_number, default=-1) + 1):
        if number in by_number:
            record = by_number[number]
            study.add_trial(_recorded(record, curves.get(record.trial_id), objectives, space))
        else:
            study.add_trial(optuna.create_trial(state=TrialState.RUNNING))
    return study


def _recorded(
    record: TrialRecord,
    curve: pd.DataFrame | None,
    objectives: Sequence[keras_tuner.Objective],
    space: SearchSpace,
) -> FrozenTrial:
    names = [objective.name for objective in objectives]
    measured = [record.metrics[name] for name in names if name in record.metrics]
    attributes: dict[str, Any] = {VALUES: record.values}
    if record.status not in (COMPLETED, PRUNED) or len(measured) < len(names):
        state = TrialState.FAIL
    elif record.status == PRUNED and len(names) == 1:
        state = TrialState.PRUNED
        attributes[SCORE] = measured[0]
    else:
        state = TrialState.COMPLETE
    steps: dict[int, float] = {}
    if curve is not None and len(names) == 1 and names[0] in curve:
        steps = curve.groupby("epoch")[names[0]].mean().dropna().to_dict()
    return _trial(
        space,
        record.values,
        state=state,
        values=measured if state == TrialState.COMPLETE else None,
        user_attrs=attributes,
        intermediate_values=steps,
    )


def readable(
    study: optuna.Study, objective: int | None = None, *, pruned: bool = True
) -> optuna.Study:
    """A copy in memory, for eyes only.

    Parameters have KerasTuner's names and values: what the study mirrors to have it on a
    logarithmic scale is as it was. Trials that a warm start added are left out: numbers are those
    of `results()`.

    Args:
        study: Of an `OptunaOracle`, or from `study_of`.
        objective: Index of the one to keep, or None for all.
        pruned: Whether a pruned trial is completed with its best value, as it is for the tuner,
            and marked as `CUT_SHORT`.

    Returns:
        The copy.
    """
    directions = study.directions if objective is None else [study.directions[objective]]
    with quiet_optuna():
        copied = optuna.create_study(directions=directions)
    space = _linear_space(study)
    for trial in study.get_trials(deepcopy=False):
        if ORIGIN not in trial.user_attrs:
            copied.add_trial(_readable_trial(trial, space, objective, pruned=pruned))
    return copied


def _linear_space(study: optuna.Study) -> SearchSpace:
    """The space of a study without mirrored parameters."""
    config = {"space": study.user_attrs.get(SPACE, []), "values": {}}
    return SearchSpace(_linear(hp) for hp in keras_tuner.HyperParameters.from_config(config).space)


def _linear(hp: hps.HyperParameter) -> hps.HyperParameter:
    if getattr(hp, "sampling", None) != "reverse_log" or hp.step is not None:
        return hp
    linear = copy.copy(hp)
    linear.sampling = "linear"
    linear.step = 1 if isinstance(hp, hps.Int) else None
    return linear


def _readable_trial(
    trial: FrozenTrial, space: SearchSpace, objective: int | None, *, pruned: bool
) -> FrozenTrial:
    values = trial.user_attrs.get(VALUES, {})
    options: dict[str, Any] = {"state": trial.state, "user_attrs": {VALUES: values}}
    if trial.state == TrialState.COMPLETE:
        options["values"] = trial.values if objective is None else [trial.values[objective]]
    elif pruned and trial.state == TrialState.PRUNED and SCORE in trial.user_attrs:
        options = {
            "state": TrialState.COMPLETE,
            "values": [trial.user_attrs[SCORE]],
            "user_attrs": {VALUES: values, CUT_SHORT: True},
        }
    return _trial(
        space,
        values,
        intermediate_values=trial.intermediate_values,
        **options,
    )


def _trial(space: SearchSpace, configuration: dict[str, Any], **options: Any) -> FrozenTrial:
    """A trial with what was searched, of all that the configuration holds."""
    active = [p for p in space.active(configuration) if p.distribution is not None]
    return optuna.create_trial(
        params={p.name: p.nearest(configuration[p.hp.name]) for p in active},
        distributions={p.name: p.distribution for p in active if p.distribution is not None},
        **options,
    )
