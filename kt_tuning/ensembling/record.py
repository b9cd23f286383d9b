"""The content of `ensemble.json`, as `Ensemble.fit` writes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kt_tuning.core.json_record import Record
from kt_tuning.ensembling.calibration import Calibration, temper
from kt_tuning.ensembling.combination import ARITHMETIC, Combination
from kt_tuning.ensembling.diversity import Diversity, measure_diversity
from kt_tuning.ensembling.members import Member, costs_of
from kt_tuning.ensembling.problem import LOG_LOSS, Integers, cost
from kt_tuning.ensembling.solve import Solution
from kt_tuning.evaluation import Reliability, measure_reliability, score


@dataclasses.dataclass(frozen=True)
class EnsembleRecord(Record):
    """Which models were combined, how, and what is known of the whole.

    Attributes:
        trial_ids: The members, K of them.
        weights: (K,) on the simplex: non-negative, summing to 1.
        solver: Name in `SOLVERS`, or "single" if no combination beat the best member.
        cross_fitted: `metric` by solver, each measured on validation rows that its weights were not
            fitted on; that the members' epochs were chosen on these rows is not corrected.
        member_scores: (K,) objective of each member.
        temperatures: (K,) by which each member's logits are divided before they are averaged.
        pool: "arithmetic" or "geometric"; see `Combination`.
        calibrations: Of the whole, one after the other.
        metric: A name in `METRICS`.
        errors: Standard error of each solver's difference from what was asked for.
        diversity: Of the members, on the rows that the weights were fitted on.
        reliability: Of the whole, on rows that neither its weights nor its calibration were
            fitted on.
        costs: (K,) what serving each member costs, in parameters; empty if that is not known.
        single_cost: What the best single candidate costs; None if that is not known.
        folds: Models of each member, each trained without one fold; what is known of the whole is
            then of one model a member, on the fold that it was not trained on.
        sharpening: With folds, see `sharpening_of`.
        model: Digest of the combined model, see `model_digest`; None in records of earlier
            versions.
        refitted: Whether the members were trained again after all else was found, on training and
            validation images; what is known of the whole is of the models before.
    """

    trial_ids: tuple[str, ...]
    weights: tuple[float, ...]
    solver: str
    cross_fitted: dict[str, float]
    member_scores: tuple[float, ...]
    temperatures: tuple[float, ...] = ()
    pool: str = ARITHMETIC
    calibrations: tuple[Calibration, ...] = ()
    metric: str = LOG_LOSS
    errors: dict[str, float] = dataclasses.field(default_factory=dict)
    diversity: Diversity | None = None
    reliability: Reliability | None = None
    costs: tuple[float, ...] = ()
    single_cost: float | None = None
    folds: int = 1
    sharpening: float = 1.0
    model: str | None = None
    refitted: bool = False

    def __post_init__(self) -> None:
        for name in ("trial_ids", "weights", "member_scores", "temperatures", "costs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        calibrations = (Calibration.of(calibration) for calibration in self.calibrations)
        object.__setattr__(self, "calibrations", tuple(calibrations))
        if isinstance(self.diversity, dict):
            object.__setattr__(self, "diversity", Diversity.from_json(self.diversity))
        if isinstance(self.reliability, dict):
            object.__setattr__(self, "reliability", Reliability.from_json(self.reliability))

    @property
    def relative_cost(self) -> float | None:
        """What serving the whole costs, over that of the best single candidate."""
        return None if self.single_cost is None else sum(self.costs) / self.single_cost

    @property
    def combination(self) -> Combination:
        """How the members' predictions become the ensemble's."""
        return Combination(self.weights, self.temperatures, self.pool, self.calibrations)


def record_of(solution: Solution, members: Sequence[Member], labels: Integers) -> EnsembleRecord:
    """Return the record of what `solve` found, of the members that count.

    Args:
        solution: What was found.
        members: All K that it was found for. Where one has no score, its log-loss stands in.
        labels: (N,) of the rows that they predicted.
    """
    places = solution.combination.kept()
    kept = [members[index] for index in places]
    costs = costs_of(members)
    combination = solution.combination.without_idle()
    tempered = [
        temper(member.predictions, temperature)
        for member, temperature in zip(kept, combination.temperatures, strict=True)
    ]
    return EnsembleRecord(
        trial_ids=tuple(member.name for member in kept),
        weights=combination.weights,
        solver=solution.solver,
        cross_fitted=solution.cross_fitted,
        member_scores=tuple(
            _log_loss(member, labels) if member.score is None else float(member.score)
            for member in kept
        ),
        temperatures=combination.temperatures,
        pool=combination.pool,
        calibrations=combination.calibrations,
        metric=solution.metric,
        errors=solution.errors,
        diversity=measure_diversity(tempered, labels, combination.weights),
        reliability=measure_reliability(labels, solution.predictions),
        costs=() if costs is None else tuple(costs[place] for place in places),
        single_cost=None if costs is None else costs[_best(solution, members, labels)],
    )


def _best(solution: Solution, members: Sequence[Member], labels: Integers) -> int:
    costs = [
        cost(solution.metric, labels, members[place].predictions) for place in solution.selected
    ]
    return solution.selected[int(np.argmin(costs))]


def _log_loss(member: Member, labels: Integers) -> float:
    return score(labels, member.predictions, [LOG_LOSS])[LOG_LOSS]
