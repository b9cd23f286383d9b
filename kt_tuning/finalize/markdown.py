"""The little Markdown that a model card needs; what users named is shown as they named it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*_{}\[\]#|~])")


def plain(text: object) -> str:
    """Return text that Markdown and HTML show as it is, on one line."""
    line = " ".join(str(text).split())
    return _MARKUP.sub(r"\\\1", html.escape(line, quote=False))


def code(text: object) -> str:
    """Return text as code, on one line, whatever back-ticks it has."""
    line = " ".join(str(text).split())
    runs = [len(run) for run in re.findall("`+", line)]
    fence = "`" * (max(runs, default=0) + 1)
    padding = " " if runs else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def bullets(items: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {item}" for item in items)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table: the first column is text, the others are numbers.

    Args:
        header: Of the columns.
        rows: As many cells each; they are escaped.
    """
    ruler = ["---", *["--:"] * (len(header) - 1)]
    lines = [[plain(cell) for cell in row] for row in (header, *rows)]
    lines.insert(1, ruler)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
