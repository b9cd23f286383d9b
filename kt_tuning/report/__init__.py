"""The report of a run: one self-contained HTML page, and its figures for notebooks."""

from kt_tuning.report.figures import Plots
from kt_tuning.report.page import Report, write_report
from kt_tuning.report.run_summary import RunSummary, load_run

__all__ = ["Plots", "Report", "RunSummary", "load_run", "write_report"]
