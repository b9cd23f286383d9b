"""ROC and precision-recall curves of each class against all others."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from kt_tuning.core.errors import SearchError
from kt_tuning.core.units import count
from kt_tuning.evaluation import ClassCurves
from kt_tuning.palette import BLUE, FAINT, ORANGE, RULE
from kt_tuning.report.figures.style import (
    ReportFigure,
    add_legend,
    default_style,
    name_axes,
    new_figure,
)
from kt_tuning.report.formatting import number, printable, shorten
from kt_tuning.report.run_summary import RunSummary

NAME_LENGTH = 18
MOST_CURVES = 20
"""The hardest classes: more lines than that are a blur."""


@dataclasses.dataclass(frozen=True)
class ClassCurvesData:
    """The curves of a run.

    Attributes:
        split: Name of the split.
        curves: Of each class that has images, the one hardest to tell first.
        class_names: Names by label.
    """

    split: str
    curves: tuple[ClassCurves, ...]
    class_names: tuple[str, ...]

    def name(self, curve: ClassCurves) -> str:
        """Return the name of a curve's class."""
        return printable(self.class_names[curve.label])

    @property
    def description(self) -> str:
        """The figures in words, for readers who do not see them."""
        worst = self.curves[0]
        mean = float(np.mean([curve.roc_auc for curve in self.curves]))
        precision = float(np.mean([curve.average_precision for curve in self.curves]))
        return (
            f"Curves of {count(len(self.curves), 'class', 'classes')} on the {self.split} split: "
            f"area under the ROC {number(mean)} on average, average precision {number(precision)}. "
            f"Hardest to tell: {self.name(worst)}, {number(worst.roc_auc)} and "
            f"{number(worst.average_precision)}."
        )


def class_curves_data(run: RunSummary) -> ClassCurvesData | None:
    """Return the curves; None before evaluation."""
    scores = run.scores
    if scores is None or not scores.curves:
        return None
    hardest_first = sorted(scores.curves, key=lambda curve: curve.roc_auc)
    return ClassCurvesData(scores.split, tuple(hardest_first), scores.class_names)


@default_style()
def draw_roc(run: RunSummary) -> ReportFigure:
    """Draw the ROC curve of each class, the one hardest to tell in front.

    Raises:
        SearchError: if the run was not evaluated.
    """
    data, figure, axes = _begin(run)
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.0, linestyle=(0, (3, 3)))
    for curve in reversed(data.curves[:MOST_CURVES]):
        axes.plot(curve.false_positive_rate, curve.true_positive_rate, **_style(data, curve))
    _finish(axes, "ROC", "False positive rate")
    figure.description = f"ROC. {data.description}"
    return figure


@default_style()
def draw_precision_recall(run: RunSummary) -> ReportFigure:
    """Draw the precision of each class by its recall.

    Raises:
        SearchError: if the run was not evaluated.
    """
    data, figure, axes = _begin(run)
    for curve in reversed(data.curves[:MOST_CURVES]):
        axes.plot(curve.recall, curve.precision, **_style(data, curve))
    _finish(axes, "Precision", "Recall")
    figure.description = f"Precision by recall. {data.description}"
    return figure


def _begin(run: RunSummary) -> tuple[ClassCurvesData, ReportFigure, Axes]:
    data = class_curves_data(run)
    if data is None:
        raise SearchError(
            "Curves of the classes are in scores.json. Received a run without; evaluate it first."
        )
    figure = new_figure()
    return data, figure, figure.axes[0]


def _style(data: ClassCurvesData, curve: ClassCurves) -> dict[str, Any]:
    if len(data.curves) == 1:
        return {"color": BLUE, "linewidth": 2.0}
    if curve is data.curves[0]:
        label = shorten(data.name(curve), NAME_LENGTH)
        # matplotlib leaves out labels that begin with an underscore.
        return {"color": ORANGE, "linewidth": 2.0, "label": f"hardest: {label}"}
    return {"color": FAINT, "linewidth": 0.9, "alpha": 0.8}


def _finish(axes: Axes, title: str, x: str) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    name_axes(axes, title, x)
    if axes.get_legend_handles_labels()[1]:
        add_legend(axes)
