"""Lines and table rows of the page that need more than a loop in a template."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import numpy as np
from rich.filesize import decimal

from kt_tuning.core.records import (
    COMPLETED,
    PAUSED,
    PRUNED,
    REFITTED,
    TrialRecord,
    first_trial_failure,
)
from kt_tuning.core.units import count
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.evaluation import METRICS
from kt_tuning.evaluation.cost import training_speed
from kt_tuning.evaluation.robustness import Robustness
from kt_tuning.evaluation.selection_bias import EPOCH_CAVEAT
from kt_tuning.report.figures.confusion import confusion_data
from kt_tuning.report.formatting import (
    duration,
    ends,
    inline_label,
    large_number,
    metric_label,
    milliseconds,
    number,
    percent,
    shorten,
)
from kt_tuning.report.run_summary import RunSummary


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the summary."""

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
        images = f"of {scores.images:,} {scores.split} images correct"
        interval = ""
        if not math.isnan(accuracy.low):
            interval = f"; 95%\u00a0interval {percent(accuracy.low)} to {percent(accuracy.high)}"
        return Line(
            f"{scores.split.capitalize()} accuracy", percent(accuracy.value), images + interval
        )
    confusion = confusion_data(run)
    if confusion is not None:
        return Line(
            f"{confusion.split.capitalize()} accuracy",
            percent(confusion.accuracy),
            f"of {confusion.counts.sum():,} {confusion.split} images correct; optimistic, "
            "as the model was chosen by them",
        )
    best = None if run.best is None else run.score(run.best)
    return Line(
        metric_label(run.search.objective), number(best), "optimistic; there is no test score yet"
    )


def selection_line(run: RunSummary) -> Line:
    """Return the best trial's validation score, corrected for selection where that is known.

    The best of many noisy scores is biased upwards (Cawley and Talbot, JMLR 2010, section 5).
    """
    label = "Best validation score"
    if run.best is None:
        return Line(label, "–", "no trial has a score yet; the table of trials gives the reasons")
    of_trial = f"of trial {run.best.number}"
    found = run.correction
    if found is not None:
        trials = count(found.candidates, "trial")
        epochs = f" with {found.epochs:,} epochs" if found.epochs else ""
        return Line(
            label,
            number(found.raw),
            f"{metric_label(found.metric)} {of_trial}, the best of {trials}{epochs}; "
            f"{number(found.corrected.value)} after correction for this selection, "
            f"95%\u00a0interval {ends(found.corrected)}"
            + (f"; {EPOCH_CAVEAT}" if found.best_epochs else ""),
        )
    return Line(
        label,
        number(run.score(run.best)),
        f"{metric_label(run.search.objective)} {of_trial}, the best of "
        f"{count(len(run.trials), 'trial')}; optimistic, as the trial and its epoch were chosen by "
        "this score",
    )


def model_line(run: RunSummary) -> Line:
    """Return the model that is exported: its trials, its size and its speed."""
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
        details.append(f"{milliseconds(run.scores.latency_ms['p50'])} per image")
    if run.ensemble is not None and run.ensemble.mirrored:
        details.append("averaged over mirror images")
    if run.refitted:
        details.append(REFITTED)
    if run.export is not None:
        size = "" if run.export_bytes is None else f", {decimal(run.export_bytes)}"
        details.append(f"in export/{run.export}{size}")
    return Line(label, value, ", ".join(details))


def notes(run: RunSummary) -> list[str]:
    """Return warnings that belong to the figures of the page."""
    failure = first_trial_failure(run.trials, run.search)
    found = [note for note in (failure, run.caveat) if note is not None]
    if run.scores is None:
        found.append(
            "Do not quote scores from this page before the final model has been evaluated on the "
            "test split: scores on images that were used to choose a model are optimistic."
        )
    return found


def _search(run: RunSummary) -> Line:
    statuses = [trial.status for trial in run.trials]
    failed = sum(not trial.usable for trial in run.trials)
    parts = [
        (statuses.count(COMPLETED), "completed"),
        (statuses.count(PRUNED), "pruned"),
        (statuses.count(PAUSED), "paused"),
        (failed, "failed"),
        (run.unfinished, "unfinished"),
    ]
    counted = ", ".join(f"{amount:,} {state}" for amount, state in parts if amount)
    seconds = sum(trial.seconds for trial in run.trials)
    epochs = sum(trial.epochs for trial in run.trials)
    return Line(
        "Search",
        count(len(run.trials), "trial"),
        f"of {run.search.hypermodel} by {run.search.strategy}{': ' if counted else ''}{counted}; "
        f"{duration(seconds)} of training, {count(epochs, 'epoch')}",
    )


