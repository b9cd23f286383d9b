"""Ensembles: members, weights, calibration, and the combined model."""

from kt_tuning.ensembling.combination import Combination, combine_models
from kt_tuning.ensembling.cost_penalty import COST_PENALTY
from kt_tuning.ensembling.ensemble import Ensemble
from kt_tuning.ensembling.external_members import (
    AugmentedPredictor,
    Candidates,
    candidates_of,
    join_candidates,
    read_candidates,
)
from kt_tuning.ensembling.members import MEMBER_CHOICES, Member, selection, serving_cost, take_best
from kt_tuning.ensembling.record import EnsembleRecord, measure_diversity
from kt_tuning.ensembling.run_files import (
    RunRecords,
    Validated,
    combination_digest,
    is_refitted,
    read_scores,
    read_validated,
    trained_on_validation,
)
from kt_tuning.ensembling.solve import solve
from kt_tuning.ensembling.solvers import SOLVERS
from kt_tuning.ensembling.soup import soup

__all__ = [
    "COST_PENALTY",
    "MEMBER_CHOICES",
    "SOLVERS",
    "AugmentedPredictor",
    "Candidates",
    "Combination",
    "Ensemble",
    "EnsembleRecord",
    "Member",
    "RunRecords",
    "Validated",
    "candidates_of",
    "combination_digest",
    "combine_models",
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
    "trained_on_validation",
]
