"""The common style and colours of the figures, and their conversion to SVG.

Figures are made with matplotlib's object-oriented interface only. Pyplot's list of open figures is
not touched, so figures can be made in any thread and beside a user's own.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
import warnings
from collections.abc import Iterable, Iterator

import matplotlib
import matplotlib.style
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from kt_tuning.core.names import printable

# The page's style sheet has the same colours.
# Blue and orange are told apart with every kind of colour blindness, as in the palette of Okabe and
# Ito that Wong (2011), "Points of view: Color blindness", Nature Methods 8, recommends; they are
# darker here, so that lines and text have a contrast of at least 3 to 1 on white.
INK = "#1b2430"
"""Titles."""
MUTED = "#5b6673"
"""Labels of axes and ticks."""
RULE = "#d5dbe3"
"""Grids and frames."""
FAINT = "#8592a1"
"""Background: the other trials, grey marks."""
BLUE = "#0b6bb0"
"""The main series."""
ORANGE = "#c2500a"
"""Highlights: mistakes, failures, the hardest class."""
CORRECT, MISTAKEN = "#1f78b8", "#c9560f"
"""Blue and orange of the cells of a confusion matrix. They are pixels of an image and cannot follow
a light or dark page as lines and text do: they stand out from both, and carry white digits."""
SHADES = ("#c2daec", BLUE, "#0a2b45")
"""Colour map from light to dark, interpolated between these."""
ON_CELL = "#fefefe"
"""Digits on a saturated cell of a confusion matrix."""

PIXELS_PER_INCH = 96
WIDTH, HEIGHT = 460, 290
"""Natural size of a figure with one axes, in CSS pixels."""
FONT_SIZE = 8.5  # points; 11 px at the natural size
LOG_RATIO = 50.0
"""Ratio of largest to smallest value above which a linear axis hides the small values."""

# `rcParams` is one dictionary for the whole process: two threads must not set and restore it at
# the same time.
_RC_PARAMS = threading.RLock()


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """Draw with matplotlib's defaults instead of the user's settings, which are restored."""
    with _RC_PARAMS, matplotlib.style.context("default"):
        yield


class ReportFigure(Figure):
    """A Figure that a notebook displays when it is the last value of a cell, without pyplot.

    Attributes:
        description: The figure in words, for readers who cannot see it.
    """

    description: str = ""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with default_style():
            self.savefig(buffer, format="png", dpi=2 * PIXELS_PER_INCH)
        return buffer.getvalue()


def new_figure(
    width: float = WIDTH, height: float = HEIGHT, *, rows: int = 1, columns: int = 1
) -> ReportFigure:
    """Return a figure with a grid of axes in the common style."""
    figure = empty_figure(width, height)
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        _style_axes(axes)
    return figure


def empty_figure(width: float, height: float) -> ReportFigure:
    """Return a figure without axes, of a natural size in CSS pixels."""
    return ReportFigure(
        figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH),
        dpi=PIXELS_PER_INCH,
        facecolor="white",
        layout="constrained",
    )


def _style_axes(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(labelsize=FONT_SIZE, labelcolor=MUTED, color=RULE, length=0)
    axes.tick_params(axis="x", length=3)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def name_axes(axes: Axes, title: str, x: str) -> None:
    """Write the quantity shown above the axes, on the left, and the x axis's name below."""
    axes.set_title(title, loc="left", fontsize=FONT_SIZE, color=INK, parse_math=False)
    axes.set_xlabel(x, fontsize=FONT_SIZE, color=MUTED, parse_math=False)


def add_legend(axes: Axes) -> None:
    """Put a legend of all labelled artists above the axes, on the right, in one row."""
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


# The page's style sheet declares these variables for light and dark.
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    FAINT: "var(--faint)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
}
_COLOR = re.compile("|".join(_VARIABLES))
_UNUSED = re.compile(r"<(metadata|style)\b.*?</\1>", re.DOTALL)
# Text between tags has its angle brackets escaped, so this matches tags only.
_TAG = re.compile(r"<[^<>]*>")
_FONT_FAMILY = re.compile(r"font-family:[^;\"]*;?\s*")
_LONG_DECIMAL = re.compile(r"(\.\d\d)\d+")
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_SPACE_BETWEEN_TAGS = re.compile(r">\s+<")
_POINTS_PER_INCH = 72


def svg_markup(figure: ReportFigure, key: str) -> Markup:
    """Return a figure as an `<svg>` element, the same text for the same figure.

    The palette's colours become CSS variables, and fonts are left to the page.

    Args:
        figure: The figure; its description becomes the label of the element.
        key: Unique in the page: identifiers in the SVG are hashed with it.
    """
    buffer = io.StringIO()
    with default_style(), warnings.catch_warnings():
        matplotlib.rcParams.update({"svg.hashsalt": key, "svg.fonttype": "none"})
        # matplotlib's font is only used to measure text; the browser has the missing glyphs.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    start = text.index(">", text.index("<svg")) + 1
    body = _UNUSED.sub("", text[start : text.rindex("</svg>")])
    body = _SPACE_BETWEEN_TAGS.sub("><", _TAG.sub(_tidy, body)).strip()
    width, height = figure.get_size_inches()
    return Markup(
        '<svg viewBox="0 0 {:.4g} {:.4g}" role="img" aria-label="{}" '
        'style="--natural-width: {:.0f}px">{}</svg>'
    ).format(
        *(width * _POINTS_PER_INCH, height * _POINTS_PER_INCH, printable(figure.description)),
        *(width * PIXELS_PER_INCH, Markup(body)),
    )


def _tidy(match: re.Match[str]) -> str:
    """Shorten a tag, and replace its colours and fonts."""
    tag = _GROUP_ID.sub("<g", match[0]).replace("xlink:href", "href")
    tag = _FONT_FAMILY.sub("", _COLOR.sub(lambda color: _VARIABLES[color[0]], tag))
    return tag if tag.startswith("<image") else _LONG_DECIMAL.sub(r"\1", tag)
