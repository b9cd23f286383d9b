"""HTML built as a tree and written by the standard library, which escapes every text and attribute.

There is no way to put a string into the page unescaped, so nothing that users name can become
markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from kt_tuning.report.formatting import printable

Child = Element | str


def element(tag: str, *children: Child, **attributes: str) -> Element:
    """Return `<tag attributes>children</tag>`.

    Args:
        tag: The element's name.
        children: Elements and texts, in order.
        attributes: An underscore at the end is dropped and the others are hyphens: `class_`,
            `aria_label`. An empty class is left out.
    """
    node = Element(tag)
    for name, value in attributes.items():
        if value or name != "class_":
            node.set(name.removesuffix("_").replace("_", "-"), printable(value))
    for child in children:
        _append(node, child)
    return node


def _append(node: Element, child: Child) -> None:
    if isinstance(child, Element):
        node.append(child)
    elif len(node):
        node[-1].tail = (node[-1].tail or "") + printable(child)
    else:
        node.text = (node.text or "") + printable(child)


def cell(child: Child, sort_value: float | str | None = None, **attributes: str) -> Element:
    """Return a table cell; `sort_value` is what sorting goes by where the text does not do."""
    if sort_value is not None:
        attributes["data_value"] = str(sort_value)
    return element("td", child, **attributes)


def table(header: Sequence[str], rows: Sequence[Element], class_: str = "") -> Element:
    """Return a table in a box that scrolls sideways when the window is narrower.

    A column is aligned as the cell of its first row is.
    """
    classes = [first.get("class", "") for first in rows[0]] if rows else [""] * len(header)
    head = element(
        "tr",
        *(
            element("th", title, scope="col", class_=name)
            for title, name in zip(header, classes, strict=True)
        ),
    )
    body = element("tbody", *rows)
    grid = element("table", element("thead", head), body, class_=class_)
    return element("div", grid, class_="scroll", tabindex="0", role="region", aria_label="Table")


def document(root: Element) -> str:
    """Return the text of an HTML file."""
    return "<!DOCTYPE html>\n" + ElementTree.tostring(root, encoding="unicode", method="html")
