"""The report of a run: one self-contained HTML page, and its figures for notebooks."""

from kt_tuning.report.figures.class_curves import plot_class_curves
from kt_tuning.report.figures.confusion import plot_confusion
from kt_tuning.report.figures.history import plot_search_history
from kt_tuning.report.figures.importances import plot_importances
from kt_tuning.report.figures.learning_curves import plot_learning_curves
from kt_tuning.report.figures.parallel_coordinates import plot_parallel
from kt_tuning.report.figures.reliability import plot_reliability
from kt_tuning.report.figures.robustness import plot_robustness
from kt_tuning.report.figures.slices import plot_slices
from kt_tuning.report.page import write_report
from kt_tuning.report.run_reader import AUGMENTATION, load_run
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.shown import Report

__all__ = [
    "AUGMENTATION",
    "Report",
    "RunSummary",
    "load_run",
    "plot_class_curves",
    "plot_confusion",
    "plot_importances",
    "plot_learning_curves",
    "plot_parallel",
    "plot_reliability",
    "plot_robustness",
    "plot_search_history",
    "plot_slices",
    "write_report",
]
