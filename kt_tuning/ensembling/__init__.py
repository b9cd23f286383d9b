"""Several models that answer as one: who joins, their weights, and the combined model."""

from kt_tuning.ensembling.boosting import BoostingRound, boosting_round
from kt_tuning.ensembling.calibration import (
    CALIBRATIONS,
    Calibration,
    fit_temperature,
)
from kt_tuning.ensembling.combination import Combination, combine_models, weighted_sum
from kt_tuning.ensembling.convex import convex_weights
from kt_tuning.ensembling.cost_penalty import COST_PENALTY
from kt_tuning.ensembling.ensemble import Ensemble
from kt_tuning.ensembling.external_members import (
    AugmentedPredictor,
    Candidates,
    candidates_of,
    join_candidates,
    read_candidates,
)
from kt_tuning.ensembling.members import (
    MEMBER_CHOICES,
    Member,
    selection,
    serving_cost,
    take_best,
    take_diverse,
)
from kt_tuning.ensembling.record import Diversity, EnsembleRecord, measure_diversity
from kt_tuning.ensembling.run_files import (
    Validated,
    combination_digest,
    is_refitted,
    read_scores,
    read_validated,
    trained_on_validation,
)
from kt_tuning.ensembling.solve import SMALLEST_WEIGHT, Solution, solve
from kt_tuning.ensembling.solvers import SOLVERS, greedy_weights
from kt_tuning.ensembling.soup import Soup, soup

__all__ = [
    "CALIBRATIONS",
    "COST_PENALTY",
    "MEMBER_CHOICES",
    "SMALLEST_WEIGHT",
    "SOLVERS",
    "AugmentedPredictor",
    "BoostingRound",
    "Calibration",
    "Candidates",
    "Combination",
    "Diversity",
    "Ensemble",
    "EnsembleRecord",
    "Member",
    "Solution",
    "Soup",
    "Validated",
    "boosting_round",
    "candidates_of",
    "combination_digest",
    "combine_models",
    "convex_weights",
    "fit_temperature",
    "greedy_weights",
    "is_refitted",
    "join_candidates",
    "measure_diversity",
    "read_candidates",
    "read_scores",
    "read_validated",
    "selection",
    "serving_cost",
    "solve",
    "soup",
    "take_best",
    "take_diverse",
    "trained_on_validation",
    "weighted_sum",
]
