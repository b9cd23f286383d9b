"""The report of a run as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from xml.etree.ElementTree import Element

from kt_tuning.errors import StorageError
from kt_tuning.records import replacing
from kt_tuning.report import sections
from kt_tuning.report.figures.style import default_style
from kt_tuning.report.html import document, element
from kt_tuning.report.run_reader import load_run
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.theme import SCRIPT, STYLE_SHEET


def write_report(run_directory: str | Path, *, path: str | Path | None = None) -> Path:
    """Write the report of a run: one HTML file that needs no network and no other file.

    Reads only the run directory, and writes the same bytes for the same content. Stages that have
    not run yet, such as the evaluation, are said to be missing.

    Args:
        run_directory: The folder that a search wrote.
        path: The file to write; `report.html` in the run directory by default.

    Returns:
        The file written.

    Raises:
        StorageError: if the folder is no run directory, a file in it is damaged, or `path` cannot
            be written.
    """
    path = Path(run_directory) / "report.html" if path is None else Path(path)
    page = render(load_run(run_directory))
    try:
        with replacing(path) as temporary:
            temporary.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StorageError(
            f"The report should go to a file that can be written. Received: {path}: {error}"
        ) from error
    return path


@default_style()
def render(run: RunSummary) -> str:
    """Return the report's HTML."""
    made = [make(run) for make in sections.SECTIONS]
    body = [section for section in made if section is not None]
    header = sections.headline(run)
    header.append(_navigation(body))
    return document(
        element(
            "html",
            _head(run),
            element(
                "body",
                header,
                element("main", *body),
                element("footer", f"Made by kt-tuning from the files of the run {run.name}."),
                element("script", SCRIPT),
            ),
            lang="en",
        )
    )


def _head(run: RunSummary) -> Element:
    # The policy is a second lock beside escaping: whatever is in the page, the browser runs only
    # our script and fetches nothing.
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'"
    )
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{run.name} – kt-tuning report"),
        element("style", STYLE_SHEET),
    )


def _navigation(body: list[Element]) -> Element:
    links = [
        element("a", section.findtext("h2", ""), href=f"#{section.get('id')}") for section in body
    ]
    return element("nav", *links, aria_label="Sections")
