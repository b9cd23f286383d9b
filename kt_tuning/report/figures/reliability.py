"""The reliability diagram: accuracy by confidence, and the images of each confidence."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from kt_tuning.core.errors import SearchError
from kt_tuning.evaluation import Reliability
from kt_tuning.palette import BLUE, FAINT, INK
from kt_tuning.report.figures.style import ReportFigure, default_style, name_axes, new_figure
from kt_tuning.report.formatting import images_of, percent
from kt_tuning.report.run_summary import FloatArray, RunSummary


@dataclasses.dataclass(frozen=True)
class ReliabilityData:
    """The bins of a reliability diagram.

    Attributes:
        split: Name of the split.
        reliability: The bins.
    """

    split: str
    reliability: Reliability

    @property
    def shares(self) -> FloatArray:
        """(B,) share of the images in each bin."""
        counts = np.array(self.reliability.count, dtype=float)
        return counts / max(counts.sum(), 1.0)

    @property
    def description(self) -> str:
        """The figures in words, for readers who do not see them."""
        bins = self.reliability
        counts = np.array(bins.count)
        confidence = float(np.average(bins.confidence, weights=counts))
        accuracy = float(np.average(bins.accuracy, weights=counts))
        return (
            f"Reliability on {images_of(int(counts.sum()), self.split)}: predictions are "
            f"{percent(confidence)} sure on average and {percent(accuracy)} right; expected "
            f"calibration error {percent(bins.expected_error)}, in the worst bin "
            f"{percent(bins.largest_error)}."
        )


def reliability_data(run: RunSummary) -> ReliabilityData | None:
    """Return the bins of the test split, or of validation before evaluation.

    Those of validation are of predictions that neither weights nor calibration were fitted on.
    None if neither was measured.
    """
    if run.scores is not None and run.scores.reliability is not None:
        return ReliabilityData(run.scores.split, run.scores.reliability)
    if run.ensemble is not None and run.ensemble.reliability is not None:
        split = "out-of-fold" if run.ensemble.folds > 1 else "validation"
        return ReliabilityData(split, run.ensemble.reliability)
    return None


@default_style()
def draw_reliability(run: RunSummary) -> ReportFigure:
    """Draw the accuracy of predictions by confidence; calibrated ones are on the diagonal.

    Raises:
        SearchError: if the run has neither test scores nor an ensemble.
    """
    data, figure, axes = _begin(run)
    _draw_bars(axes, data, np.array(data.reliability.accuracy), color=BLUE)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.0, linestyle=(0, (3, 3)))
    axes.set_ylim(0, 1.02)
    name_axes(axes, "Accuracy", "Confidence (dashed: calibrated)")
    figure.description = f"Accuracy by confidence. {data.description}"
    return figure


@default_style()
def draw_confidence(run: RunSummary) -> ReportFigure:
    """Draw the share of the images by confidence.

    Raises:
        SearchError: if the run has neither test scores nor an ensemble.
    """
    data, figure, axes = _begin(run)
    _draw_bars(axes, data, data.shares, color=FAINT)
    name_axes(axes, "Share of the images", "Confidence")
    figure.description = f"Images by confidence. {data.description}"
    return figure


def _begin(run: RunSummary) -> tuple[ReliabilityData, ReportFigure, Axes]:
    data = reliability_data(run)
    if data is None:
        raise SearchError(
            "A reliability diagram needs scores.json or ensemble.json. Received a run with "
            "neither; make an ensemble or evaluate first."
        )
    figure = new_figure()
    return data, figure, figure.axes[0]


def _draw_bars(axes: Axes, data: ReliabilityData, heights: FloatArray, *, color: str) -> None:
    bins = data.reliability
    low, high = np.array(bins.low), np.array(bins.high)
    axes.bar(low, heights, width=0.92 * (high - low), align="edge", color=color, alpha=0.8)
    axes.set_xlim(0, 1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
