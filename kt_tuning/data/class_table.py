"""An HTML table of the number of images by class and split, for notebooks."""

from __future__ import annotations

import html
from collections.abc import Sequence

CLASSES_SHOWN = 30
"""Maximum number of rows."""


def class_table(
    title: str, parts: Sequence[str], class_names: Sequence[str], counts: Sequence[Sequence[int]]
) -> str:
    """Return an HTML table with a row a class and a column a split.

    Args:
        title: Caption.
        parts: Names of the splits.
        class_names: (C,) names by label.
        counts: For each split (C,) numbers of images by label.
    """
    head = "".join(f"<th>{html.escape(part)}</th>" for part in ("class", *parts))
    rows = list(zip(class_names, *counts, strict=True))
    body = "".join(
        f"<tr><th>{html.escape(name)}</th>{''.join(f'<td>{n:,}</td>' for n in numbers)}</tr>"
        for name, *numbers in rows[:CLASSES_SHOWN]
    )
    if len(rows) > CLASSES_SHOWN:
        body += f"<tr><th>and {len(rows) - CLASSES_SHOWN} more classes</th></tr>"
    return (
        f"<table><caption>{html.escape(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
