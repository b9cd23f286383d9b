"""How the plots of a study look: what they share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_tuning.core.quiet import ignored_warnings, quiet_optuna
from kt_tuning.palette import INK, MUTED, RULE, SHADES

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

WIDTH = 8.0
"""Inches; a notebook shows as much without shrinking it."""
FONT_SIZE = 9.0
"""Points."""
FEW_DECADES = 2.0
"""On a shorter logarithmic axis powers of ten alone would be one label, or none."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep to ourselves what Optuna and matplotlib say of few trials and of equal values."""
    with quiet_optuna(), ignored_warnings():
        yield


@contextlib.contextmanager
def drawing(width: float = WIDTH, height: float = 4.0) -> Iterator[None]:
    """Let Optuna draw, quietly and without its style sheet staying in the user's settings.

    Args:
        width: Of a figure, in inches.
        height: In inches.
    """
    import matplotlib.style

    with quiet(), matplotlib.style.context("default"):
        matplotlib.rcParams["figure.figsize"] = (width, height)
        matplotlib.rcParams["figure.constrained_layout.use"] = True
        yield


def finish(drawn: Any, title: str) -> Figure:
    """Make a figure of what Optuna has drawn.

    It is taken off pyplot's list of open figures: a notebook would show it a second time.

    Args:
        drawn: Axes, or an array of them.
        title: Of the figure.
    """
    import matplotlib.pyplot as plt

    axes = np.ravel(drawn)
    figure: Figure = axes[0].get_figure()
    plt.close(figure)
    figure.set_layout_engine("constrained")
    figure.set_facecolor("white")
    figure.suptitle("")
    for one in figure.axes:
        _restyle(one)
    axes[0].set_title(title, loc="left", fontsize=FONT_SIZE + 1.5, color=INK, y=None)
    return figure


def _restyle(axes: Axes) -> None:
    axes.set_facecolor("white")
    # The one in the middle; `finish` sets the one on the left.
    axes.set_title("")
    axes.spines[:].set_color(RULE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", labelsize=FONT_SIZE - 0.5, color=RULE, labelcolor=MUTED)
    axes.xaxis.label.set(size=FONT_SIZE, color=MUTED)
    axes.yaxis.label.set(size=FONT_SIZE, color=MUTED)
    axes.grid(visible=True, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def legend_above(axes: Axes, handles: Iterable[Artist] | None = None) -> None:
    """Put the legend above the axes, on the right, in one row.

    Args:
        axes: To have it.
        handles: What to name, by its label; all that is labelled if None.
    """
    axes.legend(
        handles=None if handles is None else list(handles),
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=4,
        frameon=False,
        fontsize=FONT_SIZE,
        labelcolor=MUTED,
    )


def plain_ticks(axis: Axis, *, whole: bool = False) -> None:
    """Write numbers as numbers: no powers of ten, no fractions of whole ones, no quotes.

    Args:
        axis: Of an Axes.
        whole: Whether only whole numbers make sense.
    """
    from matplotlib.category import StrCategoryLocator
    from matplotlib.ticker import (
        FixedLocator,
        FuncFormatter,
        LogLocator,
        MaxNLocator,
        NullFormatter,
    )

    locator = axis.get_major_locator()
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        few = math.log10(high / low) < FEW_DECADES
        axis.set_major_locator(LogLocator(subs=(1.0, 3.0) if few else (1.0,), numticks=4))
        axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        axis.set_minor_formatter(NullFormatter())
    elif isinstance(locator, StrCategoryLocator):
        ticks = [float(tick) for tick in axis.get_ticklocs()]
        labels = axis.get_major_formatter().format_ticks(ticks)
        axis.set_ticks(ticks, labels=[label.strip("'") for label in labels])
    elif whole and not isinstance(locator, FixedLocator):
        axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def _short(value: float) -> str:
    if 1e-3 <= value < 1e5:
        return f"{value:g}"
    digits, exponent = f"{value:.0e}".split("e")
    return f"{digits}e{int(exponent)}"


def blues(*, reverse: bool = False) -> Colormap:
    """The shades of the palette, from light to dark."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", SHADES[::-1] if reverse else SHADES)


def replace_colour_bar(figure: Figure, mappable: Any, axes: Any, **options: Any) -> None:
    """A slim colour bar for Optuna's, whose width grows with the figure.

    Args:
        figure: Has both.
        mappable: What the colours are of.
        axes: Beside which it stands.
        **options: Of `Figure.colorbar`.
    """
    label = mappable.colorbar.ax.get_ylabel()
    mappable.colorbar.remove()
    bar = figure.colorbar(mappable, ax=axes, fraction=0.02, aspect=40, pad=0.01, **options)
    bar.outline.set_visible(False)
    bar.set_label(label, size=FONT_SIZE, color=MUTED)
    bar.ax.tick_params(labelsize=FONT_SIZE - 0.5, color=RULE, labelcolor=MUTED)
