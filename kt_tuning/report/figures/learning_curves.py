"""The objective by epoch of every trial, and both losses of the best one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kt_tuning.core.errors import SearchError
from kt_tuning.core.units import count
from kt_tuning.palette import BLUE, FAINT, ORANGE
from kt_tuning.report.figures.style import (
    ReportFigure,
    add_legend,
    default_style,
    name_axes,
    new_figure,
    spans_decades,
    use_log_scale,
)
from kt_tuning.report.formatting import metric_label, number
from kt_tuning.report.run_summary import FloatArray, RunSummary, TrialRun


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """A metric of one trial by epoch; the mean where several trainings have the same epoch.

    Attributes:
        number: The trial's number.
        epochs: (epochs,) from 1.
        values: (epochs,) the metric.
    """

    number: int
    epochs: FloatArray
    values: FloatArray


def curve_of(trial: TrialRun, metric: str) -> Curve | None:
    """Return the curve of a metric, or None if it was not recorded."""
    values = trial.history.get(metric)
    if values is None or np.isnan(values).all():
        return None
    epochs = trial.history.get("epoch", np.arange(len(values), dtype=float))
    distinct, index = np.unique(epochs, return_inverse=True)
    means = np.bincount(index, weights=values) / np.bincount(index)
    return Curve(trial.record.number, distinct + 1, means)


@default_style()
def draw_intermediate_values(run: RunSummary) -> ReportFigure:
    """Draw the objective by epoch of every trial, the best one in front.

    Raises:
        SearchError: if no trial has recorded the objective by epoch.
    """
    objective = run.search.objective
    curves = [curve for trial in run.trials if (curve := curve_of(trial, objective)) is not None]
    if not curves:
        raise SearchError("No trial has reported a value before its end: there are no curves.")
    figure = new_figure()
    axes = figure.axes[0]
    if spans_decades(np.concatenate([curve.values for curve in curves])):
        use_log_scale(axes, "y")
    for curve in curves:
        _draw_line(axes, curve, FAINT, "", linewidth=0.9, alpha=0.7)
    best = None if run.best is None else curve_of(run.best, objective)
    description = f"{metric_label(objective)} by epoch, {count(len(curves), 'curve')}."
    if best is not None:
        _draw_line(axes, best, BLUE, f"trial {best.number}, the best", linewidth=2.0)
        add_legend(axes)
        description += (
            f" The best, trial {best.number}, goes from {number(best.values[0])} to "
            f"{number(best.values[-1])} in {count(len(best.epochs), 'epoch')}."
        )
    _number_epochs(axes, curves)
    name_axes(axes, metric_label(objective), "Epoch")
    figure.description = description
    return figure


@default_style()
def draw_losses(run: RunSummary) -> ReportFigure:
    """Draw training and validation loss of the best trial by epoch.

    Raises:
        SearchError: if no trial has a score, or the best one recorded no loss.
    """
    if run.best is None:
        raise SearchError("No trial has a score yet: let the search go on.")
    train, validation = curve_of(run.best, "loss"), curve_of(run.best, "val_loss")
    curves = [curve for curve in (train, validation) if curve is not None]
    if not curves:
        raise SearchError("The best trial has recorded no loss by epoch.")
    figure = new_figure()
    axes = figure.axes[0]
    if spans_decades(np.concatenate([curve.values for curve in curves])):
        use_log_scale(axes, "y")
    kept = run.best.record.best_epoch + 1
    axes.axvline(kept, color=FAINT, linewidth=1.0, linestyle=(0, (3, 3)))
    if train is not None:
        _draw_line(axes, train, ORANGE, "training", linestyle=(0, (5, 1.5)))
    if validation is not None:
        _draw_line(axes, validation, BLUE, "validation", linewidth=2.0)
    _number_epochs(axes, curves)
    name_axes(axes, f"Loss of trial {curves[0].number}", "Epoch (dashed: the epoch kept)")
    add_legend(axes)
    ends = [
        f"{name} loss ends at {number(curve.values[-1])}"
        for name, curve in (("training", train), ("validation", validation))
        if curve is not None
    ]
    figure.description = f"Loss of the best trial by epoch: {', '.join(ends)}; best epoch {kept}."
    return figure


def _draw_line(axes: Axes, curve: Curve, color: str, label: str, **style: Any) -> None:
    """Draw a curve; one of a single epoch is a dot, since a line through one point is invisible."""
    marker = "o" if len(curve.epochs) == 1 else None
    axes.plot(
        curve.epochs, curve.values, color=color, label=label, marker=marker, markersize=4, **style
    )


def _number_epochs(axes: Axes, curves: Sequence[Curve]) -> None:
    axes.set_xlim(0.5, max(curve.epochs[-1] for curve in curves) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
