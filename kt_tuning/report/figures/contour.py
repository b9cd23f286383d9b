"""The score over two hyperparameters, interpolated between the trials."""

from __future__ import annotations

import contextlib

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from kt_tuning.core.errors import SearchError
from kt_tuning.palette import MUTED, RULE, SHADES
from kt_tuning.report.figures.scored_trials import ScoredTrials
from kt_tuning.report.figures.style import (
    FONT_SIZE,
    HEIGHT,
    WIDTH,
    ReportFigure,
    default_style,
    name_axes,
    new_figure,
)
from kt_tuning.report.figures.value_axis import ValueAxis
from kt_tuning.report.formatting import metric_label

LEVELS = 12


@default_style()
def draw_contour(trials: ScoredTrials, a: str, b: str) -> ReportFigure:
    """Draw the score as shades between trials, by linear interpolation on a triangulation.

    Trials on one line have no area between them: they are points alone.

    Args:
        trials: Completed ones with a score.
        a: Hyperparameter of the x axis.
        b: Hyperparameter of the y axis.

    Raises:
        SearchError: if no two trials have both and differ in each.
    """
    x, y = ValueAxis.of(trials.values(a)), ValueAxis.of(trials.values(b))
    both = np.isfinite(x.positions) & np.isfinite(y.positions)
    if a == b or any(len(np.unique(axis.positions[both])) < 2 for axis in (x, y)):
        raise SearchError(
            "A contour needs two hyperparameters that completed trials have both and differ in. "
            f"Received: {a!r} and {b!r}, which {int(both.sum())} trials have. See `slice`."
        )
    figure = new_figure(WIDTH, 1.15 * HEIGHT)
    axes = figure.axes[0]
    places = x.unit(x.positions[both]), y.unit(y.positions[both])
    scores = trials.scores[both]
    shades = LinearSegmentedColormap.from_list(
        "shades", SHADES if trials.maximise else SHADES[::-1]
    )
    # Raised for points on one line.
    with contextlib.suppress(RuntimeError, ValueError):
        axes.tricontourf(*places, scores, levels=LEVELS, cmap=shades)
    points = axes.scatter(*places, c=scores, s=18, cmap=shades, edgecolors="white", clip_on=False)
    bar = figure.colorbar(points, ax=axes, fraction=0.03, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label(metric_label(trials.objective), fontsize=FONT_SIZE, color=MUTED)
    bar.ax.tick_params(labelsize=FONT_SIZE, color=RULE, labelcolor=MUTED)
    name_axes(axes, f"{metric_label(trials.objective)} by {a} and {b}", a)
    axes.set_ylabel(b, fontsize=FONT_SIZE, color=MUTED, parse_math=False)
    for axis, values in ((axes.xaxis, x), (axes.yaxis, y)):
        ticks = values.unit_ticks()
        axis.set_ticks([place for place, _ in ticks])
        axis.set_ticklabels([label for _, label in ticks], parse_math=False)
    axes.grid(visible=False)
    figure.description = f"{metric_label(trials.objective)} over {a} and {b}."
    return figure