def _data(run: RunSummary) -> Line:
    data = run.data
    if data is None:
        return Line("Data", "–", "not described, as the search was not on an ImageData")
    pixels = data.pixels
    sizes = ", ".join(f"{int(np.sum(counts)):,} {split}" for split, counts in data.counts.items())
    return Line(
        "Data",
        count(len(data.class_names), "class", "classes"),
        f"{sizes} images; {pixels.height}×{pixels.width}×{pixels.channels} pixels",
    )


SINGLE = "single"
MESSAGE_LENGTH = 60


def metric_columns(run: RunSummary) -> list[tuple[str, str]]:
    """Return (metric, title) of the trials' table: the objective, then the others as they come."""
    found = dict.fromkeys(name for trial in run.trials for name in trial.metrics)
    objective = run.search.objective
    names = [objective, *(name for name in found if name != objective)]
    return [
        (name, f"Training {inline_label(name)}")
        if f"val_{name}" in names
        else (name, metric_label(name.removeprefix("val_")))
        for name in names
    ]


def short_message(message: str) -> str:
    """Return the first line of a trial's message, cut to the width of a cell."""
    return shorten(message.strip().partition("\n")[0], MESSAGE_LENGTH)


def failure_rows(run: RunSummary) -> list[tuple[str, list[int], str]]:
    """Return (status, trial numbers, reason) of trials that were pruned, paused or failed."""
    reasons: dict[tuple[str, str], list[int]] = {}
    for record in run.trials:
        if record.status != COMPLETED:
            reason = short_message(record.message or "") or "unknown"
            reasons.setdefault((record.status.lower(), reason), []).append(record.number)
    return [(status, numbers, reason) for (status, reason), numbers in sorted(reasons.items())]


def ensemble_gain(ensemble: EnsembleRecord) -> float | None:
    """Return how much better the ensemble is than its best member, cross-fitted; None if unknown.

    Positive is better, whatever the metric's direction.
    """
    single = ensemble.cross_fitted.get(SINGLE)
    chosen = ensemble.cross_fitted.get(ensemble.solver)
    if single is None or chosen is None or len(ensemble.trial_ids) == 1:
        return None
    return single - chosen if METRICS[ensemble.metric].direction == "min" else chosen - single


def solver_rows(ensemble: EnsembleRecord) -> list[tuple[str, float | None]]:
    """Return (solver, cross-fitted loss), the smallest first, unknown ones last."""
    rows = ensemble.cross_fitted.items()
    return sorted(rows, key=lambda row: math.inf if row[1] is None else row[1])


def cost_rows(run: RunSummary) -> list[tuple[str, str]]:
    """Return (quantity, value) of size, arithmetic and speed, as far as they were measured."""
    scores = run.scores
    if scores is None:
        return []
    cost = scores.cost
    rows = []
    if scores.parameters is not None:
        rows.append(("Parameters", f"{scores.parameters:,}"))
    if cost is not None:
        rows.append(("Weights in memory", decimal(cost.weight_bytes)))
        if cost.multiply_adds is not None and cost.flops is not None:
            rows.append(("Multiply-adds per image", large_number(cost.multiply_adds)))
            rows.append(("Floating-point operations per image", large_number(cost.flops)))
    if run.export is not None and run.export_bytes is not None:
        rows.append((f"Size of export/{run.export}", decimal(run.export_bytes)))
    latency = scores.latency_ms if cost is None else cost.latency_ms
    rows += [(f"Latency of one image, {name}", milliseconds(ms)) for name, ms in latency.items()]
    if cost is not None:
        fastest = cost.throughput
        speed = f"{large_number(fastest.images_per_second)} images/s"
        rows.append((f"Throughput, in batches of {fastest.batch_size}", speed))
    trained = None
    if run.data is not None:
        trained = training_speed(run.trials, run.data, run.search)
    if trained is not None:
        rows.append(("Training speed, median trial", f"{large_number(trained)} images/s"))
    return rows


def worst_first(found: Robustness) -> list[tuple[float, str]]:
    """Return (mean score, corruption), the lowest score first."""
    return sorted((found.mean(name), name) for name in found.corrupted)


def value_names(records: Iterable[TrialRecord]) -> list[str]:
    """Return the names of all hyperparameters of some trials, in order of declaration."""
    return list(dict.fromkeys(name for record in records for name in record.values))


def lost_share(value: float, clean: float) -> float:
    """Return the share of a clean score that is lost, in 0..1."""
    return min(max(1.0 - value / clean, 0.0), 1.0) if clean > 0 else 0.0
