"""What makes each of Optuna's figures readable with many trials and many hyperparameters."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kt_tuning import palette
from kt_tuning.search.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

COLUMNS = 4
"""Slices in a row."""
DULL = 0.25
"""Share of the trials that are drawn alike, as the worst ones, in parallel coordinates."""
NAME_LENGTH = 24
"""Characters of a name that fit below a slice."""
LABELS_LENGTH = 18
"""Characters of all ticks' labels that fit below a slice side by side."""


def history(axes: Axes, pruned: Sequence[bool]) -> None:
    """Draw the best so far as steps, pruned trials as hollow points.

    Args:
        axes: With Optuna's points and its line.
        pruned: Of each trial that has a point.
    """
    points = axes.collections[0]
    points.set(sizes=[22], edgecolors=palette.BLUE, linewidths=0.9, zorder=3, label="Trial")
    points.set_facecolor(["white" if hollow else palette.BLUE for hollow in pruned])
    if any(pruned):
        _name_hollow_points(axes)
    axes.lines[0].set(color=palette.ORANGE, alpha=1.0, drawstyle="steps-post", label="Best so far")
    style.plain_ticks(axes.xaxis, whole=True)
    style.legend_above(axes)


def _name_hollow_points(axes: Axes) -> None:
    axes.scatter([], [], s=22, c="white", edgecolors=palette.BLUE, linewidths=0.9, label="Pruned")


def importances(axes: Axes, shares: Mapping[str, float]) -> None:
    """Draw a bar for each share, the largest on top, with its value beside it.

    Args:
        axes: Empty ones.
        shares: By hyperparameter, the largest first.
    """
    names, widths = list(shares)[::-1], list(shares.values())[::-1]
    bars = axes.barh(names, widths, color=palette.BLUE)
    axes.bar_label(
        bars,
        [" <0.01" if width < 0.01 else f" {width:.2f}" for width in widths],
        fontsize=style.FONT_SIZE - 0.5,
        color=palette.MUTED,
    )
    axes.set(xlabel="Share", xlim=(0.0, 1.12 * max(widths)))
    axes.grid(visible=False, axis="y")
    axes.margins(y=0.02)


def slices(figure: Figure, drawn: Any, pruned: Collection[int], last: int) -> None:
    """Draw several rows instead of a long one, pruned trials as hollow points.

    Args:
        figure: Of the axes.
        drawn: Optuna's axes, or an array of them.
        pruned: Numbers of the pruned trials.
        last: Number of the last trial.
    """
    from matplotlib.ticker import MaxNLocator

    axes = np.ravel(drawn)
    columns = min(COLUMNS, len(axes))
    rows = math.ceil(len(axes) / columns)
    if len(axes) > 1:
        figure.set_size_inches(style.WIDTH, 0.6 + 2.1 * rows)
        grid = figure.add_gridspec(rows, columns)
        name = axes[0].get_ylabel()
        for index, one in enumerate(axes):
            row, column = divmod(index, columns)
            one.set_subplotspec(grid[row, column])
            one.tick_params(labelleft=column == 0)
            one.set_ylabel("" if column else name)
    for one in axes:
        points = one.collections[0]
        numbers = points.get_array()
        # Optuna scales the colours of each slice by the trials that it shows.
        points.set_clim(0, max(last, 1))
        points.set_array(np.ma.masked_where(np.isin(numbers, list(pruned)), numbers))
        points.set_cmap(style.blues().with_extremes(bad="white"))
        points.set(sizes=[16], linewidths=0.5, edgecolors=palette.BLUE)
        _label_slice(one)
    style.replace_colour_bar(
        figure, axes[-1].collections[0], list(axes), ticks=MaxNLocator(integer=True, min_n_ticks=1)
    )
    if pruned:
        _name_hollow_points(axes[columns - 1])
        style.legend_above(axes[columns - 1], axes[columns - 1].collections[-1:])


def _label_slice(axes: Axes) -> None:
    offsets = np.asarray(axes.collections[0].get_offsets())[:, 0]
    style.plain_ticks(axes.xaxis, whole=bool(np.all(offsets % 1 == 0)))
    axes.set_xlabel(_in_lines(axes.get_xlabel()))
    labels = axes.get_xticklabels()
    if sum(len(label.get_text()) for label in labels) > LABELS_LENGTH:
        for label in labels:
            label.set(rotation=30, ha="right", rotation_mode="anchor")


