"""Every trial, the failed ones with the reason."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

from kt_tuning.records import COMPLETED
from kt_tuning.report.formatting import duration, metric_label, number, shorten, value_text
from kt_tuning.report.html import cell, element, table
from kt_tuning.report.run_summary import RunSummary, TrialRun
from kt_tuning.report.sections.blocks import section

MESSAGE_LENGTH = 60
_BADGES = {"failed": "badge bad", "infeasible": "badge bad", "winner": "badge"}


def trials_section(run: RunSummary) -> Element | None:
    """Return the sortable table of all trials, the best first; None before the first trial."""
    if not run.trials:
        return None
    metrics = _metric_names(run)
    header = [
        "Trial",
        "Status",
        *(_metric_title(name, metrics) for name in metrics),
        "Best epoch",
        "Epochs",
        "Time",
        "Parameters",
        "Values",
    ]
    winners = {trial.record.number for trial, weight in run.members if weight > 0}
    rows = [_row(trial, metrics, winners) for trial in _best_first(run)]
    grid = table(header, rows, class_="sortable")
    grid.set("class", "scroll trials")
    return section(
        "trials",
        "Trials",
        element(
            "p",
            f"The best first, the winner marked. Scores are {_measured_on(run)} at the best "
            "epoch, by which the trials were chosen: the best ones are optimistic. "
            + ("" if run.correction is None else f"Best: {run.correction}. ")
            + "Click a header to sort.",
        ),
        grid,
        *_losses(run),
    )


def _measured_on(run: RunSummary) -> str:
    if run.search.folds > 1:
        return f"means over {run.search.folds} folds, each of its validation images"
    return "of the validation split"


def _losses(run: RunSummary) -> list[Element]:
    """What was pruned, what failed, and why."""
    reasons: dict[tuple[str, str], list[int]] = {}
    for trial in run.trials:
        record = trial.record
        if record.status != COMPLETED:
            first = (record.message or "").strip().partition("\n")[0]
            reason = shorten(first, MESSAGE_LENGTH) or "no reason is known"
            reasons.setdefault((record.status.lower(), reason), []).append(record.number)
    title = element("h3", "Pruned and failed")
    if not reasons:
        return [title, element("p", "None.", class_="quiet")]
    rows = [
        element(
            "tr",
            cell(element("span", status, class_=_BADGES.get(status, ""))),
            cell(f"{len(numbers):,}", class_="number"),
            cell(reason, class_="text"),
            cell(", ".join(map(str, numbers)), class_="text"),
        )
        for (status, reason), numbers in sorted(reasons.items())
    ]
    return [title, table(["What", "Trials", "Why", "Which"], rows)]


def _metric_names(run: RunSummary) -> list[str]:
    """The objective first, then the others in the order they appear."""
    names = dict.fromkeys(name for trial in run.trials for name in trial.record.metrics)
    return [run.search.objective, *(name for name in names if name != run.search.objective)]


def _metric_title(name: str, names: list[str]) -> str:
    title = metric_label(name.removeprefix("val_"))
    return f"Training {title[:1].lower()}{title[1:]}" if f"val_{name}" in names else title


def _best_first(run: RunSummary) -> list[TrialRun]:
    scored = [trial for trial in run.trials if not math.isnan(trial.score)]
    scored.sort(key=lambda trial: trial.score, reverse=run.search.direction == "max")
    return scored + [trial for trial in run.trials if math.isnan(trial.score)]


def _row(trial: TrialRun, metrics: list[str], winners: set[int]) -> Element:
    record = trial.record
    won = record.number in winners
    scores = [None if trial.failed else record.metrics.get(name) for name in metrics]
    best_epoch = None if trial.failed else record.best_epoch + 1
    return element(
        "tr",
        _number_cell(f"{record.number}", record.number),
        cell(_status(trial, won), sort_value=_status_text(trial, won), class_="text"),
        *(_number_cell(number(score), score) for score in scores),
        _number_cell("–" if best_epoch is None else f"{best_epoch}", best_epoch),
        _number_cell(f"{record.epochs}", record.epochs),
        _number_cell(duration(record.seconds), record.seconds),
        _number_cell(f"{record.parameters:,}" if record.parameters else "–", record.parameters),
        cell(_values(trial), class_="values"),
        id_=f"trial-{record.number}",
        class_="chosen" if won else "",
    )


def _number_cell(text: str, value: float | None) -> Element:
    return cell(text, sort_value="" if value is None else value, class_="number")


def _status_text(trial: TrialRun, won: bool) -> str:
    return "winner" if won else trial.record.status.lower()


def _status(trial: TrialRun, won: bool) -> Element:
    text = _status_text(trial, won)
    children = [element("span", text, class_=_BADGES.get(text, ""))]
    if trial.record.message:
        children.append(_message(trial.record.message.strip()))
    return element("div", *children)


def _values(trial: TrialRun) -> Element:
    values = trial.record.values
    lines = "\n".join(f"{name} = {value_text(value)}" for name, value in values.items())
    return element("details", element("summary", f"{len(values)} values"), element("pre", lines))


def _message(message: str) -> Element:
    """Return the message, folded to its first line where it is long."""
    short = shorten(message.partition("\n")[0], MESSAGE_LENGTH)
    if short == message:
        return element("div", short, class_="quiet small")
    return element("details", element("summary", short), element("pre", message), class_="small")
