"""Conversion of trials between KerasTuner and Optuna, and into a wider space."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
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
from kt_tuning.search.distributions import Parameter, SearchSpace, Values
from kt_tuning.search.feasibility import is_infeasible
from kt_tuning.search.objectives import flaw, measure, metrics_at_best, objectives_of, score
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


def first_distributions(trials: Iterable[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return the distribution of each parameter in the first trial that has it."""
    found: dict[str, BaseDistribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            found.setdefault(name, distribution)
    return found


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


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A configuration to be tried; still a draft in the study's storage.

    Attributes:
        number: Number of the study's trial.
        values: By KerasTuner's names.
        enqueued: The element of the queue that it completes, or None.
    """

    number: int
    values: Values
    enqueued: Values | None = None


def set_parameter(storage: StudyStorage, number: int, parameter: Parameter, value: Any) -> None:
    """Set a parameter of a trial to a value that was not drawn, or the nearest on the grid."""
    if parameter.distribution is None:
        return
    internal = parameter.distribution.to_internal_repr(parameter.nearest(value))
    storage.set_trial_param(number, parameter.name, internal, parameter.distribution)


def settle(trial: Trial, objective: keras_tuner.Objective) -> None:
    """Set the score of a trial that has ended, and its final status in KerasTuner.

    "COMPLETED" becomes "FAILED" if the score is no number, as does any other status.
    """
    if trial.status != TrialStatus.COMPLETED:
        trial.status = TrialStatus.FAILED
        return
    score(trial, objective)
    if reason := flaw(trial, objective):
        trial.status, trial.message = TrialStatus.FAILED, reason


def result_attributes(trial: Trial, *, pruned: bool) -> dict[str, Any]:
    """Return the attributes of a trial that has ended."""
    result: dict[str, Any] = {}
    if metrics := metrics_at_best(trial):
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
