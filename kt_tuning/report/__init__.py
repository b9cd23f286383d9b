"""The report of a run: one self-contained HTML page, and its figures for notebooks."""

from kt_tuning.report.figures import Plots
from kt_tuning.report.page import Report, write_report

__all__ = [
    "Plots",
    "Report",
    "write_report",
]
