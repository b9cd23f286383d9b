"""Ensembles: members, weights, calibration, and the combined model."""

from kt_tuning.ensembling.candidates import (
    AugmentedPredictor,
    Candidates,
    candidates_of,
    join_candidates,
    read_candidates,
    soup,
)
from kt_tuning.ensembling.combination import Combination, combine_models
from kt_tuning.ensembling.ensemble import Ensemble
from kt_tuning.ensembling.members import (
    MEMBER_CHOICES,
    Member,
    selection,
    serving_cost,
    with_mirror_images,
)
from kt_tuning.ensembling.problem import COST_PENALTY
from kt_tuning.ensembling.record import EnsembleRecord, measure_diversity
from kt_tuning.ensembling.run_files import trained_on_validation
from kt_tuning.ensembling.solve import solve
from kt_tuning.ensembling.solvers import SOLVERS

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
    "candidates_of",
    "combine_models",
    "join_candidates",
    "measure_diversity",
    "read_candidates",
    "selection",
    "serving_cost",
    "solve",
    "soup",
    "trained_on_validation",
    "with_mirror_images",
]
