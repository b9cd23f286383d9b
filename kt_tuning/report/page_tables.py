"""Rows of the page's tables that need more than a loop in a template."""

from __future__ import annotations

import math
from collections.abc import Iterable

from kt_tuning.core.records import COMPLETED, TrialRecord
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.evaluation import METRICS, Robustness, training_speed
from kt_tuning.report.formatting import (
    byte_size,
    large_number,
    metric_label,
    milliseconds,
    shorten,
)
from kt_tuning.report.run_summary import RunSummary, TrialRun

SINGLE = "single"
MESSAGE_LENGTH = 60


def metric_columns(run: RunSummary) -> list[tuple[str, str]]:
    """Return (metric, title) of the trials' table: the objective, then the others as they come."""
    found = dict.fromkeys(name for trial in run.trials for name in trial.record.metrics)
    objective = run.search.objective
    names = [objective, *(name for name in found if name != objective)]
    return [(name, _metric_title(name, names)) for name in names]


def _metric_title(name: str, names: list[str]) -> str:
    title = metric_label(name.removeprefix("val_"))
    return f"Training {title[:1].lower()}{title[1:]}" if f"val_{name}" in names else title


def best_first(run: RunSummary) -> list[TrialRun]:
    """Return the trials by score, those without one last."""
    scored = [trial for trial in run.trials if not math.isnan(trial.score)]
    scored.sort(key=lambda trial: trial.score, reverse=run.search.direction == "max")
    return scored + [trial for trial in run.trials if math.isnan(trial.score)]


def short_message(message: str) -> str:
    """Return the first line of a trial's message, cut to the width of a cell."""
    return shorten(message.strip().partition("\n")[0], MESSAGE_LENGTH)


def failure_rows(run: RunSummary) -> list[tuple[str, list[int], str]]:
    """Return (status, trial numbers, reason) of trials that were pruned, paused or failed."""
    reasons: dict[tuple[str, str], list[int]] = {}
    for trial in run.trials:
        record = trial.record
        if record.status != COMPLETED:
            reason = short_message(record.message or "") or "no reason is known"
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
        rows.append(("Weights in memory", byte_size(cost.weight_bytes)))
        if cost.multiply_adds is not None and cost.flops is not None:
            rows.append(("Multiply-adds an image", large_number(cost.multiply_adds)))
            rows.append(("Floating-point operations an image", large_number(cost.flops)))
    if run.export is not None and run.export_bytes is not None:
        rows.append((f"Files of export {run.export}", byte_size(run.export_bytes)))
    latency = scores.latency_ms if cost is None else cost.latency_ms
    rows += [(f"Latency of one image, {name}", milliseconds(ms)) for name, ms in latency.items()]
    if cost is not None:
        fastest = cost.throughput
        speed = f"{large_number(fastest.images_per_second)} images/s"
        rows.append((f"Throughput, in batches of {fastest.batch_size}", speed))
    trained = None
    if run.data is not None:
        records = [trial.record for trial in run.trials]
        trained = training_speed(records, run.data, run.search)
    if trained is not None:
        rows.append(("Training, the median trial", f"{large_number(trained)} images/s"))
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
