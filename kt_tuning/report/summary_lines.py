"""The lines at the top of the page: test score, best trial, final model, search and data."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from kt_tuning.core.records import COMPLETED, PAUSED, PRUNED, REFITTED, first_trial_failure
from kt_tuning.core.units import count
from kt_tuning.evaluation import EPOCH_CAVEAT
from kt_tuning.report.figures.confusion import confusion_data
from kt_tuning.report.formatting import (
    byte_size,
    duration,
    ends,
    metric_label,
    milliseconds,
    number,
    percent,
)
from kt_tuning.report.run_summary import RunSummary


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the summary.

    Attributes:
        label: Its subject.
        value: The figure to remember.
        detail: Further facts.
    """

    label: str
    value: str
    detail: str


def summary_lines(run: RunSummary) -> tuple[Line, ...]:
    """Return the lines in the order of the page."""
    return (score_line(run), selection_line(run), model_line(run), _search(run), _data(run))


def score_line(run: RunSummary) -> Line:
    """Return the final model's accuracy on test images, else on validation images."""
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
            f"{images} not evaluated on the test split yet",
        )
    best = None if run.best is None else run.best.score
    return Line(
        metric_label(run.search.objective), number(best), "optimistic, and no test score yet"
    )


def selection_line(run: RunSummary) -> Line:
    """Return the best trial's validation score, corrected for selection where that is known.

    The best of many noisy scores is biased upwards (Cawley and Talbot, JMLR 2010, section 5).
    """
    label = "Best in validation"
    if run.best is None:
        return Line(label, "–", "no trial has a score yet; the trials below say why")
    of_trial = f"of trial {run.best.record.number}"
    found = run.correction
    if found is not None:
        trials = count(found.candidates, "trial")
        epochs = f" and of their {found.epochs:,} epochs" if found.epochs else ""
        return Line(
            label,
            number(found.raw),
            f"{metric_label(found.metric)} {of_trial}, the best of {trials}{epochs}; "
            f"corrected for having been chosen by it {number(found.corrected.value)}, "
            f"95%\u00a0interval {ends(found.corrected)}"
            + (f"; {EPOCH_CAVEAT}" if found.best_epochs else ""),
        )
    return Line(
        label,
        number(run.best.score),
        f"{metric_label(run.search.objective)} {of_trial}, the best of "
        f"{count(len(run.trials), 'trial')} and so optimistic: the trial and its epoch were chosen "
        "by it",
    )


def model_line(run: RunSummary) -> Line:
    """Return the model that is exported: which trials it is of, its size and its speed."""
    label = "Final model" if run.export is None else "Exported model"
    members = run.model_trials
    if not members:
        return Line(label, "–", "no trial has a score")
    value = f"Ensemble of {len(members)}" if len(members) > 1 else f"Trial {members[0].number}"
    parameters = sum(record.parameters for record in members)
    if run.scores is not None:
        parameters = run.scores.parameters or parameters
    details = [f"{parameters:,} parameters"]
    if run.scores is not None and "p50" in run.scores.latency_ms:
        details.append(f"{milliseconds(run.scores.latency_ms['p50'])} an image")
    if run.refitted:
        details.append(REFITTED)
    if run.export is not None:
        size = "" if run.export_bytes is None else f", {byte_size(run.export_bytes)}"
        details.append(f"in export/{run.export}{size}")
    return Line(label, value, ", ".join(details))


def notes(run: RunSummary) -> list[str]:
    """Return warnings that belong to the figures of the page."""
    failure = first_trial_failure((trial.record for trial in run.trials), run.search)
    found = [note for note in (failure, run.caveat) if note is not None]
    if run.scores is None:
        found.append(
            "Quote no figure of this page before the final model is evaluated on the test split: "
            "scores on images that choices were made by are optimistic."
        )
    return found


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
    counted = ", ".join(f"{amount:,} {state}" for amount, state in parts if amount)
    seconds = sum(trial.record.seconds for trial in run.trials)
    epochs = sum(trial.record.epochs for trial in run.trials)
    return Line(
        "Search",
        count(len(run.trials), "trial"),
        f"of {run.search.hypermodel} by {run.search.strategy}{': ' if counted else ''}{counted}; "
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
