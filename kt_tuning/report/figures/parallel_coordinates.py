"""Each trial as a line through its hyperparameters and its score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kt_tuning.core.units import count
from kt_tuning.palette import BLUE, FAINT, INK, MUTED, RULE
from kt_tuning.report.figures.scored_trials import ScoredTrials
from kt_tuning.report.figures.style import FONT_SIZE, ReportFigure, default_style, new_figure
from kt_tuning.report.figures.value_axis import ValueAxis
from kt_tuning.report.formatting import metric_label, shorten

COLUMN_WIDTH, FIGURE_HEIGHT = 120, 300
MOST_COLUMNS = 7
GOOD = 0.3
"""Share of the trials that are drawn as the best ones."""
NAME_LENGTH = 16


@default_style()
def draw_parallel_coordinates(trials: ScoredTrials, names: Sequence[str]) -> ReportFigure:
    """Draw a line a trial; the best 30% are blue, and the best one is the boldest.

    A line breaks where a trial has no such hyperparameter.

    Args:
        trials: Completed ones with a score.
        names: Hyperparameters from left to right; the score is on the right of them.
    """
    columns = {name: ValueAxis.of(trials.values(name)) for name in names}
    metric = metric_label(trials.objective.removeprefix("val_"))
    axes_of = [*columns.items(), (metric, ValueAxis.of(trials.scores.tolist()))]
    places = np.stack([axis.unit(axis.positions) for _, axis in axes_of])
    figure = new_figure(max(360, COLUMN_WIDTH * len(axes_of)), FIGURE_HEIGHT)
    axes = figure.axes[0]
    x = np.arange(len(axes_of))
    for index, style in _worst_first(trials):
        axes.plot(x, places[:, index], marker="o", markersize=2.5, **style)
    for position, (_, axis) in enumerate(axes_of):
        axes.axvline(position, color=RULE, linewidth=1.0, zorder=0)
        for place, label in axis.unit_ticks():
            axes.annotate(
                label,
                (position, place),
                xytext=(4, 2),
                textcoords="offset points",
                fontsize=FONT_SIZE,
                color=MUTED,
                parse_math=False,
            )
    axes.set_xticks(x, [shorten(name, NAME_LENGTH) for name, _ in axes_of], parse_math=False)
    axes.tick_params(axis="x", top=False, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.tick_params(axis="x", labelcolor=INK)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.3, len(axes_of) - 0.45)
    axes.set_ylim(-0.06, 1.1)
    figure.description = (
        f"{count(len(trials.trials), 'trial')} as lines through {', '.join(names)} and "
        f"{metric_label(trials.objective)}, the best 30% in blue."
    )
    return figure


def _worst_first(trials: ScoredTrials) -> list[tuple[int, dict[str, Any]]]:
    """Return (index, style of the line) of each trial, so that the best is drawn last."""
    scores = trials.scores if trials.maximise else -trials.scores
    order = np.argsort(scores, kind="stable").tolist()
    good = len(order) - max(1, round(GOOD * len(order)))
    styles: list[dict[str, Any]] = [
        {"color": BLUE, "linewidth": 1.2, "alpha": 0.6}
        if rank >= good
        else {"color": FAINT, "linewidth": 0.8, "alpha": 0.45}
        for rank in range(len(order))
    ]
    styles[-1] = {"color": BLUE, "linewidth": 2.6, "alpha": 1.0}
    return list(zip(order, styles, strict=True))
