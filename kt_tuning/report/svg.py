"""matplotlib figures as inline SVG that follows the page's colours and fonts."""

from __future__ import annotations

import io
import re
import warnings

import matplotlib
from markupsafe import Markup

from kt_tuning import palette
from kt_tuning.report.figures.style import PIXELS_PER_INCH, ReportFigure, default_style
from kt_tuning.report.formatting import printable

# The page's style sheet declares these variables for light and dark.
_VARIABLES = {
    palette.INK: "var(--ink)",
    palette.MUTED: "var(--muted)",
    palette.RULE: "var(--rule)",
    palette.FAINT: "var(--faint)",
    palette.BLUE: "var(--blue)",
    palette.ORANGE: "var(--orange)",
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
