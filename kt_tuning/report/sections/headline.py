"""What a reader in a hurry needs, in five lines: how good, how sure, what won, of what, on what."""

from __future__ import annotations

import dataclasses
import math
from xml.etree.ElementTree import Element

import numpy as np

from kt_tuning.evaluation import EPOCH_CAVEAT
from kt_tuning.records import COMPLETED, PAUSED, PRUNED, defaults_failure
from kt_tuning.report.figures import confusion_data
from kt_tuning.report.formatting import duration, ends, metric_label, milliseconds, number, percent
from kt_tuning.report.html import element
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.units import count


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the summary.

    Attributes:
        label: What it is about.
        value: The figure to remember.
        detail: What belongs to it.
    """

    label: str
    value: str
    detail: str


def headline(run: RunSummary) -> Element:
    """Return the page's header."""
    lines = (score_line(run), selection_line(run), _winner(run), _search(run), _data(run))
    return element(
        "header",
        element("p", "kt-tuning report", class_="eyebrow"),
        element("h1", run.name),
        element(
            "dl",
            *(
                element(
                    "div",
                    element("dt", line.label),
                    element("dd", element("strong", line.value), f" {line.detail}"),
                )
                for line in lines
            ),
            class_="summary",
        ),
        *(element("p", note, class_="note") for note in _notes(run)),
    )


def score_line(run: RunSummary) -> Line:
    """Return how good the winner is: on test images, else on validation images."""
    scores = run.scores
    if scores is not None and "accuracy" in scores.metrics:
        accuracy = scores.metrics["accuracy"]
        images = f"of {scores.images:,} {scores.split} images right"
        interval = ""
        if not math.isnan(accuracy.low):
            interval = f"; 95%\u00a0interval {percent(accuracy.low)} to {percent(accuracy.high)}"
        return Line(
            f"{scores.split.capitalize()} accuracy", percent(accuracy.value), images + interval
        )
    confusion = confusion_data(run)
    if confusion is not None:
        images = f"of {confusion.counts.sum():,} {confusion.split} images right; optimistic, and"
        return Line(
            f"{confusion.split.capitalize()} accuracy",
            percent(confusion.accuracy),
            f"{images} not judged on the test split yet",
        )
    best = None if run.best is None else run.best.score
    return Line(
        metric_label(run.search.objective), number(best), "optimistic, and no test score yet"
    )


def selection_line(run: RunSummary) -> Line:
    """Return the best validation score, and what it is worth.

    The best of many noisy scores is biased upwards (Cawley and Talbot, JMLR 2010, section 5).
    """
    label = "Best in validation"
    found = run.correction
    if found is not None:
        trials = count(found.candidates, "trial")
        epochs = f" and of their {found.epochs:,} epochs" if found.epochs else ""
        return Line(
            label,
            number(found.raw),
            f"{metric_label(found.metric)}, the best of {trials}{epochs}; "
            f"corrected for having been chosen by it {number(found.corrected.value)}, "
            f"95%\u00a0interval {ends(found.corrected)}"
            + (f"; {EPOCH_CAVEAT}" if found.best_epochs else ""),
        )
    if run.best is None:
        return Line(label, "–", "no trial has a score yet; the trials below say why")
    return Line(
        label,
        number(run.best.score),
        f"{metric_label(run.search.objective)}, the best of {count(len(run.trials), 'trial')} and "
        "so optimistic: the trial and its epoch were chosen by it",
    )


def _winner(run: RunSummary) -> Line:
    if not run.members:
        return Line("Winner", "–", "no trial has a score")
    models = sum(weight > 0 for _, weight in run.members)
    parameters = sum(trial.record.parameters for trial, weight in run.members if weight > 0)
    details = []
    if run.scores is not None:
        parameters = run.scores.parameters or parameters
        if "p50" in run.scores.latency_ms:
            details = [f"{milliseconds(run.scores.latency_ms['p50'])} an image"]
    details.insert(0, f"{parameters:,} parameters")
    value = f"Ensemble of {models}" if models > 1 else f"Trial {run.members[0][0].record.number}"
    return Line("Winner", value, ", ".join(details))


def _search(run: RunSummary) -> Line:
    statuses = [trial.record.status for trial in run.trials]
    failed = sum(trial.failed for trial in run.trials)
    parts = [
        (statuses.count(COMPLETED), "completed"),
        (statuses.count(PRUNED), "pruned"),
        (statuses.count(PAUSED), "paused"),
        (failed, "failed"),
        (run.unfinished, "unfinished"),
    ]
    told = ", ".join(f"{number_:,} {what}" for number_, what in parts if number_)
    seconds = sum(trial.record.seconds for trial in run.trials)
    epochs = sum(trial.record.epochs for trial in run.trials)
    return Line(
        "Search",
        count(len(run.trials), "trial"),
        f"of {run.search.hypermodel} by {run.search.strategy}{': ' if told else ''}{told}; "
        f"{duration(seconds)} of training, {count(epochs, 'epoch')}",
    )


def _data(run: RunSummary) -> Line:
    data = run.data
    if data is None:
        return Line("Data", "–", "not images that kt-tuning split")
    pixels = data.pixels
    sizes = ", ".join(f"{int(np.sum(counts)):,} {split}" for split, counts in data.counts.items())
    return Line(
        "Data",
        count(len(data.class_names), "class", "classes"),
        f"{sizes} images; {pixels.height}×{pixels.width}×{pixels.channels} pixels",
    )


def _notes(run: RunSummary) -> list[str]:
    failure = defaults_failure(trial.record for trial in run.trials)
    notes = [note for note in (failure, run.caveat) if note is not None]
    if run.scores is None:
        notes.append(
            "Quote no figure of this page before the winner is judged on the test split: "
            "scores on images that choices were made by are optimistic."
        )
    return notes
