"""Trials by two or three objectives, and those that no other trial dominates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.units import count
from kt_tuning.palette import BLUE, FAINT, MUTED
from kt_tuning.report.figures.style import (
    FONT_SIZE,
    HEIGHT,
    WIDTH,
    ReportFigure,
    add_legend,
    default_style,
    empty_figure,
    name_axes,
    new_figure,
)
from kt_tuning.report.formatting import metric_label
from kt_tuning.report.run_summary import FloatArray, RunSummary


@default_style()
def draw_pareto(run: RunSummary, objectives: Sequence[tuple[str, str]]) -> ReportFigure:
    """Draw each trial as a point, those of the Pareto front in blue.

    Args:
        run: The run.
        objectives: (name, direction) of two or three; directions are "max" or "min".

    Raises:
        OptionError: if there is another number of objectives.
        SearchError: if no trial has all of them.
    """
    names = [name for name, _ in objectives]
    if len(names) not in (2, 3):
        raise OptionError(
            "A Pareto front is drawn of 2 or 3 objectives. Received: a search for "
            f"{', '.join(names)}."
        )
    records = [trial.record for trial in run.trials if trial.record.usable]
    whole = [record for record in records if record.metrics.keys() >= set(names)]
    if not whole:
        raise SearchError("No trial has completed yet: call `search` first.")
    points = np.array([[record.metrics[name] for name in names] for record in whole])
    front = pareto_front(points * [-1 if direction == "max" else 1 for _, direction in objectives])
    if len(names) == 2:
        figure = new_figure()
    else:
        figure = empty_figure(WIDTH, 1.3 * HEIGHT)
        figure.add_subplot(projection="3d")
    axes: Any = figure.axes[0]  # with three objectives an Axes3D
    for kept, color, label in ((~front, FAINT, "dominated"), (front, BLUE, "on the front")):
        axes.plot(*points[kept].T, "o", color=color, markersize=5, label=label)
    name_axes(axes, "Pareto front", metric_label(names[0]))
    axes.set_ylabel(metric_label(names[1]), fontsize=FONT_SIZE, color=MUTED, parse_math=False)
    if len(names) == 3:
        axes.set_zlabel(metric_label(names[2]), fontsize=FONT_SIZE, color=MUTED, parse_math=False)
        axes.tick_params(labelsize=FONT_SIZE, labelcolor=MUTED)
    add_legend(axes)
    figure.description = (
        f"{count(len(whole), 'trial')} by {' and '.join(names)}; {front.sum()} on the front."
    )
    return figure


def pareto_front(costs: FloatArray) -> np.ndarray:
    """Return whether each row is dominated by no other: one nowhere worse and somewhere better.

    Args:
        costs: (n, objectives), lower is better.

    Returns:
        (n,) booleans.
    """
    no_worse = (costs[:, None] <= costs[None]).all(axis=2)
    better = (costs[:, None] < costs[None]).any(axis=2)
    return np.asarray(~(no_worse & better).any(axis=0))
