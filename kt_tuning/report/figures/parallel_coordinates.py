"""Each trial as a line through its hyperparameters and its score: parallel coordinates."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kt_tuning.errors import StorageError
from kt_tuning.palette import BLUE, FAINT, INK, MUTED, RULE
from kt_tuning.records import COMPLETED
from kt_tuning.report.figures.importances import importances_data
from kt_tuning.report.figures.style import FONT_SIZE, default_style, new_figure, spans_decades
from kt_tuning.report.formatting import metric_label, shorten, value_text
from kt_tuning.report.run_reader import as_summary
from kt_tuning.report.run_summary import FloatArray, RunSummary
from kt_tuning.units import count

WIDTH, NARROW_WIDTH, HEIGHT = 860, 360, 300
MOST_COLUMNS, NARROW_COLUMNS = 7, 3
GOOD = 0.3
"""Share of the trials that stand out."""
MOST_CATEGORIES, MOST_NUMBERS = 8, 4
"""Values that are all written beside an axis; of more categories none, of more numbers three."""
NAME_LENGTH, LABEL_LENGTH = 16, 10


@dataclasses.dataclass(frozen=True)
class Column:
    """One vertical axis.

    Attributes:
        name: Of the hyperparameter, or the objective.
        places: (trials,) in 0..1 from below; not-a-number where a trial has no such value.
        ticks: (place, label) of what is written beside the axis.
    """

    name: str
    places: FloatArray
    ticks: tuple[tuple[float, str], ...]


@dataclasses.dataclass(frozen=True)
class ParallelData:
    """What is plotted.

    Attributes:
        objective: Name of the objective.
        columns: The hyperparameters, the most important first, and the objective last.
        order: (trials,) the worst trial first.
    """

    objective: str
    columns: tuple[Column, ...]
    order: tuple[int, ...]

    @property
    def description(self) -> str:
        """The figure in words, for readers who do not see it."""
        names = ", ".join(column.name for column in self.columns[:-1])
        return (
            f"{count(len(self.order), 'trial')} as lines through {names} and "
            f"{metric_label(self.objective)}, the best 30% in blue."
        )

    def narrowed(self, columns: int) -> ParallelData:
        """Return the same with so many hyperparameters, at most."""
        kept = (*self.columns[:-1][:columns], self.columns[-1])
        return dataclasses.replace(self, columns=kept)


def parallel_data(run: RunSummary) -> ParallelData | None:
    """Compute what `draw_parallel` draws; None if there are too few trials, or nothing varies.

    Trials that were pruned are left out: their scores are of shorter trainings than the others'.
    """
    importances = importances_data(run)
    scored = [
        trial
        for trial in run.trials
        if trial.record.status == COMPLETED and np.isfinite(trial.score)
    ]
    if importances is None or not scored:
        return None
    scores = np.array([trial.score for trial in scored])
    known = {name for trial in scored for name in trial.record.values}
    names = [name for name in importances.shares if name in known][:MOST_COLUMNS]
    columns = [_column(name, [trial.record.values.get(name) for trial in scored]) for name in names]
    metric = metric_label(run.search.objective.removeprefix("val_"))
    columns.append(_column(metric, scores.tolist()))
    order = np.argsort(scores if run.search.direction == "max" else -scores, kind="stable")
    return ParallelData(run.search.objective, tuple(columns), tuple(order.tolist()))


def _column(name: str, values: Sequence[Any]) -> Column:
    present = [value for value in values if value is not None]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in present):
        return _numeric(name, values, [float(value) for value in present])
    names = sorted({value_text(value) for value in present})
    step = 1.0 / max(len(names) - 1, 1)
    index = {text: step * position for position, text in enumerate(names)}
    places = [np.nan if value is None else index[value_text(value)] for value in values]
    shown = index if len(names) <= MOST_CATEGORIES else {}
    ticks = tuple((place, shorten(text, LABEL_LENGTH)) for text, place in shown.items())
    return Column(name, np.array(places), ticks)


def _numeric(name: str, values: Sequence[Any], present: list[float]) -> Column:
    log = spans_decades(present)
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    scaled = np.log(numbers) if log else numbers
    low, high = np.nanmin(scaled), np.nanmax(scaled)
    places = (scaled - low) / (high - low) if high > low else scaled - low + 0.5
    distinct = dict(sorted(zip(numbers.tolist(), places.tolist(), strict=True)))
    labels = {value: place for value, place in distinct.items() if not np.isnan(value)}
    if len(labels) > MOST_NUMBERS:
        middle = np.exp((low + high) / 2) if log else (low + high) / 2
        labels = {min(present): 0.0, float(middle): 0.5, max(present): 1.0}
    return Column(name, places, tuple((place, f"{value:.3g}") for value, place in labels.items()))


def draw_parallel(axes: Axes, data: ParallelData) -> None:
    """Draw the data on `axes`: the best 30% stand out, and the best of all most."""
    x = np.arange(len(data.columns))
    places = np.stack([column.places for column in data.columns])
    trials = len(data.order)
    good = trials - max(1, round(GOOD * trials))
    for rank, trial in enumerate(data.order):
        style: dict[str, Any] = {"color": FAINT, "linewidth": 0.8, "alpha": 0.45}
        if rank >= good:
            style = {"color": BLUE, "linewidth": 1.2, "alpha": 0.6}
        if rank == trials - 1:
            style = {"color": BLUE, "linewidth": 2.6, "alpha": 1.0}
        axes.plot(x, places[:, trial], marker="o", markersize=2.5, **style)
    for position, column in enumerate(data.columns):
        axes.axvline(position, color=RULE, linewidth=1.0, zorder=0)
        for place, label in column.ticks:
            axes.annotate(
                label,
                (position, place),
                xytext=(4, 2),
                textcoords="offset points",
                fontsize=FONT_SIZE,
                color=MUTED,
                parse_math=False,
            )
    names = [shorten(column.name, NAME_LENGTH) for column in data.columns]
    axes.set_xticks(x, names, parse_math=False)
    axes.tick_params(axis="x", top=False, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.tick_params(axis="x", labelcolor=INK)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.3, len(data.columns) - 0.45)
    axes.set_ylim(-0.06, 1.1)


@default_style()
def plot_parallel(run: RunSummary | str | Path) -> Figure:
    """Plot each trial as a line through its most important hyperparameters and its score.

    Args:
        run: A run directory, or what `load_run` read from one.

    Returns:
        A figure that is not registered with pyplot.

    Raises:
        StorageError: if the directory is no run directory, or holds too few trials.
    """
    data = parallel_data(as_summary(run))
    if data is None:
        raise StorageError(
            "Parallel coordinates need some trials with a score that differ in a hyperparameter. "
            "Received a run with too few; let the search go on."
        )
    figure = new_figure(WIDTH, HEIGHT)
    draw_parallel(figure.axes[0], data)
    return figure
