"""How the search went: the objective by trial, and what it depends on."""

from __future__ import annotations

import functools
from xml.etree.ElementTree import Element

from kt_tuning.report.figures import (
    SliceData,
    draw_importances,
    draw_parallel,
    draw_search_history,
    draw_slice,
    importances,
    importances_data,
    parallel_data,
    search_history_data,
    slices,
    slices_data,
)
from kt_tuning.report.figures import (
    history as search_history,
)
from kt_tuning.report.figures import (
    parallel_coordinates as parallel,
)
from kt_tuning.report.formatting import metric_label
from kt_tuning.report.html import element
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import drawn, quiet, section

OPEN_SLICES = 8
"""Hyperparameters, the most important ones, whose figures are not folded away."""


def search_section(run: RunSummary) -> Element | None:
    """Return history, importances and parallel coordinates; None before the first trial."""
    if not run.trials:
        return None
    history = search_history_data(run)
    draw = functools.partial(draw_search_history, data=history)
    wide = (search_history.WIDTH, search_history.HEIGHT)
    narrow = (search_history.NARROW_WIDTH, search_history.HEIGHT)
    return section(
        "search",
        "Search",
        _only("wide", drawn(draw, wide, "history-wide", history.description)),
        _only("narrow", drawn(draw, narrow, "history-narrow", history.description)),
        quiet(history.description),
        *_importances(run),
        *_parallel(run),
    )


def _only(shape: str, block: Element) -> Element:
    """Show a block in "wide" or in "narrow" windows only: no one shape is legible in both."""
    block.set("class", shape)
    return block


def _importances(run: RunSummary) -> list[Element]:
    data = importances_data(run)
    if data is None:
        few = f"Fewer than {importances.FEWEST_TRIALS} trials with a score, or all alike: too few"
        return [quiet(f"{few} to tell which hyperparameters matter.")]
    draw = functools.partial(draw_importances, data=data)
    size = (importances.WIDTH, importances.natural_height(data))
    return [
        element("h3", "What matters"),
        drawn(draw, size, "importances", data.description),
        quiet(
            "How well each hyperparameter alone tells the best 30% of the trials from all "
            "(PED-ANOVA). Of few trials it says little."
        ),
    ]


def _parallel(run: RunSummary) -> list[Element]:
    data = parallel_data(run)
    if data is None:
        return []
    few = data.narrowed(parallel.NARROW_COLUMNS)
    wide = (parallel.WIDTH, parallel.HEIGHT)
    narrow = (parallel.NARROW_WIDTH, parallel.HEIGHT)
    draw, draw_few = (functools.partial(draw_parallel, data=shown) for shown in (data, few))
    return [
        element("h3", "Each trial as a line"),
        _only("wide", drawn(draw, wide, "parallel-wide", data.description)),
        _only("narrow", drawn(draw_few, narrow, "parallel-narrow", few.description)),
        quiet(
            "Trials that were trained to their end. Blue are the best 30%, the boldest is the "
            "best; what matters most is on the left. A line breaks where a trial has no such "
            "hyperparameter."
        ),
    ]


def slices_section(run: RunSummary) -> Element | None:
    """Return the score against each hyperparameter that varied; None if none did."""
    found = slices_data(run)
    if not found:
        return None
    shares = importances_data(run)
    if shares is not None:
        rank = list(shares.shares)
        found.sort(key=lambda data: rank.index(data.name) if data.name in rank else len(rank))
    panels = [_panel(data, f"slice-{index}") for index, data in enumerate(found)]
    folded: list[Element] = []
    if len(panels) > OPEN_SLICES:
        more = element("div", *panels[OPEN_SLICES:], class_="multiples")
        told = f"The other {len(panels) - OPEN_SLICES}"
        folded = [element("details", element("summary", told), more)]
    return section(
        "slices",
        "Hyperparameter by hyperparameter",
        element(
            "p",
            f"{metric_label(run.search.objective)} against each that varied. A dot a trial, blue "
            "the best. The others varied at the same time, so a slope is a hint, not a cause.",
        ),
        element("div", *panels[:OPEN_SLICES], class_="multiples"),
        *folded,
    )


def _panel(data: SliceData, key: str) -> Element:
    draw = functools.partial(draw_slice, data=data)
    return drawn(draw, (slices.WIDTH, slices.HEIGHT), key, data.description)
