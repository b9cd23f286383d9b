"""The final training: what won, on training and validation images together, on all devices."""

from kt_tuning.core.run_layout import REFIT
from kt_tuning.refitting.job import Refit, refit
from kt_tuning.refitting.options import RefitOptions
from kt_tuning.refitting.record import RefitRecord

__all__ = ["REFIT", "Refit", "RefitOptions", "RefitRecord", "refit"]
