"""Which models were combined, how much each counts, and whether combining pays."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.evaluation import EPOCH_CAVEAT, METRICS
from kt_tuning.report.formatting import metric_label, number, percent
from kt_tuning.report.html import cell, element, table
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import pairs, section

SINGLE = "single"
_MEASURES = {
    "disagreement": "Disagreement: one is right, the other wrong",
    "q_statistic": "Q statistic: 0 for independent members",
    "error_correlation": "Correlation of being right",
}


def ensemble_section(run: RunSummary) -> Element | None:
    """Return members, weights and solvers; None if no ensemble was made."""
    if run.ensemble is None:
        return None
    outcome = (
        "No combination was worth its cost beside the best member, on rows its weights were not "
        "fitted on, so the winner is that single model."
        if len(run.ensemble.trial_ids) == 1
        else f"The {run.ensemble.pool} mean of the members, each calibrated by a temperature, with "
        f"these weights, which the {run.ensemble.solver} solver fitted on validation predictions."
    )
    return section(
        "ensemble",
        "Ensemble",
        element("p", outcome),
        *(element("p", note) for note in _notes(run, run.ensemble)),
        *_gain(run.ensemble),
        *_cost(run.ensemble),
        element("div", _members(run, run.ensemble), *_solvers(run.ensemble), class_="split"),
        *_diversity(run.ensemble),
    )


def _notes(run: RunSummary, ensemble: EnsembleRecord) -> list[str]:
    """What the figures are of, where the models were trained on validation images."""
    if run.refitted:
        return [
            "The models were trained again, on training and validation images. Weights, "
            "temperatures and the members' scores are those of the models before; of these models "
            "nothing is known but their test scores, if there are any."
        ]
    if run.search.folds > 1:
        return [
            f"Each member is {run.search.folds} models, each trained without one fold. Figures are "
            "out of fold: each image is predicted by the models that were not trained on it. Of "
            "the mean over all folds, which is served, only test images tell."
        ]
    return []


def _gain(ensemble: EnsembleRecord) -> list[Element]:
    """What combining brings, as far as both losses were measured."""
    single = ensemble.cross_fitted.get(SINGLE)
    chosen = ensemble.cross_fitted.get(ensemble.solver)
    if single is None or chosen is None or len(ensemble.trial_ids) == 1:
        return []
    gain = single - chosen if METRICS[ensemble.metric].direction == "min" else chosen - single
    error = ensemble.errors.get(SINGLE)
    spread = "" if not error else f", with a standard error of {number(error)}"
    return [
        element(
            "p",
            f"Gain over the best single model: {number(gain)} in "
            f"{_inline(metric_label(ensemble.metric))}{spread}, cross-fitted: measured on "
            "images that neither weights nor members were chosen on. Both scores are too good, "
            f"however: {EPOCH_CAVEAT}.",
        )
    ]


def _cost(ensemble: EnsembleRecord) -> list[Element]:
    """What serving all members costs, if there are several and it is known."""
    ratio = ensemble.relative_cost
    if ratio is None or len(ensemble.trial_ids) < 2:
        return []
    return [element("p", f"It has {ratio:.1f} times the parameters of the best single model.")]


def _diversity(ensemble: EnsembleRecord) -> list[Element]:
    """How differently the members err; nothing for a single one."""
    found = ensemble.diversity
    if found is None or len(ensemble.trial_ids) < 2:
        return []
    measures = {_MEASURES[name]: number(value) for name, value in found.pair_means().items()}
    return [
        element("h3", "Diversity"),
        element(
            "p",
            f"Squared error {number(found.member_error)} of the members on average, less "
            f"{number(found.ambiguity)} by which they differ from their mean: "
            f"{number(found.ensemble_error)} of the mean.",
            class_="quiet",
        ),
        pairs(["Mean over the pairs of members", "Value"], measures),
    ]


def _inline(label: str) -> str:
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _members(run: RunSummary, ensemble: EnsembleRecord) -> Element:
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


def _solvers(ensemble: EnsembleRecord) -> list[Element]:
    if not ensemble.cross_fitted:
        return []
    rows = [
        element(
            "tr",
            cell(f"{solver} (chosen)" if solver == ensemble.solver else solver),
            cell(number(loss), class_="number"),
            class_="chosen" if solver == ensemble.solver else "",
        )
        for solver, loss in sorted(ensemble.cross_fitted.items(), key=_loss)
    ]
    found = element(
        "div",
        element("h3", f"Cross-fitted {metric_label(ensemble.metric)}"),
        element(
            "p",
            "Measured on images that neither weights nor calibration were fitted on, nor members "
            "selected on. The row “auto” is the choice itself, made again for each fold without a "
            f"look at it. Of the members, {EPOCH_CAVEAT}.",
        ),
        table(["Solver", metric_label(ensemble.metric)], rows),
    )
    return [found]


def _loss(item: tuple[str, float | None]) -> float:
    return float("inf") if item[1] is None else item[1]