def _in_lines(name: str) -> str:
    """A name, and in lines of its own the scope that the study adds to it."""
    lines = name.replace(" [", "\n[").split("\n")
    return "\n".join(textwrap.fill(line, NAME_LENGTH) for line in lines)


def parallel(figure: Figure, axes: Axes, names: Iterable[str], *, maximise: bool) -> None:
    """Draw the best trials last, and numbers that can be read in front of the lines.

    Args:
        figure: Of the axes.
        axes: Optuna's axes for the objective; each hyperparameter has a twin of it.
        names: Of the hyperparameters, from left to right.
        maximise: Whether a higher objective is better.
    """
    lines = cast("LineCollection", axes.collections[0])
    values, segments = np.asarray(lines.get_array()), lines.get_segments()
    order = np.argsort(values if maximise else -values)
    lines.set_segments([segments[index] for index in order])
    lines.set_array(values[order])
    lines.set(linewidth=1.2, cmap=style.blues(reverse=not maximise))
    # A few bad trials would leave one shade for all good ones.
    if maximise:
        lines.set_clim(vmin=np.quantile(values, DULL))
    else:
        lines.set_clim(vmax=np.quantile(values, 1 - DULL))
    twins = [one for one in figure.axes if one.get_label() != "<colorbar>"]
    style.replace_colour_bar(figure, lines, twins, extend="min" if maximise else "max")
    axes.set_xticks(
        axes.get_xticks(), [axes.get_xticklabels()[0].get_text(), *map(_in_lines, names)]
    )
    for label in axes.get_xticklabels():
        label.set(rotation=30, ha="right", rotation_mode="anchor")
    for one in figure.axes:
        one.grid(visible=False)
        low, high = one.get_ylim()
        style.plain_ticks(one.yaxis, whole=low % 1 == high % 1 == 0)
        for label in one.get_yticklabels():
            label.set_bbox({"facecolor": "white", "alpha": 0.75, "pad": 0.4, "linewidth": 0})


def curves(axes: Axes, pruned: Collection[int], best: int | None) -> None:
    """Draw the best trial in front of the others and pruned ones behind them.

    Args:
        axes: With a line a trial.
        pruned: Numbers of the pruned trials.
        best: Number of the best trial; None if none has a value yet.
    """
    for line in axes.lines:
        number = int(str(line.get_label()).removeprefix("Trial"))
        line.set(markersize=3)
        if number == best:
            line.set(color=palette.ORANGE, linewidth=2.2, alpha=1.0, zorder=4, label="Best trial")
        elif number in pruned:
            line.set(color=palette.FAINT, linewidth=0.8, zorder=2, label="Pruned")
        else:
            line.set(color=palette.BLUE, linewidth=1.0, alpha=0.5, zorder=3, label="Trial")
    one_of_each = {line.get_label(): line for line in axes.lines}
    style.plain_ticks(axes.xaxis, whole=True)
    style.legend_above(axes, one_of_each.values())


def pareto(axes: Axes) -> None:
    """Draw the front in front of the rest."""
    for points in axes.collections:
        if points.get_label() == "Best Trial":
            points.set(color=palette.ORANGE, zorder=4, label="On the front")
        else:
            points.set(color=palette.FAINT, label="Dominated")
    depth = getattr(axes, "zaxis", None)
    if depth is not None:
        depth.label.set(size=style.FONT_SIZE, color=palette.MUTED)
        depth.set_tick_params(labelsize=style.FONT_SIZE - 0.5, labelcolor=palette.MUTED)
    style.legend_above(axes)


def contour(figure: Figure) -> None:
    """Draw small points on faint lines."""
    axes = figure.axes[0]
    lines, areas, *scattered = axes.collections
    lines.set(edgecolor="white", linewidth=0.4, alpha=0.6)
    style.replace_colour_bar(figure, areas, axes)
    for points in scattered:
        points.set(sizes=[16], facecolors=palette.INK, edgecolors="white", linewidths=0.6)
    for axis in (axes.xaxis, axes.yaxis):
        style.plain_ticks(axis)
    axes.grid(visible=False)
