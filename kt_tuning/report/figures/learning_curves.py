"""The objective by epoch of every trial, and the training and validation loss of the best."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kt_tuning.palette import BLUE, FAINT, ORANGE
from kt_tuning.report.figures.style import (
    add_legend,
    default_style,
    name_axes,
    new_figure,
    spans_decades,
    use_log_scale,
)
from kt_tuning.report.formatting import metric_label, number
from kt_tuning.report.run_reader import as_summary
from kt_tuning.report.run_summary import FloatArray, RunSummary, TrialRun
from kt_tuning.units import count

WIDTH, HEIGHT = 460, 290


@dataclasses.dataclass(frozen=True)
class Curve:
    """One line.

    Attributes:
        number: The trial's number.
        epochs: (E,) epochs, the first is 1.
        values: (E,) a value an epoch.
    """

    number: int
    epochs: FloatArray
    values: FloatArray


@dataclasses.dataclass(frozen=True)
class CurvesData:
    """The objective by epoch.

    Attributes:
        objective: Name of the objective.
        curves: A curve for each trial that has one, in order of start.
        best: The best trial's curve, or None.
    """

    objective: str
    curves: tuple[Curve, ...]
    best: Curve | None

    @property
    def description(self) -> str:
        """The figure in words, for readers who do not see it."""
        best = ""
        if self.best is not None and self.best.values.size:
            best = (
                f" The best, trial {self.best.number}, goes from {number(self.best.values[0])} "
                f"to {number(self.best.values[-1])} in {count(len(self.best.epochs), 'epoch')}."
            )
        label = metric_label(self.objective)
        return f"{label} by epoch, {count(len(self.curves), 'curve')}.{best}"


@dataclasses.dataclass(frozen=True)
class LossData:
    """Training and validation loss of the best trial.

    Attributes:
        train: The training loss, or None if it was not recorded.
        validation: The validation loss, or None if it was not recorded.
        best_epoch: The epoch whose weights were kept, the first is 1.
    """

    train: Curve | None
    validation: Curve | None
    best_epoch: int

    @property
    def description(self) -> str:
        """The figure in words, for readers who do not see it."""
        ends = [
            f"{name} loss ends at {number(curve.values[-1])}"
            for name, curve in (("training", self.train), ("validation", self.validation))
            if curve is not None and curve.values.size
        ]
        return f"Loss of the best trial by epoch: {', '.join(ends)}; best epoch {self.best_epoch}."


def curves_data(run: RunSummary) -> CurvesData:
    """Compute what `draw_curves` draws."""
    curves = {trial.record.number: _curve(trial, run.search.objective) for trial in run.trials}
    return CurvesData(
        objective=run.search.objective,
        curves=tuple(curve for curve in curves.values() if curve is not None),
        best=None if run.best is None else curves[run.best.record.number],
    )


def loss_data(run: RunSummary) -> LossData | None:
    """Compute what `draw_losses` draws; None if the best trial recorded no loss."""
    if run.best is None:
        return None
    train, validation = _curve(run.best, "loss"), _curve(run.best, "val_loss")
    if train is None and validation is None:
        return None
    return LossData(train, validation, best_epoch=run.best.record.best_epoch + 1)


def _curve(trial: TrialRun, column: str) -> Curve | None:
    values = trial.history.get(column)
    if values is None or np.isnan(values).all():
        return None
    epochs = trial.history.get("epoch", np.arange(len(values), dtype=float))
    return Curve(trial.record.number, epochs + 1, values)


def draw_curves(axes: Axes, data: CurvesData) -> None:
    """Draw the objective by epoch on `axes`, the best trial above the others."""
    if spans_decades(np.concatenate([[], *(curve.values for curve in data.curves)])):
        use_log_scale(axes, "y")
    for curve in data.curves:
        _draw_line(axes, curve, FAINT, "", linewidth=0.9, alpha=0.7)
    if data.best is not None:
        _draw_line(axes, data.best, BLUE, f"trial {data.best.number}, the best", linewidth=2.0)
        add_legend(axes)
    _number_epochs(axes, data.curves)
    name_axes(axes, metric_label(data.objective), "Epoch")


def draw_losses(axes: Axes, data: LossData) -> None:
    """Draw training and validation loss on `axes`."""
    curves = [curve for curve in (data.train, data.validation) if curve is not None]
    if spans_decades(np.concatenate([curve.values for curve in curves])):
        use_log_scale(axes, "y")
    axes.axvline(data.best_epoch, color=FAINT, linewidth=1.0, linestyle=(0, (3, 3)))
    if data.train is not None:
        _draw_line(axes, data.train, ORANGE, "training", linestyle=(0, (5, 1.5)))
    if data.validation is not None:
        _draw_line(axes, data.validation, BLUE, "validation", linewidth=2.0)
    _number_epochs(axes, curves)
    name_axes(axes, f"Loss of trial {curves[0].number}", "Epoch (dashed: the epoch kept)")
    add_legend(axes)


def _draw_line(axes: Axes, curve: Curve, color: str, label: str, **style: Any) -> None:
    """Draw a curve; one of a single epoch is a dot, since a line through one point is invisible."""
    marker = "o" if len(curve.epochs) == 1 else None
    axes.plot(
        curve.epochs, curve.values, color=color, label=label, marker=marker, markersize=4, **style
    )


def _number_epochs(axes: Axes, curves: Sequence[Curve]) -> None:
    last = max((curve.epochs[-1] for curve in curves), default=1.0)
    axes.set_xlim(0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


@default_style()
def plot_learning_curves(run: RunSummary | str | Path) -> Figure:
    """Plot the objective by epoch of every trial, and the losses of the best beside it.

    Args:
        run: A run directory, or what `load_run` read from one.

    Returns:
        A figure that is not registered with pyplot; one axes if no loss was recorded, else two.

    Raises:
        StorageError: if the directory is no run directory.
    """
    run = as_summary(run)
    losses = loss_data(run)
    columns = 1 if losses is None else 2
    figure = new_figure(columns * WIDTH, HEIGHT, columns=columns)
    draw_curves(figure.axes[0], curves_data(run))
    if losses is not None:
        draw_losses(figure.axes[1], losses)
    return figure
