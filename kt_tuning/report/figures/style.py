"""How every figure looks: colours, fonts, axes, and a Figure that notebooks show by themselves.

Figures are made with matplotlib's object-oriented interface only: pyplot's list of open figures is
not touched, so figures can be made in any thread and beside a user's own.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterable, Iterator

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from kt_tuning.palette import INK, MUTED, RULE

PIXELS_PER_INCH = 96
FONT_SIZE = 8.5  # points; 11 px at the natural size

# Beyond this ratio of largest to smallest, a linear axis hides the small values.
LOG_RATIO = 50.0

# `rcParams` is one dictionary for the whole process: two threads must not set and restore it at
# the same time.
_RC_PARAMS = threading.RLock()


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """Keep the user's own matplotlib settings out of what is drawn within, and restore them."""
    with _RC_PARAMS, matplotlib.style.context("default"):
        yield


class ReportFigure(Figure):
    """A Figure that a notebook displays when it is the last value of a cell, without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=2 * PIXELS_PER_INCH)
        return buffer.getvalue()


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> ReportFigure:
    """Return a figure with a grid of axes in the report's style.

    Args:
        width: Natural width in CSS pixels.
        height: Natural height in CSS pixels.
        rows: Rows of the grid.
        columns: Columns of the grid.
    """
    figure = ReportFigure(
        figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH),
        dpi=PIXELS_PER_INCH,
        facecolor="white",
        layout="constrained",
    )
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        _style_axes(axes)
    return figure


def _style_axes(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(labelsize=FONT_SIZE, labelcolor=MUTED, color=RULE, length=0)
    axes.tick_params(axis="x", length=3)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def name_axes(axes: Axes, title: str, x: str) -> None:
    """Write what is plotted above the axes, on the left, and what it is plotted against below."""
    axes.set_title(title, loc="left", fontsize=FONT_SIZE, color=INK, parse_math=False)
    axes.set_xlabel(x, fontsize=FONT_SIZE, color=MUTED, parse_math=False)


def add_legend(axes: Axes) -> None:
    """Put the legend above the axes, on the right, in one row."""
    legend = axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=4,
        frameon=False,
        fontsize=FONT_SIZE,
        labelcolor=MUTED,
        handlelength=1.4,
        handletextpad=0.5,
        columnspacing=1.2,
        borderpad=0.0,
    )
    for text in legend.get_texts():
        # Names of classes are in some of them.
        text.set_parse_math(False)


def spans_decades(values: Iterable[float]) -> bool:
    """Return whether the finite `values` are positive and need a logarithmic axis."""
    array = np.asarray(list(values), dtype=float)
    finite = array[np.isfinite(array)]
    return bool(finite.size and finite.min() > 0 and finite.max() >= LOG_RATIO * finite.min())


def use_log_scale(axes: Axes, axis: str) -> None:
    """Make one axis ("x" or "y") logarithmic, with plain numbers at its ticks."""
    (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
    target = axes.xaxis if axis == "x" else axes.yaxis
    target.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    target.set_minor_formatter(NullFormatter())
    target.set_minor_locator(NullLocator())
