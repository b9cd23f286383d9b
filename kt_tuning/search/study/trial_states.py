"""A trial in KerasTuner's words and in Optuna's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.trial import FrozenTrial, TrialState

from kt_tuning.search.distributions import Parameter
from kt_tuning.search.objectives import flaw, measure, objectives_of, score
from kt_tuning.search.rungs import Climbed
from kt_tuning.search.study.translation import VALUES

if TYPE_CHECKING:
    from kt_tuning.search.study.draft_storage import StudyStorage

TRIAL_ID = "trial_id"
"""Attribute of a trial: KerasTuner's id."""
RESULT = "result"
"""Attribute of a trial that has ended: its metrics, the step they belong to, and its message. One
attribute, because each is a transaction of its own."""
SCORE = "score"
"""Attribute of a trial that was pruned: its best value. Optuna's own is the last one."""
NEAR = "near"
"""Attribute of a trial that was begun as a neighbour of another one: that one's number."""
SCORES = "scores"
"""Attribute of a trial of a shared study: its best value until each rung, by the rung's number."""


def set_parameter(storage: StudyStorage, number: int, parameter: Parameter, value: Any) -> None:
    """Note a value that was not drawn as a parameter of a trial.

    Args:
        storage: Of the study.
        number: Of the trial.
        parameter: Of the space.
        value: The hyperparameter's; one that is off the grid is noted as the nearest that is not.
    """
    if parameter.distribution is None:
        return
    internal = parameter.distribution.to_internal_repr(parameter.nearest(value))
    storage.set_trial_param(number, parameter.name, internal, parameter.distribution)


def settle(trial: Trial, objective: keras_tuner.Objective) -> None:
    """Score a trial that has ended, and give it the final status that KerasTuner knows.

    Args:
        trial: "COMPLETED", which becomes "FAILED" if the score is no number; anything else, like
            our own "INFEASIBLE", is "FAILED".
        objective: Of the search.
    """
    if trial.status != TrialStatus.COMPLETED:
        trial.status = TrialStatus.FAILED
        return
    score(trial, objective)
    if reason := flaw(trial, objective):
        trial.status, trial.message = TrialStatus.FAILED, reason


def result_attributes(trial: Trial, *, pruned: bool) -> dict[str, Any]:
    """What a study keeps of a trial that has ended, beside its parameters and its values."""
    metrics = {
        name: float(next((o.mean() for o in history if o.step == trial.best_step), value))
        for name in trial.metrics.metrics
        for history in [trial.metrics.get_history(name)]
        for value in [trial.metrics.get_best_value(name)]
        if value is not None
    }
    result: dict[str, Any] = {}
    if metrics:
        result |= {"metrics": metrics, "best_step": trial.best_step}
    if trial.message is not None:
        result["message"] = trial.message
    attributes: dict[str, Any] = {RESULT: result} if result else {}
    return {**attributes, SCORE: float(trial.score)} if pruned else attributes


def restore_trial(
    frozen: FrozenTrial,
    hyperparameters: keras_tuner.HyperParameters,
    objective: keras_tuner.Objective,
) -> Trial:
    """KerasTuner's trial of one of the study's.

    Args:
        frozen: The study's trial.
        hyperparameters: The space; it gets the trial's values.
        objective: Of the search.
    """
    attributes = frozen.user_attrs
    hyperparameters.values = dict(attributes[VALUES])
    trial = Trial(hyperparameters, attributes[TRIAL_ID], status=_status(frozen))
    result = attributes.get(RESULT, {})
    trial.message = result.get("message")
    if trial.status == TrialStatus.COMPLETED:
        measure(trial, result["metrics"], result["best_step"], objectives_of(objective))
        score(trial, objective)
    return trial


def is_usable(frozen: FrozenTrial) -> bool:
    """Whether a trial has not failed, so far."""
    return _status(frozen) != TrialStatus.FAILED


def climbed(frozen: FrozenTrial) -> Climbed:
    """How far a trial that has not failed has got."""
    scores = frozen.user_attrs.get(SCORES, {})
    final = frozen.value if frozen.state == TrialState.COMPLETE else frozen.user_attrs.get(SCORE)
    return Climbed({int(rung): value for rung, value in scores.items()}, final)


def _status(frozen: FrozenTrial) -> str:
    match frozen.state:
        case TrialState.RUNNING:
            return TrialStatus.RUNNING
        case TrialState.COMPLETE:
            return TrialStatus.COMPLETED
        case TrialState.PRUNED if not frozen.constraints:
            return TrialStatus.COMPLETED
    return TrialStatus.FAILED


def curve_until(frozen: FrozenTrial, step: int) -> FrozenTrial:
    """The same running trial as it was after a step, as far as a pruner looks."""
    curve = {at: value for at, value in frozen.intermediate_values.items() if at <= step}
    return FrozenTrial(
        number=frozen.number,
        trial_id=frozen.number,
        state=frozen.state,
        value=None,
        datetime_start=frozen.datetime_start,
        datetime_complete=None,
        params=frozen.params,
        distributions=frozen.distributions,
        user_attrs=frozen.user_attrs,
        system_attrs=dict(frozen.system_attrs),
        intermediate_values=curve,
    )
