"""Text that users named, escaped for Markdown."""

from __future__ import annotations

import html
import re

from markupsafe import Markup

_MARKUP = re.compile(r"([\\`*_{}\[\]#|~])")


def escape_markdown(text: object) -> Markup:
    """Return text that Markdown and HTML show as it is, on one line; markup stays as it is."""
    if isinstance(text, Markup):
        return text
    line = " ".join(str(text).split())
    return Markup(_MARKUP.sub(r"\\\1", html.escape(line, quote=False)))


def code(text: object) -> Markup:
    """Return text as a code span, on one line, whatever back-ticks it has."""
    line = " ".join(str(text).split())
    runs = [len(run) for run in re.findall("`+", line)]
    fence = "`" * (max(runs, default=0) + 1)
    padding = " " if runs else ""
    return Markup(f"{fence}{padding}{line}{padding}{fence}")
