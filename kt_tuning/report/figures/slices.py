"""The score against the value of a hyperparameter: slice plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from kt_tuning.core.units import count
from kt_tuning.palette import BLUE, FAINT, MUTED
from kt_tuning.report.figures.scored_trials import ScoredTrials
from kt_tuning.report.figures.style import (
    FONT_SIZE,
    ReportFigure,
    default_style,
    name_axes,
    new_figure,
    spans_decades,
    use_log_scale,
)
from kt_tuning.report.figures.value_axis import ValueAxis
from kt_tuning.report.formatting import metric_label, shorten
from kt_tuning.report.run_summary import FloatArray

PANEL_WIDTH, PANEL_HEIGHT = 260, 200
COLUMNS = 4
CHARACTERS_ACROSS = 20
"""Characters of tick labels that fit along one panel."""


@default_style()
def draw_slices(trials: ScoredTrials, names: Sequence[str]) -> ReportFigure:
    """Draw the score against each of `names`, four panels a row, with a common y axis.

    A trial is in the panels of the hyperparameters that it has. The best trial is blue.

    Args:
        trials: Those with a score.
        names: Hyperparameters, at least one.
    """
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    width, height = columns * PANEL_WIDTH, rows * PANEL_HEIGHT
    figure = new_figure(width, height, rows=rows, columns=columns)
    for axes, name in zip(figure.axes, names, strict=False):
        _draw_panel(axes, trials, name)
    for axes in figure.axes[len(names) :]:
        axes.remove()
    figure.description = (
        f"{metric_label(trials.objective)} against {', '.join(names)}, "
        f"{count(len(trials.trials), 'trial')}."
    )
    return figure


def _draw_panel(axes: Axes, trials: ScoredTrials, name: str) -> None:
    axis = ValueAxis.of(trials.values(name))
    active = np.isfinite(axis.positions)
    if axis.log:
        use_log_scale(axes, "x")
    if spans_decades(trials.scores):
        use_log_scale(axes, "y")
    positions, scores = axis.positions, trials.scores
    axes.plot(positions[active], scores[active], "o", color=FAINT, markersize=4.5, alpha=0.75)
    best = trials.best
    if best is not None and active[best]:
        axes.plot(positions[best], scores[best], "o", color=BLUE, markersize=6.5)
    limits = (scores.min(), scores.max())
    axes.update_datalim([(positions[active][0], score) for score in limits])
    _set_ticks(axes, axis)
    axes.margins(x=0.12)
    name_axes(axes, shorten(name, 30), "")
    axes.tick_params(labelsize=FONT_SIZE, labelcolor=MUTED)


def _set_ticks(axes: Axes, axis: ValueAxis) -> None:
    """Put a tick at each value where the labels do not overlap, and at each category."""
    places = axis.distinct
    labels = [axis.label(position) for position in places]
    clear = _labels_fit(axis.unit(places), labels)
    if clear or axis.categories:
        tilt: dict[str, Any] = {"rotation": 30, "rotation_mode": "anchor", "ha": "right"}
        axes.set_xticks(places, labels, parse_math=False, **({} if clear else tilt))
        axes.minorticks_off()


def _labels_fit(places: FloatArray, labels: Sequence[str]) -> bool:
    """Return whether labels at these sorted places in 0..1 do not overlap."""
    gap = np.diff(places).min(initial=1.0)
    return bool(gap >= max(map(len, labels)) / CHARACTERS_ACROSS)
