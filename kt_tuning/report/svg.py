"""A matplotlib figure as an SVG element of the page."""

from __future__ import annotations

import io
import re
import warnings
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib
from matplotlib.figure import Figure

from kt_tuning import palette
from kt_tuning.report.figures import style

# The page replaces each of these by a CSS variable, so that a figure follows light and dark; the
# names are declared in `theme.py`.
_VARIABLES = {
    palette.INK: "var(--ink)",
    palette.MUTED: "var(--muted)",
    palette.RULE: "var(--rule)",
    palette.FAINT: "var(--faint)",
    palette.BLUE: "var(--blue)",
    palette.ORANGE: "var(--orange)",
}
_COLOR = re.compile("|".join(_VARIABLES))
# Fonts come from the page; the default stroke joins are in the page's style sheet.
_FONT_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_LONG_DECIMAL = re.compile(r"(\.\d\d)\d+")
_POINTS_PER_INCH = 72


def svg_element(figure: Figure, key: str, description: str) -> Element:
    """Return `figure` as an `<svg>`, the same bytes for the same figure.

    Args:
        figure: A figure in the report's style.
        key: Unique in the page: identifiers in the SVG are derived from it.
        description: The figure in words.
    """
    svg = ElementTree.fromstring(_save(figure, key))
    for parent in list(svg.iter()):
        for child in list(parent):
            if _local_name(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for node in svg.iter():
        _tidy(node)
    width, height = figure.get_size_inches()
    attributes = {
        "viewBox": f"0 0 {width * _POINTS_PER_INCH:.4g} {height * _POINTS_PER_INCH:.4g}",
        "role": "img",
        "aria-label": description,
        "style": f"--natural-width: {width * style.PIXELS_PER_INCH:.0f}px",
    }
    svg.attrib.clear()
    svg.attrib.update(attributes)
    return svg


def _save(figure: Figure, key: str) -> bytes:
    buffer = io.BytesIO()
    with style.default_style(), warnings.catch_warnings():
        matplotlib.rcParams.update({"svg.hashsalt": key, "svg.fonttype": "none"})
        # The browser has the glyphs that matplotlib's font, which only measures here, lacks.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def _tidy(node: Element) -> None:
    """Strip what the page does not need, and hand colours and fonts over to its style sheet."""
    node.tag = _local_name(node.tag)
    if node.tag != "text":
        node.text = None
    node.tail = None
    if node.tag == "g":
        node.attrib.pop("id", None)
    for name in list(node.attrib):
        value = node.attrib.pop(name)
        if name == "style":
            value = _COLOR.sub(lambda match: _VARIABLES[match[0]], _FONT_FAMILY.sub("", value))
        elif name in ("d", "x", "y", "transform"):
            value = _LONG_DECIMAL.sub(r"\1", value)
        if value:
            node.set(_local_name(name), value)


def _local_name(name: str) -> str:
    return name.rpartition("}")[2]
