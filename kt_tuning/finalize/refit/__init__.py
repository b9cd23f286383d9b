"""Refit: training of the final models on training and validation images, on all devices."""

from kt_tuning.finalize.refit.options import RefitOptions
from kt_tuning.finalize.refit.procedure import Refit, refit
from kt_tuning.finalize.refit.record import RefitRecord
from kt_tuning.run.layout import REFIT

__all__ = ["REFIT", "Refit", "RefitOptions", "RefitRecord", "refit"]
