"""The objective against the value of each hyperparameter that varied: a slice plot."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kt_tuning.palette import BLUE, FAINT, MUTED
from kt_tuning.report.figures.style import (
    FONT_SIZE,
    default_style,
    name_axes,
    new_figure,
    spans_decades,
    use_log_scale,
)
from kt_tuning.report.formatting import metric_label, shorten, value_text
from kt_tuning.report.run_reader import as_summary
from kt_tuning.report.run_summary import FloatArray, RunSummary
from kt_tuning.units import count

WIDTH, HEIGHT = 260, 200
COLUMNS = 4
LABEL_LENGTH = 10
CHARACTERS_ACROSS = 20  # of a tick label, along one panel


@dataclasses.dataclass(frozen=True)
class SliceData:
    """One hyperparameter, over the trials in which it was active and that have a score.

    Attributes:
        name: The hyperparameter's name.
        objective: Name of the objective.
        positions: (n,) where each trial is on the x axis: its value, or its category's index.
        scores: (n,) objective.
        ticks: (position, label) of each tick; empty to leave them to the axis.
        log: Whether the x axis is logarithmic.
        score_range: Lowest and highest objective of all trials: slices share their y axis.
        best: Index of the best trial, or None if it has no such hyperparameter.
    """

    name: str
    objective: str
    positions: FloatArray
    scores: FloatArray
    ticks: tuple[tuple[float, str], ...]
    log: bool
    score_range: tuple[float, float]
    best: int | None

    @property
    def description(self) -> str:
        """The figure in words, for readers who do not see it."""
        trials = count(len(self.scores), "trial")
        return f"{metric_label(self.objective)} against {self.name}, {trials}."


def slices_data(run: RunSummary) -> list[SliceData]:
    """Compute a slice for each hyperparameter with two or more values, in order of declaration."""
    scored = [trial for trial in run.trials if not math.isnan(trial.score)]
    names = dict.fromkeys(name for trial in scored for name in trial.record.values)
    for name in [name for name in names if name.startswith("tuner/")]:
        del names[name]  # Hyperband's bookkeeping
    scores = [trial.score for trial in scored]
    slices = []
    for name in names:
        active = [trial for trial in scored if name in trial.record.values]
        values = [trial.record.values[name] for trial in active]
        if len({value_text(value) for value in values}) < 2:
            continue
        positions, ticks, log = _place(values)
        slices.append(
            SliceData(
                name=name,
                objective=run.search.objective,
                positions=positions,
                scores=np.array([trial.score for trial in active]),
                ticks=ticks,
                log=log,
                score_range=(min(scores), max(scores)),
                best=active.index(run.best) if run.best in active else None,
            )
        )
    return slices


def _place(values: list[Any]) -> tuple[FloatArray, tuple[tuple[float, str], ...], bool]:
    """Place values on an axis, numbers by size and anything else by category."""
    numeric = all(isinstance(value, (int, float)) for value in values)
    if not numeric or all(isinstance(value, bool) for value in values):
        return _place_categories([value_text(value) for value in values])
    positions = np.array(values, dtype=float)
    log = spans_decades(positions)
    distinct = np.unique(positions)
    labels = [f"{value:.6g}" for value in distinct]
    clear = _stand_clear(np.log(distinct) if log else distinct, labels)
    return positions, tuple(zip(distinct.tolist(), labels, strict=True)) if clear else (), log


def _place_categories(
    names: list[str],
) -> tuple[FloatArray, tuple[tuple[float, str], ...], bool]:
    index = {name: float(position) for position, name in enumerate(sorted(set(names)))}
    ticks = tuple((position, shorten(name, LABEL_LENGTH)) for name, position in index.items())
    return np.array([index[name] for name in names]), ticks, False


def _stand_clear(places: FloatArray, labels: Sequence[str]) -> bool:
    """Return whether labels at these sorted places, two or more, do not run into each other."""
    gap = np.diff(places).min() / (places[-1] - places[0])
    return bool(gap >= max(map(len, labels)) / CHARACTERS_ACROSS)


def draw_slice(axes: Axes, data: SliceData) -> None:
    """Draw one slice on `axes`, the best trial highlighted."""
    if data.log:
        use_log_scale(axes, "x")
    if spans_decades(data.score_range):
        use_log_scale(axes, "y")
    axes.plot(data.positions, data.scores, "o", color=FAINT, markersize=4.5, alpha=0.75)
    if data.best is not None:
        axes.plot(
            data.positions[data.best], data.scores[data.best], "o", color=BLUE, markersize=6.5
        )
    # Slices share their y axis, so that they can be compared.
    axes.update_datalim([(data.positions[0], score) for score in data.score_range])
    if data.ticks:
        positions, labels = zip(*data.ticks, strict=True)
        crowded = not data.log and not _stand_clear(np.array(positions), labels)
        tilt: dict[str, Any] = {"rotation": 30, "rotation_mode": "anchor", "ha": "right"}
        axes.set_xticks(positions, labels, parse_math=False, **(tilt if crowded else {}))
        axes.minorticks_off()
    axes.margins(x=0.12)
    name_axes(axes, shorten(data.name, 30), "")
    axes.tick_params(labelsize=FONT_SIZE, labelcolor=MUTED)


@default_style()
def plot_slices(run: RunSummary | str | Path) -> Figure:
    """Plot the objective against each hyperparameter that varied, one small axes each.

    Args:
        run: A run directory, or what `load_run` read from one.

    Returns:
        A figure that is not registered with pyplot; without axes if nothing varied.

    Raises:
        StorageError: if the directory is no run directory.
    """
    slices = slices_data(as_summary(run))
    columns = min(COLUMNS, max(len(slices), 1))
    rows = max(math.ceil(len(slices) / COLUMNS), 1)
    figure = new_figure(columns * WIDTH, rows * HEIGHT, rows, columns)
    for axes, data in zip(figure.axes, slices, strict=False):
        draw_slice(axes, data)
    for axes in figure.axes[len(slices) :]:
        axes.remove()
    return figure
