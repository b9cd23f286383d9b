"""What was exported: how large, how fast and how good it is, in each format."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from kt_tuning.export import accuracy_note, measurement_rows
from kt_tuning.report.html import cell, element, table
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import quiet, section

HEADER = (
    *("Export", "MB", "MB zipped", "Latency (ms)"),
    *("Accuracy", "Labels as Keras", "Difference"),
)
"""Of the columns of `measurement_rows`."""


def exports_section(run: RunSummary) -> Element | None:
    """Return the table of exports; None before the first one."""
    if not run.exports:
        return None
    rows = [
        element("tr", cell(name), *(cell(text, class_="number") for text in texts))
        for name, *texts in measurement_rows(run.exports)
    ]
    return section(
        "exports",
        "Exports",
        quiet(
            "Each measured in the runtime that it is meant for, on the machine that exported. "
            + accuracy_note(run.exports)
        ),
        table(HEADER, rows),
    )
