"""What the winner withstands: corruptions and attacks."""

from __future__ import annotations

import functools
from xml.etree.ElementTree import Element

from kt_tuning.evaluation import Robustness
from kt_tuning.report.figures import (
    attacks_description,
    corruptions_description,
    draw_attacks,
    draw_corruptions,
    robustness,
)
from kt_tuning.report.formatting import metric_label, number, percent
from kt_tuning.report.html import cell, element, table
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import drawn, not_measured, quiet, section

STRONGEST_TINT = 70
"""Per cent of orange in a cell where everything is lost."""


def robustness_section(run: RunSummary) -> Element | None:
    """Return what was measured, or how to measure it; None before evaluation."""
    if run.scores is None:
        return None
    found = run.scores.robustness
    if found is None:
        return section("robustness", "Robustness", not_measured("It is"))
    size = (robustness.WIDTH, robustness.HEIGHT)
    figures: list[Element] = []
    tables: list[Element] = []
    if found.corrupted:
        draw = functools.partial(draw_corruptions, table=found)
        figures.append(drawn(draw, size, "corruptions", corruptions_description(found)))
        tables = _corruptions(found)
    if found.adversarial:
        draw = functools.partial(draw_attacks, table=found)
        figures.append(drawn(draw, size, "attacks", attacks_description(found)))
    return section(
        "robustness",
        "Robustness",
        element("p", _told(found)),
        element("div", *figures, class_="pair"),
        *tables,
    )


def _told(found: Robustness) -> str:
    told = f"{metric_label(found.metric)} on {found.images:,} images: {number(found.clean)} clean"
    if found.corrupted:
        told += f", {number(found.mean())} corrupted on average"
    for name, row in found.adversarial.items():
        largest = max(row)
        told += f", {number(row[largest])} under {name.upper()} of {largest:g}/255"
    return f"{told}."


def _corruptions(found: Robustness) -> list[Element]:
    worst_first = sorted(found.corrupted, key=lambda name: found.mean(name))
    rows = [
        element(
            "tr",
            cell(name.replace("_", " ").capitalize()),
            *(_tinted(value, found.clean) for value in found.corrupted[name]),
            cell(number(found.mean(name)), class_="number"),
        )
        for name in worst_first
    ]
    severities = [str(severity) for severity in found.severities]
    return [
        element("h3", "By corruption, the worst first"),
        quiet(
            "At severities 1, mild, to 5, as named and scaled by Hendrycks and Dietterich (2019); "
            "the stronger the orange, the larger the share that is lost."
        ),
        table(["Corruption", *severities, "Mean"], rows),
    ]


def _tinted(value: float, clean: float) -> Element:
    lost = min(max(1.0 - value / clean, 0.0), 1.0) if clean > 0 else 0.0
    tint = f"color-mix(in srgb, var(--orange) {STRONGEST_TINT * lost:.0f}%, transparent)"
    return cell(
        number(value),
        class_="number tint",
        style=f"background: {tint}",
        title=f"{percent(lost)} lost",
    )
