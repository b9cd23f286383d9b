"""Find weights and temperatures by one solver, or choose between solvers by cross-fitting."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.data.stratified_split import stratified_folds
from kt_tuning.ensembling.calibration import CALIBRATIONS, fit_temperature, temper
from kt_tuning.ensembling.combination import GEOMETRIC, Combination
from kt_tuning.ensembling.members import Select
from kt_tuning.ensembling.model_selection import CrossFit, standard_errors
from kt_tuning.ensembling.problem import (
    COST_PENALTY,
    LOG_LOSS,
    Problem,
    ServingCosts,
    check_predictions,
    drop_costly_members,
)
from kt_tuning.ensembling.solvers import SOLVERS
from kt_tuning.evaluation import METRICS

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

AUTO = "auto"
SMALLEST_WEIGHT = 1e-3
"""A member that counts less is dropped: it costs as much to serve as any other."""

CANDIDATES = ("single", "mean", "greedy", "convex", "stack")
"""Solvers that "auto" tries if the metric is log-loss: what the others look for, convex finds."""
CANDIDATES_FOR_OTHER_METRICS = (*CANDIDATES, "nelder-mead")


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """The result of `solve`.

    Attributes:
        combination: That of all K members; weights of dropped ones are exactly 0.
        solver: Name in `SOLVERS`.
        metric: Name in `METRICS`.
        fitted: The metric on the rows that the combination was fitted on: optimistic.
        cross_fitted: The metric by solver, each measured on rows that neither its weights nor its
            calibration was fitted on, nor its members selected on. "auto" is the choice itself,
            made again for each fold without a look at it: what the choosing costs is in it. What
            happened before, such as the choice of each member's epoch, is not.
        errors: Standard error of each one's difference from the solver asked for.
        predictions: (N, C), of which "auto", or the solver asked for, was measured.
        selected: Places of the members that could count.
    """

    combination: Combination
    solver: str
    metric: str
    fitted: float
    cross_fitted: dict[str, float]
    errors: dict[str, float]
    predictions: Floats
    selected: tuple[int, ...]


# One thread: the products are small, and threads that wait for each other take longer to make
# them, many times longer on a busy machine.
@threadpool_limits.wrap(limits=1, user_api="blas")
def solve(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    solver: str = AUTO,
    metric: str = LOG_LOSS,
    calibration: str = AUTO,
    costs: ArrayLike | None = None,
    cost_penalty: float = COST_PENALTY,
    select: Select | None = None,
    seed: int = 0,
    folds: int = 5,
) -> Solution:
    """Find the weights of an ensemble, and its temperatures.

    "auto" measures the solvers by cross-fitting: over stratified folds of the rows, a combination
    is fitted on the other folds and judged on the fold left out. Of those within one standard
    error of the best for its cost, the steadiest wins (see `CrossFit`) and is fitted again on all
    rows: the best single member, which is chosen across the folds too, unless something beats it.
    Members below `SMALLEST_WEIGHT` are dropped, in the folds as in the end; with "auto" those, too,
    that are not worth what they cost (see `drop_costly_members`).

    Args:
        predictions: (K, N, C) probabilities of K members, on rows that none was trained on.
        labels: (N,) integers in 0..C-1.
        solver: "auto" or a name in `SOLVERS`, which is then the only one measured.
        metric: Name in `METRICS`: what solvers that take a metric optimise, and "auto" judges by.
        calibration: "none" leaves probabilities as they are. Otherwise each member gets its
            temperature first, and the whole is calibrated: as a name in `CALIBRATIONS` says, or,
            with "auto", by a temperature if that lowers the cross-fitted log-loss.
        costs: (K,) what serving each member costs, in any unit, above 0. If they are not known,
            of two combinations that tie the one of fewer members counts as the cheaper one.
        cost_penalty: The share of the loss (for a score: of its distance from 1) that a doubling of
            the cost must save, in [0, 1); 0 takes every gain, whatever it costs. For "auto" alone.
        select: Which members may count, asked wherever weights are fitted with the rows that they
            are fitted on: a choice of members that was made on all rows would make what is
            measured on some of them too good. All if None.
        seed: Seed of the folds and of the solvers that draw.
        folds: Number of folds, at least 3; no more than there are rows are used.

    Raises:
        OptionError: on an unknown solver, metric or calibration, fewer than 3 folds, costs that
            are none, or a cost penalty that is out of range.
        DataError: if the shapes do not match, a label is out of range, the predictions are not
            probabilities, or there are fewer than 3 rows.
    """
    solver = find_name(solver, (AUTO, *SOLVERS), "solver")
    metric = find_name(metric, METRICS, "metric")
    calibration = find_name(calibration, (AUTO, *CALIBRATIONS), "calibration")
    if folds < 3:
        raise OptionError(
            "folds should be 3 or more: one to judge on, one to choose on, one to fit on. "
            f"Received: {folds}."
        )
    members, truth = check_predictions(predictions, labels)
    serving = ServingCosts.of(costs, len(members), cost_penalty)
    if solver != AUTO:
        # The result of a solver that was asked for is not changed.
        serving = dataclasses.replace(serving, cost_penalty=0.0)
    auto = CANDIDATES if metric == LOG_LOSS else CANDIDATES_FOR_OTHER_METRICS
    names = (solver,) if solver != AUTO else auto
    fold = stratified_folds(truth, min(folds, len(truth)), np.random.default_rng(seed))
    tempered = calibration != "none"
    fit = functools.partial(
        fit_all, metric=metric, tempered=tempered, serving=serving, seed=seed, select=select
    )
    crossing = CrossFit(
        members,
        truth,
        fold,
        functools.partial(fit, names),
        calibrations=("none", "temperature") if calibration == AUTO else (calibration,),
        metric=metric,
        serving=serving,
        seed=seed,
    )
    chosen, calibrated = crossing.choose(names)
    combination = fit((chosen,), members, truth)[chosen]
    if not calibrated.neutral:
        calibrations = (*combination.calibrations, calibrated)
        combination = dataclasses.replace(combination, calibrations=calibrations)
    judged = {name: crossing.predict((name,)) for name in names}
    if solver == AUTO:
        judged[AUTO] = crossing.predict(names)
    function = METRICS[metric].function
    return Solution(
        combination=combination,
        solver=chosen,
        metric=metric,
        fitted=function(truth, combination.predict(members)),
        cross_fitted={name: function(truth, made) for name, made in judged.items()},
        errors=standard_errors(metric, truth, judged, solver, np.random.default_rng(seed)),
        predictions=judged[solver],
        selected=_selected(select, members, truth),
    )


def fit_all(
    names: Sequence[str],
    predictions: Floats,
    labels: Integers,
    *,
    metric: str,
    tempered: bool,
    serving: ServingCosts,
    seed: int,
    select: Select | None = None,
) -> dict[str, Combination]:
    """Select the members, calibrate them, solve, and drop those that hardly count or do not pay."""
    count, places = len(predictions), _selected(select, predictions, labels)
    predictions = predictions[list(places)]
    serving = dataclasses.replace(serving, costs=serving.costs[list(places)])
    temperatures = [fit_temperature(member, labels) if tempered else 1.0 for member in predictions]
    if tempered:
        pairs = zip(predictions, temperatures, strict=True)
        predictions = np.stack([temper(member, temperature) for member, temperature in pairs])
    problem = Problem(predictions.astype(np.float64, copy=False), labels, metric)

    def fitted(name: str, part: Problem) -> Combination:
        return drop_small(SOLVERS[name](part, np.random.default_rng(seed)))

    found = {
        name: drop_costly_members(functools.partial(fitted, name), problem, serving)
        for name in names
    }
    return {
        name: dataclasses.replace(one, temperatures=tuple(temperatures)).among(places, count)
        for name, one in found.items()
    }


def _selected(select: Select | None, predictions: Floats, labels: Integers) -> tuple[int, ...]:
    return tuple(range(len(predictions)) if select is None else select(predictions, labels))


def drop_small(combination: Combination) -> Combination:
    """Drop members below `SMALLEST_WEIGHT`, and rescale the weights of the others."""
    weights = np.array(combination.weights)
    # The largest is always kept: of 2,000 equal members each is below the threshold.
    kept = np.where(weights >= min(SMALLEST_WEIGHT, weights.max()), weights, 0.0)
    share = float(kept.sum())
    calibrations = combination.calibrations
    if combination.pool == GEOMETRIC and calibrations:
        # The others' coefficients stay as they were fitted: their sum falls by what was dropped.
        scales = tuple(share * scale for scale in calibrations[0].scales)
        calibrations = (dataclasses.replace(calibrations[0], scales=scales), *calibrations[1:])
    return dataclasses.replace(
        combination, weights=tuple((kept / share).tolist()), calibrations=calibrations
    )
