"""A report that is there: to open in a browser, or to show in a notebook."""

from __future__ import annotations

import dataclasses
import html
import webbrowser
from pathlib import Path

from kt_tuning.core.errors import StorageError

HEIGHT = 720
"""Pixels of the frame in a notebook; the page scrolls in it."""


@dataclasses.dataclass(frozen=True)
class Report:
    """The report of a run. A notebook shows it where it is the last value of a cell.

    Attributes:
        path: The page.
    """

    path: Path

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r})"

    def open(self) -> bool:
        """Open the page in the user's browser; return whether there is one."""
        return webbrowser.open(self.path.resolve().as_uri())

    def _repr_html_(self) -> str:
        try:
            page = self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"The report {self.path} cannot be read: {error.strerror}. Write it again."
            ) from error
        # A frame of its own: the page's styles stay inside, and the notebook's outside. Without
        # `allow-same-origin` its script cannot reach the notebook.
        return (
            f'<iframe srcdoc="{html.escape(page)}" sandbox="allow-scripts" title="Report" '
            f'style="width: 100%; height: {HEIGHT}px; border: 0"></iframe>'
        )
