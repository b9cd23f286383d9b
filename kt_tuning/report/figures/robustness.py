"""What is left of a score on images that are worse, or changed on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kt_tuning.errors import StorageError
from kt_tuning.evaluation import CORRUPTIONS, Robustness
from kt_tuning.palette import BLUE, FAINT, INK, ORANGE
from kt_tuning.report.figures.style import add_legend, default_style, name_axes, new_figure
from kt_tuning.report.formatting import metric_label, number
from kt_tuning.report.run_reader import as_summary
from kt_tuning.report.run_summary import RunSummary

WIDTH, HEIGHT = 440, 300
_LINES: tuple[tuple[str, Any], ...] = (
    (BLUE, "-"),
    (ORANGE, "-"),
    (FAINT, (0, (5, 1.5))),
    (INK, (0, (1.5, 1.5))),
)


def by_kind(table: Robustness) -> dict[str, tuple[float, ...]]:
    """Return the mean over the corruptions of each kind, at each severity."""
    kinds: dict[str, list[tuple[float, ...]]] = {}
    for name, values in table.corrupted.items():
        kind = CORRUPTIONS[name].kind if name in CORRUPTIONS else "other"
        kinds.setdefault(kind, []).append(values)
    return {kind: tuple(np.mean(rows, axis=0).tolist()) for kind, rows in kinds.items()}


def corruptions_description(table: Robustness) -> str:
    """Return the figure of the corruptions in words."""
    ends = ", ".join(f"{kind} {number(values[-1])}" for kind, values in by_kind(table).items())
    return (
        f"{metric_label(table.metric)} on {table.images:,} images by severity of corruption: "
        f"{number(table.clean)} clean; at severity {table.severities[-1]} {ends}."
    )


def attacks_description(table: Robustness) -> str:
    """Return the figure of the attacks in words."""
    ends = "; ".join(
        f"{name.upper()} {number(row[max(row)])} at {max(row):g} of 255"
        for name, row in table.adversarial.items()
    )
    return f"Accuracy under attack on {table.images:,} images: {number(table.clean)} clean; {ends}."


def draw_corruptions(axes: Axes, table: Robustness) -> None:
    """Draw the metric by severity, a line a kind of corruption."""
    severities = (0, *table.severities)
    for (kind, values), (color, dashes) in zip(by_kind(table).items(), _LINES, strict=False):
        axes.plot(severities, (table.clean, *values), color=color, linestyle=dashes, label=kind)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    name_axes(axes, metric_label(table.metric), "Severity of the corruption (0: as it is)")
    add_legend(axes)


def draw_attacks(axes: Axes, table: Robustness) -> None:
    """Draw the accuracy by the largest change of a pixel, a line an attack."""
    for (name, row), (color, dashes) in zip(table.adversarial.items(), _LINES, strict=False):
        epsilons = sorted(row)
        values = [table.clean, *(row[epsilon] for epsilon in epsilons)]
        axes.plot([0, *epsilons], values, color=color, linestyle=dashes, label=name.upper())
    axes.set_ylim(bottom=0)
    name_axes(axes, "Accuracy under attack", "Largest change of a pixel, of 255")
    add_legend(axes)


@default_style()
def plot_robustness(run: RunSummary | str | Path) -> Figure:
    """Plot the score under corruptions, and the accuracy under attacks, as far as measured.

    Args:
        run: A run directory, or what `load_run` read from one.

    Returns:
        A figure that is not registered with pyplot.

    Raises:
        StorageError: if the directory is no run directory, or neither was measured.
    """
    scores = as_summary(run).scores
    table = None if scores is None else scores.robustness
    if table is None or not (table.corrupted or table.adversarial):
        raise StorageError(
            "Robustness is in scores.json if it was asked for. Received a run without; "
            "`kt-tuning evaluate` measures it."
        )
    drawn = [
        (table.corrupted, draw_corruptions),
        (table.adversarial, draw_attacks),
    ]
    wanted = [draw for content, draw in drawn if content]
    figure = new_figure(len(wanted) * WIDTH, HEIGHT, columns=len(wanted))
    for axes, draw in zip(figure.axes, wanted, strict=True):
        draw(axes, table)
    return figure
