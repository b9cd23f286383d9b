"""The score on corrupted images, and the accuracy under attack."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from kt_tuning.core.errors import SearchError
from kt_tuning.evaluation import CORRUPTIONS, Robustness
from kt_tuning.palette import BLUE, FAINT, INK, ORANGE
from kt_tuning.report.figures.style import (
    ReportFigure,
    add_legend,
    default_style,
    name_axes,
    new_figure,
)
from kt_tuning.report.formatting import metric_label, number
from kt_tuning.report.run_summary import RunSummary

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
        f"{metric_label(table.metric)} on {table.sample} by severity of corruption: "
        f"{number(table.clean)} clean; at severity {table.severities[-1]} {ends}."
    )


def attacks_description(table: Robustness) -> str:
    """Return the figure of the attacks in words."""
    ends = "; ".join(
        f"{name.upper()} {number(row[max(row)])} at {max(row):g} of 255"
        for name, row in table.adversarial.items()
    )
    return f"Accuracy under attack on {table.sample}: {number(table.clean)} clean; {ends}."


@default_style()
def draw_corruptions(run: RunSummary) -> ReportFigure:
    """Draw the metric by severity, a line a kind of corruption.

    Raises:
        SearchError: if it was not measured.
    """
    table = _table(run, "corrupted")
    figure = new_figure()
    axes = figure.axes[0]
    severities = (0, *table.severities)
    for (kind, values), (color, dashes) in zip(by_kind(table).items(), _LINES, strict=False):
        axes.plot(severities, (table.clean, *values), color=color, linestyle=dashes, label=kind)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    name_axes(axes, metric_label(table.metric), "Severity of the corruption (0: none)")
    add_legend(axes)
    figure.description = corruptions_description(table)
    return figure


@default_style()
def draw_attacks(run: RunSummary) -> ReportFigure:
    """Draw the accuracy by the largest change of a pixel, a line an attack.

    Raises:
        SearchError: if it was not measured.
    """
    table = _table(run, "adversarial")
    figure = new_figure()
    axes = figure.axes[0]
    for (name, row), (color, dashes) in zip(table.adversarial.items(), _LINES, strict=False):
        epsilons = sorted(row)
        values = [table.clean, *(row[epsilon] for epsilon in epsilons)]
        axes.plot([0, *epsilons], values, color=color, linestyle=dashes, label=name.upper())
    axes.set_ylim(bottom=0)
    name_axes(axes, "Accuracy under attack", "Largest change of a pixel, of 255")
    add_legend(axes)
    figure.description = attacks_description(table)
    return figure


def _table(run: RunSummary, part: str) -> Robustness:
    table = None if run.scores is None else run.scores.robustness
    if table is None or not getattr(table, part):
        raise SearchError(
            "Robustness is in scores.json if it was asked for. Received a run without; "
            "`kt-tuning evaluate` measures it."
        )
    return table
