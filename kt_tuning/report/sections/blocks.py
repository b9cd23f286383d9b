"""Blocks that several sections use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kt_tuning.report.figures.style import new_figure
from kt_tuning.report.html import Child, cell, element, table
from kt_tuning.report.svg import svg_element


def section(key: str, title: str, *children: Child) -> Element:
    """Return a section that the page's navigation can point to."""
    return element(
        "section",
        element("h2", title, id_=f"{key}-title"),
        *children,
        id_=key,
        aria_labelledby=f"{key}-title",
    )


def figure_block(
    figure: Figure, key: str, description: str, caption: str = "", keep_size: bool = False
) -> Element:
    """Return a figure with its caption.

    Args:
        figure: The drawing.
        key: Unique in the page.
        description: The drawing in words.
        caption: What to look at; none if empty.
        keep_size: Scroll in a narrow window instead of shrinking out of legibility.
    """
    drawing = svg_element(figure, key, description)
    if keep_size:
        drawing = element(
            "div", drawing, class_="scroll", tabindex="0", role="region", aria_label="Figure"
        )
    children = [drawing, element("figcaption", caption)] if caption else [drawing]
    return element("figure", *children, class_="keep-size" if keep_size else "fit")


def drawn(
    draw: Callable[[Axes], None], size: tuple[float, float], key: str, description: str
) -> Element:
    """Return a figure of one axes.

    Args:
        draw: Draws it.
        size: Natural width and height in CSS pixels.
        key: Unique in the page.
        description: The drawing in words.
    """
    figure = new_figure(*size)
    draw(figure.axes[0])
    return figure_block(figure, key, description)


def quiet(text: str) -> Element:
    """Return a paragraph that stands back."""
    return element("p", text, class_="quiet")


def pairs(header: Sequence[str], rows: dict[str, str], *, numbers: bool = True) -> Element:
    """Return a table of names and values; values that are numbers stand on the right."""
    return table(
        header,
        [
            element("tr", cell(name), cell(value, class_="number" if numbers else "text"))
            for name, value in rows.items()
        ],
    )


def not_measured(what: str) -> Element:
    """Return a line that says how to have measured what is not there.

    Args:
        what: Subject and verb, e.g. "Robustness is".
    """
    command = element("code", "kt-tuning evaluate")
    return element("p", f"{what} not measured yet; ", command, " does that.", class_="quiet")
