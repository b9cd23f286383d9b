"""The final training: what won, on training and validation images together, on all devices."""

from kt_tuning.finalize.refit.options import RefitOptions
from kt_tuning.finalize.refit.record import RefitRecord
from kt_tuning.finalize.refit.refit import Refit, refit
from kt_tuning.records import REFIT

__all__ = ["REFIT", "Refit", "RefitOptions", "RefitRecord", "refit"]
