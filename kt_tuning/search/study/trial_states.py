"""Conversion of trials between KerasTuner and Optuna, and into a wider space."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    check_distribution_compatibility,
)
from optuna.trial import FrozenTrial, TrialState

from kt_tuning.core.errors import OptionError
from kt_tuning.core.records import INFEASIBLE
from kt_tuning.core.units import count
from kt_tuning.search.distributions import Parameter, SearchSpace
from kt_tuning.search.objectives import (
    measure,
    metrics_at_best,
    objective_values,
    objectives_of,
    score,
)
from kt_tuning.search.pruning import RungScores

VALUES = "values"
"""Attribute of a trial: its configuration by KerasTuner's names."""

Distributions = Mapping[str, BaseDistribution]
TRIAL_ID = "trial_id"
"""Attribute of a trial: KerasTuner's id."""
RESULT = "result"
"""Attribute of a trial that has ended: its metrics, their step, and its message. One attribute, as
each is a transaction."""
SCORE = "score"
"""Attribute of a pruned trial: its best value. Optuna's own is the last one."""
ENQUEUED = "enqueued"
"""Attribute of a trial: the element of the queue that it tries."""
NEAR = "near"
"""Attribute of a trial that perturbs another one: the number of that one."""
SCORES = "scores"
"""Attribute of a trial of a shared study: its best value until each rung, by number of the rung."""
CONSTRAINTS = "constraints"
"""System attribute with a list of values, one a constraint. Optuna 5 writes an attribute
`constraints:NAME` for each instead, but reads the list, too."""


def stored_names(space: SearchSpace, stored: Distributions) -> dict[str, str]:
    """Return names in the storage by names of parameters whose present range it would refuse.

    Args:
        space: The present space.
        stored: Distributions in the storage by name.
    """
    return {
        parameter.name: f"{parameter.name} {_shown(parameter.distribution)}"
        for parameter in space.parameters
        if parameter.distribution is not None
        and parameter.name in stored
        and not _compatible(stored[parameter.name], parameter.distribution)
    }


def translated(
    trial: FrozenTrial, space: SearchSpace
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return parameters and distributions of a trial as if it had been drawn from a space.

    Those of a trial without the attribute `VALUES` are unchanged.
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
        if name in trial.params:
            params[name], distributions[name] = trial.params[name], trial.distributions[name]
        if distributions.get(name) != distribution:
            with contextlib.suppress(OptionError):  # the value is out of range now
                params[name] = parameter.to_study(values[parameter.hp.name])
                distributions[name] = distribution
    return params, distributions


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


if TYPE_CHECKING:
    from kt_tuning.search.study.draft_storage import StudyStorage


def set_parameter(storage: StudyStorage, number: int, parameter: Parameter, value: Any) -> None:
    """Set a parameter of a trial to a value that was not drawn, or the nearest on the grid."""
    if parameter.distribution is None:
        return
    internal = parameter.distribution.to_internal_repr(parameter.nearest(value))
    storage.set_trial_param(number, parameter.name, internal, parameter.distribution)


def fill_trial(storage: StudyStorage, number: int, trial: Trial, space: SearchSpace) -> None:
    """Write the defaults of hyperparameters that the build of a trial has added."""
    values, kept = trial.hyperparameters.values, storage.get_trial(number)
    values.update(space.walk(lambda p: values.get(p.hp.name, p.hp.default)))
    for parameter in space.active(values):
        if parameter.name not in kept.params:
            set_parameter(storage, number, parameter, values[parameter.hp.name])
    if kept.user_attrs[VALUES] != values:
        storage.set_trial_user_attr(number, VALUES, dict(values))


def finish_trial(
    storage: StudyStorage,
    number: int,
    trial: Trial,
    objective: keras_tuner.Objective,
    *,
    stopped: bool,
) -> None:
    """Write the score and the final status of a trial that has ended.

    A completed trial whose score is no number has failed, as has one with any other status.

    Args:
        storage: The study.
        number: Number of the trial.
        trial: Its score and its status in KerasTuner are set.
        objective: What is optimised.
        stopped: Whether the trial was stopped early: it is then pruned for Optuna, and its message
            says so.
    """
    infeasible = trial.status == INFEASIBLE
    succeeded = trial.status == TrialStatus.COMPLETED
    if succeeded and (reason := score(trial, objective)) is not None:
        succeeded, trial.message = False, reason
    trial.status = TrialStatus.COMPLETED if succeeded else TrialStatus.FAILED
    pruned = succeeded and stopped
    if pruned and trial.message is None:
        epochs = len(storage.get_trial(number).intermediate_values)
        trial.message = f"pruned after {count(epochs, 'epoch')}"
    result: dict[str, Any] = {}
    if metrics := metrics_at_best(trial):
        result |= {"metrics": metrics, "best_step": trial.best_step}
    if trial.message is not None:
        result["message"] = trial.message
    if result:
        storage.set_trial_user_attr(number, RESULT, result)
    if pruned:
        storage.set_trial_user_attr(number, SCORE, float(trial.score))
    if infeasible:
        # Optuna's samplers ignore failed trials but learn from constraints of pruned ones.
        storage.set_trial_system_attr(number, CONSTRAINTS, [1.0])
    values = None
    if succeeded and not pruned:
        values = objective_values(trial, objectives_of(objective))
    state = TrialState.PRUNED if infeasible or pruned else TrialState.FAIL
    try:
        storage.study.tell(number, values, state=None if values else state)
    except RuntimeError:
        # A sampler with nothing left stops the study, which fails outside `Study.optimize`.
        # The trial has been stored by then, and the next draw ends the search.
        if not storage.get_trial(number).state.is_finished():
            raise


def restore_trial(
    frozen: FrozenTrial,
    hyperparameters: keras_tuner.HyperParameters,
    objective: keras_tuner.Objective,
) -> Trial:
    """Convert a trial of the study into one of KerasTuner, whose values are set in the space."""
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
    """Whether a trial has not failed so far."""
    return _status(frozen) != TrialStatus.FAILED


def is_infeasible(trial: FrozenTrial) -> bool:
    """Return whether a trial violates a constraint: a value is above 0."""
    named = (
        value for key, value in trial.system_attrs.items() if key.startswith(f"{CONSTRAINTS}:")
    )
    return any(value > 0 for value in (*trial.system_attrs.get(CONSTRAINTS, ()), *named))


def rung_scores(frozen: FrozenTrial) -> RungScores:
    """The scores at the rungs that a trial has reached."""
    scores = frozen.user_attrs.get(SCORES, {})
    final = frozen.value if frozen.state == TrialState.COMPLETE else frozen.user_attrs.get(SCORE)
    return RungScores({int(rung): value for rung, value in scores.items()}, final)


def _status(frozen: FrozenTrial) -> str:
    match frozen.state:
        case TrialState.RUNNING:
            return TrialStatus.RUNNING
        case TrialState.COMPLETE:
            return TrialStatus.COMPLETED
        case TrialState.PRUNED if not is_infeasible(frozen):
            return TrialStatus.COMPLETED
    return TrialStatus.FAILED
