"""The sections of the page, in the order of the run. Each is RunSummary -> element, or None."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.classes import curves_section, reliability_section
from kt_tuning.report.sections.cost import cost_section
from kt_tuning.report.sections.ensemble import ensemble_section
from kt_tuning.report.sections.exports import exports_section
from kt_tuning.report.sections.headline import headline
from kt_tuning.report.sections.pictures import augmentation_section, gallery_section
from kt_tuning.report.sections.repeated import repeated_section
from kt_tuning.report.sections.reproduce import reproduce_section
from kt_tuning.report.sections.robustness import robustness_section
from kt_tuning.report.sections.scores import confusion_section, scores_section
from kt_tuning.report.sections.search import search_section, slices_section
from kt_tuning.report.sections.trials import trials_section
from kt_tuning.report.sections.winner import winner_section

SECTIONS: tuple[Callable[[RunSummary], Element | None], ...] = (
    search_section,
    slices_section,
    trials_section,
    winner_section,
    ensemble_section,
    repeated_section,
    scores_section,
    confusion_section,
    curves_section,
    reliability_section,
    robustness_section,
    cost_section,
    exports_section,
    gallery_section,
    augmentation_section,
    reproduce_section,
)

__all__ = [
    "SECTIONS",
    "augmentation_section",
    "confusion_section",
    "cost_section",
    "curves_section",
    "ensemble_section",
    "exports_section",
    "gallery_section",
    "headline",
    "reliability_section",
    "repeated_section",
    "reproduce_section",
    "robustness_section",
    "scores_section",
    "search_section",
    "slices_section",
    "trials_section",
    "winner_section",
]
