"""What was trained again after the search, and what training the same once more would change."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from kt_tuning.evaluation import EPOCH_CAVEAT
from kt_tuning.report.formatting import metric_label, number, percent
from kt_tuning.report.html import cell, element, table
from kt_tuning.report.repeated_trainings import Repeats, TrainedAgain
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import quiet, section

_LOSSES = {"error": "Error rate", "brier": "Squared error (Brier)", "log_loss": "Log-loss (nats)"}


def repeated_section(run: RunSummary) -> Element | None:
    """Return what came of further trainings, and bias and variance; None if there are neither."""
    if not run.again and not run.repeats:
        return None
    return section("repeated", "Trained again", *_again(run.again), *_repeats(run.repeats))


def _again(made: tuple[TrainedAgain, ...]) -> list[Element]:
    if not made:
        return []
    rows = [
        element(
            "tr",
            cell(element("code", one.folder)),
            cell(f"{len(one.ensemble.trial_ids):,}", class_="number"),
            cell(f"{sum(one.ensemble.costs):,.0f}" if one.ensemble.costs else "–", class_="number"),
            cell(_validation(one), class_="number"),
            cell(_test(one), class_="number"),
        )
        for one in made
    ]
    return [
        quiet(
            "The best configuration, trained again. Each folder is one for kt-tuning evaluate, "
            "export and report. Validation scores are cross-fitted, like those of the ensemble: "
            f"{EPOCH_CAVEAT}."
        ),
        table(["Folder", "Models", "Parameters", "Validation", "Test images right"], rows),
    ]


def _validation(one: TrainedAgain) -> str:
    record = one.ensemble
    label = metric_label(record.metric)
    label = label if label[:2].isupper() else label[:1].lower() + label[1:]
    return f"{number(record.cross_fitted.get(record.solver))} {label}"


def _test(one: TrainedAgain) -> str:
    if one.scores is None or "accuracy" not in one.scores.metrics:
        return "not measured"
    return percent(one.scores.metrics["accuracy"].value)


def _repeats(found: tuple[Repeats, ...]) -> list[Element]:
    if not found:
        return []
    rows = [
        element(
            "tr",
            cell(f"{one.trainings} trainings of {one.name}" if not place else ""),
            cell(_LOSSES[name]),
            cell(number(split.total), class_="number"),
            cell(number(split.bias), class_="number"),
            cell(number(split.variance), class_="number"),
        )
        for one in found
        for place, (name, split) in enumerate(one.losses.items())
    ]
    return [
        element("h3", "Bias and variance"),
        quiet(
            "On the validation images. Variance is what one training loses by differing from the "
            "others, and what averaging them could remove; bias, with the noise of the labels, is "
            "what they lose together."
        ),
        table(["Of", "Loss", "One training", "Bias", "Variance"], rows),
    ]
