"""The objective of each trial in the order they were started, and the best so far."""

from __future__ import annotations

import dataclasses
from pathlib import Path

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
from kt_tuning.report.run_summary import FloatArray, RunSummary
from kt_tuning.units import count

WIDTH, HEIGHT, NARROW_WIDTH = 860, 290, 440


@dataclasses.dataclass(frozen=True)
class SearchHistoryData:
    """What is plotted.

    Attributes:
        objective: Name of the objective.
        numbers: (trials,) trial numbers.
        scores: (trials,) objective, not-a-number where a trial has none.
        best_so_far: (trials,) best objective up to each trial, not-a-number before the first.
        best: Index into these of the best trial, or None.
    """

    objective: str
    numbers: tuple[int, ...]
    scores: FloatArray
    best_so_far: FloatArray
    best: int | None

    @property
    def description(self) -> str:
        """The figure in words, for readers who do not see it."""
        failed = int(np.isnan(self.scores).sum())
        best = (
            "none has a score"
            if self.best is None
            else f"the best is {number(self.scores[self.best])} in trial {self.numbers[self.best]}"
        )
        return (
            f"{metric_label(self.objective)} of {count(len(self.numbers), 'trial')} in order of "
            f"start: {best}; {failed} without a score."
        )


def search_history_data(run: RunSummary) -> SearchHistoryData:
    """Compute what `draw_search_history` draws."""
    scores = np.array([trial.score for trial in run.trials], dtype=float)
    accumulate = np.fmax if run.search.direction == "max" else np.fmin
    return SearchHistoryData(
        objective=run.search.objective,
        numbers=tuple(trial.record.number for trial in run.trials),
        scores=scores,
        best_so_far=accumulate.accumulate(scores),
        best=None if run.best is None else run.trials.index(run.best),
    )


def draw_search_history(axes: Axes, data: SearchHistoryData) -> None:
    """Draw the data on `axes`."""
    numbers = np.array(data.numbers)
    scored = ~np.isnan(data.scores)
    if spans_decades(data.scores):
        use_log_scale(axes, "y")
    axes.plot(numbers, data.best_so_far, color=BLUE, drawstyle="steps-post", label="best so far")
    axes.plot(numbers[scored], data.scores[scored], "o", color=FAINT, markersize=5)
    if data.best is not None:
        axes.plot(
            numbers[data.best], data.scores[data.best], "o", color=BLUE, markersize=7, label="best"
        )
    if not scored.all():
        axes.plot(
            numbers[~scored],
            np.full((~scored).sum(), 0.03),
            "x",
            color=ORANGE,
            markersize=6,
            markeredgewidth=1.8,
            transform=axes.get_xaxis_transform(),
            label="no score",
        )
    axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    name_axes(axes, metric_label(data.objective), "Trial, in order of start")
    add_legend(axes)


@default_style()
def plot_search_history(run: RunSummary | str | Path) -> Figure:
    """Plot the objective of each trial in order, with the best so far.

    Args:
        run: A run directory, or what `load_run` read from one.

    Returns:
        A figure that is not registered with pyplot.

    Raises:
        StorageError: if the directory is no run directory.
    """
    figure = new_figure(WIDTH, HEIGHT)
    draw_search_history(figure.axes[0], search_history_data(as_summary(run)))
    return figure
