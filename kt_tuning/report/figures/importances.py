"""The importance of each hyperparameter, as shares of 1."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import PercentFormatter

from kt_tuning.core.errors import SearchError
from kt_tuning.palette import BLUE, INK
from kt_tuning.report.figures.scored_trials import ScoredTrials
from kt_tuning.report.figures.style import (
    FONT_SIZE,
    WIDTH,
    ReportFigure,
    default_style,
    name_axes,
    new_figure,
)
from kt_tuning.report.formatting import metric_label, percent, shorten

ROW_HEIGHT = 24
MOST_BARS = 12
NAME_LENGTH = 24
FEWEST_TRIALS = 6
"""The best 30% of fewer are a single trial, which tells nothing."""


@default_style()
def draw_importances(trials: ScoredTrials) -> ReportFigure:
    """Draw a bar a hyperparameter, the most important one on top.

    Raises:
        SearchError: if there are too few trials with a score, or they do not differ.
    """
    found = trials.importances()
    if np.isfinite(trials.scores).sum() < FEWEST_TRIALS or not found:
        raise SearchError(
            f"Importances need {FEWEST_TRIALS} trials with a score that differ in a "
            "hyperparameter. Received fewer: let the search go on."
        )
    shares = list(found.items())[:MOST_BARS]
    figure = new_figure(WIDTH, 60 + ROW_HEIGHT * len(shares))
    axes = figure.axes[0]
    rows = np.arange(len(shares))
    bars = axes.barh(rows, [share for _, share in shares], color=BLUE, height=0.6)
    labels = [percent(share) for _, share in shares]
    axes.bar_label(bars, labels, padding=4, fontsize=FONT_SIZE, color=INK)
    axes.set_yticks(rows, [shorten(name, NAME_LENGTH) for name, _ in shares], parse_math=False)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.margins(x=0.12)
    axes.grid(visible=False)
    objective = metric_label(trials.objective)
    name_axes(axes, f"Importance for {objective}", "Share")
    listed = ", ".join(f"{name} {percent(share)}" for name, share in shares[:5])
    figure.description = f"Importance of hyperparameters for {objective}: {listed}."
    return figure
