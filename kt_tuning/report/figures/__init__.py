"""The figures of the report. Each is two steps: compute its data, then draw it on axes."""

from kt_tuning.report.figures.class_curves import (
    ClassCurvesData,
    class_curves_data,
    draw_precision_recall,
    draw_roc,
    plot_class_curves,
)
from kt_tuning.report.figures.confusion import (
    ConfusionData,
    confusion_data,
    draw_confusion,
    plot_confusion,
)
from kt_tuning.report.figures.history import (
    SearchHistoryData,
    draw_search_history,
    plot_search_history,
    search_history_data,
)
from kt_tuning.report.figures.importances import (
    ImportancesData,
    draw_importances,
    importances_data,
    plot_importances,
)
from kt_tuning.report.figures.learning_curves import (
    Curve,
    CurvesData,
    LossData,
    curves_data,
    draw_curves,
    draw_losses,
    loss_data,
    plot_learning_curves,
)
from kt_tuning.report.figures.parallel_coordinates import (
    ParallelData,
    draw_parallel,
    parallel_data,
    plot_parallel,
)
from kt_tuning.report.figures.reliability import (
    ReliabilityData,
    draw_confidence,
    draw_reliability,
    plot_reliability,
    reliability_data,
)
from kt_tuning.report.figures.robustness import (
    attacks_description,
    corruptions_description,
    draw_attacks,
    draw_corruptions,
    plot_robustness,
)
from kt_tuning.report.figures.slices import SliceData, draw_slice, plot_slices, slices_data
from kt_tuning.report.figures.style import ReportFigure

__all__ = [
    "ClassCurvesData",
    "ConfusionData",
    "Curve",
    "CurvesData",
    "ImportancesData",
    "LossData",
    "ParallelData",
    "ReliabilityData",
    "ReportFigure",
    "SearchHistoryData",
    "SliceData",
    "attacks_description",
    "class_curves_data",
    "confusion_data",
    "corruptions_description",
    "curves_data",
    "draw_attacks",
    "draw_confidence",
    "draw_confusion",
    "draw_corruptions",
    "draw_curves",
    "draw_importances",
    "draw_losses",
    "draw_parallel",
    "draw_precision_recall",
    "draw_reliability",
    "draw_roc",
    "draw_search_history",
    "draw_slice",
    "importances_data",
    "loss_data",
    "parallel_data",
    "plot_class_curves",
    "plot_confusion",
    "plot_importances",
    "plot_learning_curves",
    "plot_parallel",
    "plot_reliability",
    "plot_robustness",
    "plot_search_history",
    "plot_slices",
    "reliability_data",
    "search_history_data",
    "slices_data",
]
