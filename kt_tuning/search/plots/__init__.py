"""Figures of a search, drawn by Optuna."""

from kt_tuning.search.plots.figures import Plots
from kt_tuning.search.plots.readable_study import study_of

__all__ = ["Plots", "study_of"]
