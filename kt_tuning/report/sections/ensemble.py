"""Which models were combined, how much each counts, and whether combining pays."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from kt_tuning.ensembling import CombinationRecord
from kt_tuning.report.html import cell, element, table
from kt_tuning.report.sections.blocks import section
from kt_tuning.report.summary import RunSummary
from kt_tuning.report.text import metric_label, number, percent


def ensemble_section(run: RunSummary) -> Element | None:
    """Return members, weights and solvers; None if no ensemble was made."""
    if run.ensemble is None:
        return None
    outcome = (
        "No combination beat the best member on rows its weights were not fitted on, so the winner "
        "is that single model."
        if run.ensemble.solver == "single"
        else f"The {run.ensemble.pool} mean of the members, each calibrated by a temperature, with "
        f"these weights, which the {run.ensemble.solver} solver fitted on validation predictions."
    )
    return section(
        "ensemble",
        "Ensemble",
        element("p", outcome),
        element("div", _members(run, run.ensemble), _solvers(run.ensemble), class_="split"),
    )


def _members(run: RunSummary, ensemble: CombinationRecord) -> Element:
    scores = dict(zip(ensemble.trial_ids, ensemble.member_scores, strict=True))
    rows = [
        element(
            "tr",
            cell(trial_link(trial.record.number)),
            cell(_bar(weight), class_="bar-cell"),
            cell(number(scores[trial.record.trial_id]), class_="number"),
            cell(f"{trial.record.parameters:,}", class_="number"),
        )
        for trial, weight in run.members
    ]
    header = ["Member", "Weight", metric_label(run.search.objective), "Parameters"]
    return element("div", element("h3", "Members"), table(header, rows))


def trial_link(number_: int) -> Element:
    """Return a link to the trial's row."""
    return element("a", f"Trial {number_}", href=f"#trial-{number_}")


def _bar(weight: float) -> Element:
    filling = element("i", style=f"width: {100 * weight:.1f}%")
    return element(
        "span", element("span", filling, class_="bar", aria_hidden="true"), percent(weight)
    )


def _solvers(ensemble: CombinationRecord) -> Element:
    rows = [
        element(
            "tr",
            cell(f"{solver} (chosen)" if solver == ensemble.solver else solver),
            cell(number(loss), class_="number"),
            class_="chosen" if solver == ensemble.solver else "",
        )
        for solver, loss in sorted(ensemble.cross_fitted.items(), key=_loss)
    ]
    return element(
        "div",
        element("h3", f"Cross-fitted {metric_label(ensemble.metric)}"),
        element(
            "p",
            "Measured on images that neither weights nor calibration were fitted on. The row "
            "“auto” is the choice itself, made again for each fold without a look at it.",
        ),
        table(["Solver", metric_label(ensemble.metric)], rows),
    )


def _loss(item: tuple[str, float | None]) -> float:
    return float("inf") if item[1] is None else item[1]
