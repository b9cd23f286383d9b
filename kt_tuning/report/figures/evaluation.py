"""Figures of the test scores: ROC, precision by recall, reliability, robustness."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kt_tuning.core.errors import SearchError
from kt_tuning.core.names import printable
from kt_tuning.core.units import count
from kt_tuning.evaluation import CORRUPTIONS
from kt_tuning.evaluation.diagnostics import ClassCurves, Reliability
from kt_tuning.evaluation.robustness import Robustness
from kt_tuning.report.figures.scored_trials import RunFigures
from kt_tuning.report.figures.style import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    RULE,
    ReportFigure,
    add_legend,
    default_style,
    name_axes,
    new_figure,
)
from kt_tuning.report.formatting import images_of, metric_label, number, percent, shorten
from kt_tuning.report.run_summary import FloatArray, RunSummary

NAME_LENGTH = 18
MOST_CURVES = 20
"""The hardest classes: more lines than that are a blur."""
NO_CURVES = "Curves need scores.json. Received: a run without it. Evaluate the run first."
NO_RELIABILITY = (
    "A reliability diagram needs scores.json or ensemble.json. Received: a run with neither. Make "
    "an ensemble or evaluate the run first."
)
NO_ROBUSTNESS = (
    "This figure needs robustness in scores.json. Received: a run without it. `kt-tuning evaluate` "
    "measures it."
)
Found = TypeVar("Found")


@dataclasses.dataclass(frozen=True)
class ClassCurvesData:
    """The curves of a run."""

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
            f"Hardest class: {self.name(worst)}, {number(worst.roc_auc)} and "
            f"{number(worst.average_precision)}."
        )


def class_curves_data(run: RunSummary) -> ClassCurvesData | None:
    """Return the curves; None before evaluation."""
    scores = run.scores
    if scores is None or not scores.curves:
        return None
    hardest_first = sorted(scores.curves, key=lambda curve: curve.roc_auc)
    return ClassCurvesData(scores.split, tuple(hardest_first), scores.class_names)


class ScoreFigures(RunFigures):
    """Figures of the test scores."""

    @default_style()
    def roc(self) -> ReportFigure:
        """Draw the ROC curve of each class on the test split, the hardest class in orange."""
        data, figure, axes = _begin(class_curves_data(self._run), NO_CURVES)
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.0, linestyle=(0, (3, 3)))
        for curve in reversed(data.curves[:MOST_CURVES]):
            axes.plot(curve.false_positive_rate, curve.true_positive_rate, **_style(data, curve))
        _finish(axes, "ROC", "False positive rate")
        figure.description = f"ROC. {data.description}"
        return figure

    @default_style()
    def precision_recall(self) -> ReportFigure:
        """Draw precision by recall of each class on the test split, the hardest class in orange."""
        data, figure, axes = _begin(class_curves_data(self._run), NO_CURVES)
        for curve in reversed(data.curves[:MOST_CURVES]):
            axes.plot(curve.recall, curve.precision, **_style(data, curve))
        _finish(axes, "Precision", "Recall")
        figure.description = f"Precision by recall. {data.description}"
        return figure

    @default_style()
    def reliability(self) -> ReportFigure:
        """Draw the accuracy of predictions by their confidence."""
        data, figure, axes = _begin(reliability_data(self._run), NO_RELIABILITY)
        _draw_bars(axes, data, np.array(data.reliability.accuracy), color=BLUE)
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1.0, linestyle=(0, (3, 3)))
        axes.set_ylim(0, 1.02)
        name_axes(axes, "Accuracy", "Confidence (dashed: calibrated)")
        figure.description = f"Accuracy by confidence. {data.description}"
        return figure

    @default_style()
    def confidence(self) -> ReportFigure:
        """Draw the share of the images by the confidence of their predictions."""
        data, figure, axes = _begin(reliability_data(self._run), NO_RELIABILITY)
        _draw_bars(axes, data, data.shares, color=FAINT)
        name_axes(axes, "Share of the images", "Confidence")
        figure.description = f"Images by confidence. {data.description}"
        return figure

    @default_style()
    def corruptions(self) -> ReportFigure:
        """Draw the score on corrupted test images by severity."""
        table, figure, axes = _begin(self._robustness("corrupted"), NO_ROBUSTNESS)
        kinds = by_kind(table)
        rows = {kind: (table.severities, values) for kind, values in kinds.items()}
        _draw_falls(axes, table.clean, rows)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        name_axes(axes, metric_label(table.metric), "Severity of the corruption (0: none)")
        ends = ", ".join(f"{kind} {number(values[-1])}" for kind, values in kinds.items())
        figure.description = (
            f"{metric_label(table.metric)} on {table.sample} by severity of corruption: "
            f"{number(table.clean)} clean; at severity {table.severities[-1]} {ends}."
        )
        return figure

    @default_style()
    def attacks(self) -> ReportFigure:
        """Draw the accuracy under attack by the largest change of a pixel, in levels of 255."""
        table, figure, axes = _begin(self._robustness("adversarial"), NO_ROBUSTNESS)
        rows = {
            name.upper(): tuple(zip(*sorted(row.items()), strict=True))
            for name, row in table.adversarial.items()
        }
        _draw_falls(axes, table.clean, rows)
        name_axes(axes, "Accuracy under attack", "Largest change of a pixel (0 to 255)")
        ends = "; ".join(
            f"{name.upper()} {number(row[max(row)])} at {max(row):g} of 255"
            for name, row in table.adversarial.items()
        )
        figure.description = (
            f"Accuracy under attack on {table.sample}: {number(table.clean)} clean; {ends}."
        )
        return figure

    def _robustness(self, part: str) -> Robustness | None:
        table = None if self._run.scores is None else self._run.scores.robustness
        return table if table is not None and getattr(table, part) else None


def _begin(found: Found | None, message: str) -> tuple[Found, ReportFigure, Axes]:
    if found is None:
        raise SearchError(message)
    figure = new_figure()
    return found, figure, figure.axes[0]


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


@dataclasses.dataclass(frozen=True)
class ReliabilityData:
    """The bins of a reliability diagram."""

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
            f"Reliability on {images_of(int(counts.sum()), self.split)}: mean confidence "
            f"{percent(confidence)}, accuracy {percent(accuracy)}, expected calibration error "
            f"{percent(bins.expected_error)}, largest error of a bin {percent(bins.largest_error)}."
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


def _draw_bars(axes: Axes, data: ReliabilityData, heights: FloatArray, *, color: str) -> None:
    bins = data.reliability
    low, high = np.array(bins.low), np.array(bins.high)
    axes.bar(low, heights, width=0.92 * (high - low), align="edge", color=color, alpha=0.8)
    axes.set_xlim(0, 1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


_LINES: tuple[tuple[str, Any], ...] = (
    (BLUE, "-"),
    (ORANGE, "-"),
    (FAINT, (0, (5, 1.5))),
    (INK, (0, (1.5, 1.5))),
)


def _draw_falls(axes: Axes, clean: float, rows: Mapping[str, tuple[Any, ...]]) -> None:
    """Draw a line per name through the clean score at 0 and (strengths, scores)."""
    for (name, (strengths, scores)), (color, dashes) in zip(rows.items(), _LINES, strict=False):
        axes.plot((0, *strengths), (clean, *scores), color=color, linestyle=dashes, label=name)
    axes.set_ylim(bottom=0)
    add_legend(axes)


def by_kind(table: Robustness) -> dict[str, tuple[float, ...]]:
    """Return the mean over the corruptions of each kind, at each severity."""
    kinds: dict[str, list[tuple[float, ...]]] = {}
    for name, values in table.corrupted.items():
        kind = CORRUPTIONS[name].kind if name in CORRUPTIONS else "other"
        kinds.setdefault(kind, []).append(values)
    return {kind: tuple(np.mean(rows, axis=0).tolist()) for kind, rows in kinds.items()}
