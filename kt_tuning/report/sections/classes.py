"""How each class is told from the others, and whether the winner knows what it knows."""

from __future__ import annotations

import functools
from xml.etree.ElementTree import Element

from kt_tuning.report.figures import (
    class_curves,
    class_curves_data,
    draw_confidence,
    draw_precision_recall,
    draw_reliability,
    draw_roc,
    reliability,
    reliability_data,
)
from kt_tuning.report.figures.class_curves import ClassCurvesData
from kt_tuning.report.formatting import number, shorten
from kt_tuning.report.html import cell, element, table
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import drawn, quiet, section

MOST_CLASSES = 10
NAME_LENGTH = 40


def curves_section(run: RunSummary) -> Element | None:
    """Return ROC and precision-recall curves; None before any were measured."""
    data = class_curves_data(run)
    if data is None:
        return None
    size = (class_curves.WIDTH, class_curves.HEIGHT)
    figures = [
        drawn(functools.partial(draw, data=data), size, key, f"{title}. {data.description}")
        for key, title, draw in (
            ("roc", "ROC", draw_roc),
            ("precision-recall", "Precision by recall", draw_precision_recall),
        )
    ]
    return section(
        "curves",
        "ROC and precision",
        element("p", _told(data)),
        element("div", *figures, class_="pair"),
        _areas(data),
    )


def _told(data: ClassCurvesData) -> str:
    more = len(data.curves) - class_curves.MOST_CURVES
    left_out = f" The {more} easiest classes are not drawn." if more > 0 else ""
    return f"A line a class, told from all others; the hardest one in orange.{left_out}"


def _areas(data: ClassCurvesData) -> Element:
    rows = [
        element(
            "tr",
            cell(shorten(data.name(curve), NAME_LENGTH), class_="text"),
            cell(number(curve.roc_auc), class_="number"),
            cell(number(curve.average_precision), class_="number"),
        )
        for curve in data.curves[:MOST_CLASSES]
    ]
    return table(["Hardest first", "ROC AUC", "Average precision"], rows)


def reliability_section(run: RunSummary) -> Element | None:
    """Return the reliability diagram; None before any was measured."""
    data = reliability_data(run)
    if data is None:
        return None
    size = (reliability.WIDTH, reliability.HEIGHT)
    figures = [
        drawn(functools.partial(draw, data=data), size, key, f"{title}. {data.description}")
        for key, title, draw in (
            ("reliability-diagram", "Right by confidence", draw_reliability),
            ("confidence", "Images by confidence", draw_confidence),
        )
    ]
    return section(
        "reliability",
        "Reliability",
        element("p", data.description),
        element("div", *figures, class_="pair"),
        quiet("A bar above the dashed line is a prediction more often right than it says."),
    )
