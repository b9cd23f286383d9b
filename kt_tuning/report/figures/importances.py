"""How much each hyperparameter tells good trials from the others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kt_tuning.errors import StorageError
from kt_tuning.evaluation import hyperparameter_importances
from kt_tuning.palette import BLUE, INK
from kt_tuning.report.figures.style import (
    FONT_SIZE,
    default_style,
    name_axes,
    new_figure,
)
from kt_tuning.report.formatting import metric_label, percent, shorten
from kt_tuning.report.run_reader import as_summary
from kt_tuning.report.run_summary import RunSummary

WIDTH, ROW_HEIGHT = 420, 24
MOST_BARS = 12
NAME_LENGTH = 24
FEWEST_TRIALS = 6
"""The best 30% of fewer are a single trial, which tells nothing."""


@dataclasses.dataclass(frozen=True)
class ImportancesData:
    """What is plotted.

    Attributes:
        objective: Name of the objective.
        shares: Hyperparameter -> its share of the importance, the largest first; they sum to 1.
    """

    objective: str
    shares: dict[str, float]

    @property
    def description(self) -> str:
        """The figure in words, for readers who do not see it."""
        listed = ", ".join(
            f"{name} {percent(share)}" for name, share in list(self.shares.items())[:5]
        )
        return f"Importance of hyperparameters for {metric_label(self.objective)}: {listed}."


def importances_data(run: RunSummary) -> ImportancesData | None:
    """Compute what `draw_importances` draws; None if there are too few trials, or nothing varies.

    See `hyperparameter_importances`, which `tuner.plot.importances()` draws as well.
    """
    scored = [
        (trial.record.values, trial.score) for trial in run.trials if np.isfinite(trial.score)
    ]
    if len(scored) < FEWEST_TRIALS:
        return None
    shares = hyperparameter_importances(scored, maximise=run.search.direction == "max")
    return ImportancesData(run.search.objective, shares) if shares else None


def natural_height(data: ImportancesData) -> int:
    """Height in CSS pixels at which the bars are easily read."""
    return 60 + ROW_HEIGHT * min(len(data.shares), MOST_BARS)


def draw_importances(axes: Axes, data: ImportancesData) -> None:
    """Draw the data on `axes`, a bar a hyperparameter."""
    shares = list(data.shares.items())[:MOST_BARS]
    rows = np.arange(len(shares))
    axes.barh(rows, [share for _, share in shares], color=BLUE, height=0.6)
    for row, (_, share) in zip(rows, shares, strict=True):
        axes.annotate(
            percent(share),
            (share, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_SIZE,
            color=INK,
        )
    names = [shorten(name, NAME_LENGTH) for name, _ in shares]
    axes.set_yticks(rows, names, parse_math=False)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.margins(x=0.12)
    axes.grid(visible=False)
    title = f"Importance for {metric_label(data.objective)}"
    name_axes(axes, title, "Share")


@default_style()
def plot_importances(run: RunSummary | str | Path) -> Figure:
    """Plot how much each hyperparameter tells the best 30% of the trials from all.

    Args:
        run: A run directory, or what `load_run` read from one.

    Returns:
        A figure that is not registered with pyplot.

    Raises:
        StorageError: if the directory is no run directory, or holds too few trials.
    """
    data = importances_data(as_summary(run))
    if data is None:
        raise StorageError(
            f"Importances need {FEWEST_TRIALS} trials with a score that differ in a "
            "hyperparameter. Received a run with fewer; let the search go on."
        )
    figure = new_figure(WIDTH, natural_height(data))
    draw_importances(figure.axes[0], data)
    return figure
