"""Several models that answer as one: their weights, and the combined model."""

from kt_tuning.ensembling.combine import weighted_sum
from kt_tuning.ensembling.convex import convex_weights
from kt_tuning.ensembling.ensemble import Ensemble
from kt_tuning.ensembling.weights import SMALLEST_WEIGHT, SOLVERS, WeightedAverage, solve

__all__ = [
    "SMALLEST_WEIGHT",
    "SOLVERS",
    "Ensemble",
    "WeightedAverage",
    "convex_weights",
    "solve",
    "weighted_sum",
]
