"""The content of `ensemble.json`, as `Ensemble.fit` writes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kt_tuning.ensembling.calibration import Calibration, temper
from kt_tuning.ensembling.combination import ARITHMETIC, Combination
from kt_tuning.ensembling.diversity import Diversity, measure_diversity
from kt_tuning.ensembling.members import Member
from kt_tuning.ensembling.problem import LOG_LOSS, Integers
from kt_tuning.ensembling.solve import Solution
from kt_tuning.evaluation import Reliability, measure_reliability, score
from kt_tuning.records import EnsembleRecord


@dataclasses.dataclass(frozen=True)
class CombinationRecord(EnsembleRecord):
    """Which models were combined, how, and what is known of the whole.

    Attributes:
        pool: "arithmetic" or "geometric"; see `Combination`.
        calibrations: Of the whole, one after the other.
        metric: What `cross_fitted` measures, a name in `METRICS`.
        errors: Standard error of each solver's difference from what was asked for.
        diversity: Of the members, on the rows that the weights were fitted on.
        reliability: Of the whole, on rows that neither its weights nor its calibration were
            fitted on.
    """

    pool: str = ARITHMETIC
    calibrations: tuple[Calibration, ...] = ()
    metric: str = LOG_LOSS
    errors: dict[str, float] = dataclasses.field(default_factory=dict)
    diversity: Diversity | None = None
    reliability: Reliability | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        calibrations = (Calibration.of(calibration) for calibration in self.calibrations)
        object.__setattr__(self, "calibrations", tuple(calibrations))
        if isinstance(self.diversity, dict):
            object.__setattr__(self, "diversity", Diversity.from_json(self.diversity))
        if isinstance(self.reliability, dict):
            object.__setattr__(self, "reliability", Reliability.from_json(self.reliability))

    @property
    def combination(self) -> Combination:
        """How the members' predictions become the ensemble's."""
        return Combination(self.weights, self.temperatures, self.pool, self.calibrations)


def record_of(solution: Solution, members: Sequence[Member], labels: Integers) -> CombinationRecord:
    """Return the record of what `solve` found, of the members that count.

    Args:
        solution: What was found.
        members: All K that it was found for. Where one has no score, its log-loss stands in.
        labels: (N,) of the rows that they predicted.
    """
    kept = [members[index] for index in solution.combination.kept()]
    combination = solution.combination.without_idle()
    tempered = [
        temper(member.predictions, temperature)
        for member, temperature in zip(kept, combination.temperatures, strict=True)
    ]
    return CombinationRecord(
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
    )


def _log_loss(member: Member, labels: Integers) -> float:
    return score(labels, member.predictions, [LOG_LOSS])[LOG_LOSS]
