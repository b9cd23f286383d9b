"""Figures of the trials of a search: history, importances, learning curves, Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.records import COMPLETED, TrialRecord, pareto_records
from kt_tuning.core.units import count
from kt_tuning.report.figures.scored_trials import RunFigures
from kt_tuning.report.figures.style import (
    BLUE,
    FAINT,
    FONT_SIZE,
    HEIGHT,
    INK,
    MUTED,
    ORANGE,
    WIDTH,
    ReportFigure,
    add_legend,
    default_style,
    empty_figure,
    name_axes,
    new_figure,
    spans_decades,
    use_log_scale,
)
from kt_tuning.report.formatting import metric_label, number, percent, shorten
from kt_tuning.report.run_summary import FloatArray, RunSummary

Curve = tuple[FloatArray, FloatArray]
"""Epochs from 1, and a metric after each of them."""
ROW_HEIGHT = 24
MOST_BARS = 12
NAME_LENGTH = 24
FEWEST_TRIALS = 6
"""The best 30% of fewer trials are a single one, which is not informative."""


class TrialFigures(RunFigures):
    """Figures of the trials of a search."""

    @default_style()
    def history(self, *, objective: str | None = None) -> ReportFigure:
        """Draw the value of each trial in order of start, and the best value so far.

        Args:
            objective: Name of an objective; the first one if None.
        """
        trials = self._trials(objective)
        figure = new_figure()
        axes = figure.axes[0]
        numbers, scores, best = np.array(trials.numbers), trials.scores, trials.best
        scored = np.isfinite(scores)
        whole = np.array([trial.status == COMPLETED for trial in trials.trials])
        if spans_decades(scores):
            use_log_scale(axes, "y")
        best_so_far = (np.fmax if trials.maximise else np.fmin).accumulate(scores)
        axes.plot(numbers, best_so_far, color=BLUE, drawstyle="steps-post", label="best so far")
        axes.plot(numbers[scored & whole], scores[scored & whole], "o", color=FAINT, markersize=5)
        if (scored & ~whole).any():
            short = scored & ~whole
            (pruned,) = axes.plot(numbers[short], scores[short], "o", color=FAINT, markersize=5)
            pruned.set(markerfacecolor="none", label="pruned")
        if best is not None:
            axes.plot(numbers[best], scores[best], "o", color=BLUE, markersize=7)
        if not scored.all():
            axes.plot(
                numbers[~scored],
                np.full((~scored).sum(), 0.03),
                "x",
                color=ORANGE,
                markersize=6,
                markeredgewidth=1.8,
                transform=axes.get_xaxis_transform(),
                label="no score",
            )
        axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        name_axes(axes, metric_label(trials.objective), "Trial, in order of start")
        add_legend(axes)
        found = "none has a score"
        if best is not None:
            found = f"the best is {number(scores[best])} in trial {trials.numbers[best]}"
        figure.description = (
            f"{metric_label(trials.objective)} of {count(len(trials.trials), 'trial')} in order of "
            f"start: {found}; {int(np.isnan(scores).sum())} without a score."
        )
        return figure

    @default_style()
    def importances(self, *, objective: str | None = None) -> ReportFigure:
        """Draw the importance of each hyperparameter for being among the best 30% of the trials.

        Importances are computed by PED-ANOVA and sum to 1; see
        `kt_tuning.evaluation.hyperparameter_importances`. With few trials they are unreliable.

        Args:
            objective: Name of an objective; the first one if None.
        """
        trials = self._trials(objective)
        found = trials.importances()
        if np.isfinite(trials.scores).sum() < FEWEST_TRIALS or not found:
            raise SearchError(
                f"Importances need at least {FEWEST_TRIALS} trials that have a score and differ in "
                "a hyperparameter. Received: fewer. Let the search continue."
            )
        shares = list(found.items())[:MOST_BARS]
        figure = new_figure(WIDTH, 60 + ROW_HEIGHT * len(shares))
        axes = figure.axes[0]
        rows = np.arange(len(shares))
        bars = axes.barh(rows, [share for _, share in shares], color=BLUE, height=0.6)
        labels = [percent(share) for _, share in shares]
        axes.bar_label(bars, labels, padding=4, fontsize=FONT_SIZE, color=INK)
        axes.set_yticks(rows, [shorten(name, NAME_LENGTH) for name, _ in shares], parse_math=False)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.margins(x=0.12)
        axes.grid(visible=False)
        objective = metric_label(trials.objective)
        name_axes(axes, f"Importance for {objective}", "Share")
        listed = ", ".join(f"{name} {percent(share)}" for name, share in shares[:5])
        figure.description = f"Importance of hyperparameters for {objective}: {listed}."
        return figure

    @default_style()
    def intermediate_values(self) -> ReportFigure:
        """Draw the first objective of each trial by epoch."""
        run = self._run
        objective, best = run.search.objective, run.best
        curves = [
            curve for trial in run.trials if (curve := _curve_of(run, trial, objective)) is not None
        ]
        if not curves:
            raise SearchError("Learning curves need values by epoch. No trial has recorded any.")
        figure, axes = _begin_curves(curves)
        for curve in curves:
            _draw_line(axes, curve, color=FAINT, linewidth=0.9, alpha=0.7)
        description = f"{metric_label(objective)} by epoch, {count(len(curves), 'curve')}."
        curve = None if best is None else _curve_of(run, best, objective)
        if best is not None and curve is not None:
            label = f"trial {best.number}, the best"
            _draw_line(axes, curve, color=BLUE, label=label, linewidth=2.0)
            add_legend(axes)
            description += (
                f" The best, trial {best.number}, goes from {number(curve[1][0])} to "
                f"{number(curve[1][-1])} in {count(len(curve[0]), 'epoch')}."
            )
        name_axes(axes, metric_label(objective), "Epoch")
        figure.description = description
        return figure

    @default_style()
    def losses(self) -> ReportFigure:
        """Draw training and validation loss of the best trial by epoch."""
        run = self._run
        best = run.best
        if best is None:
            raise SearchError("No trial has a score yet: let the search continue.")
        styles: dict[str, tuple[str, dict[str, Any]]] = {
            "loss": ("training", {"color": ORANGE, "linestyle": (0, (5, 1.5))}),
            "val_loss": ("validation", {"color": BLUE, "linewidth": 2.0}),
        }
        curves = {
            name: (curve, style)
            for metric, (name, style) in styles.items()
            if (curve := _curve_of(run, best, metric)) is not None
        }
        if not curves:
            raise SearchError("The best trial has recorded no loss by epoch.")
        figure, axes = _begin_curves([curve for curve, _ in curves.values()])
        kept = best.best_epoch + 1
        axes.axvline(kept, color=FAINT, linewidth=1.0, linestyle=(0, (3, 3)))
        for name, (curve, style) in curves.items():
            _draw_line(axes, curve, label=name, **style)
        name_axes(axes, f"Loss of trial {best.number}", "Epoch (dashed: best epoch)")
        add_legend(axes)
        ends = [
            f"{name} loss ends at {number(curve[1][-1])}" for name, (curve, _) in curves.items()
        ]
        figure.description = (
            f"Loss of the best trial by epoch: {', '.join(ends)}; best epoch {kept}."
        )
        return figure

    @default_style()
    def pareto(self) -> ReportFigure:
        """Draw the trials by two or three objectives, and mark the Pareto front."""
        run, objectives = self._run, self._objectives
        names = [name for name, _ in objectives]
        if len(names) not in (2, 3):
            raise OptionError(
                "A Pareto front needs 2 or 3 objectives. Received: a search for "
                f"{', '.join(names)}."
            )
        records = [trial for trial in run.trials if trial.usable]
        whole = [record for record in records if record.metrics.keys() >= set(names)]
        if not whole:
            raise SearchError("No trial has completed yet: call `search` first.")
        points = np.array([[record.metrics[name] for name in names] for record in whole])
        best = {record.trial_id for record in pareto_records(whole, objectives)}
        front = np.array([record.trial_id in best for record in whole])
        if len(names) == 2:
            figure = new_figure()
        else:
            figure = empty_figure(WIDTH, 1.3 * HEIGHT)
            figure.add_subplot(projection="3d")
        axes: Any = figure.axes[0]  # with three objectives an Axes3D
        for kept, color, label in ((~front, FAINT, "dominated"), (front, BLUE, "on the front")):
            axes.plot(*points[kept].T, "o", color=color, markersize=5, label=label)
        name_axes(axes, "Pareto front", metric_label(names[0]))
        axes.set_ylabel(metric_label(names[1]), fontsize=FONT_SIZE, color=MUTED, parse_math=False)
        if len(names) == 3:
            axes.set_zlabel(
                metric_label(names[2]), fontsize=FONT_SIZE, color=MUTED, parse_math=False
            )
            axes.tick_params(labelsize=FONT_SIZE, labelcolor=MUTED)
        add_legend(axes)
        figure.description = (
            f"{count(len(whole), 'trial')} by {' and '.join(names)}; {front.sum()} on the Pareto "
            "front."
        )
        return figure


def _curve_of(run: RunSummary, trial: TrialRecord, metric: str) -> Curve | None:
    """Return a metric by epoch, the mean of several trainings; None if it was not recorded."""
    history = run.histories.get(trial.trial_id, {})
    values = history.get(metric)
    if values is None or np.isnan(values).all():
        return None
    epochs = history.get("epoch", np.arange(len(values), dtype=float))
    distinct, index = np.unique(epochs, return_inverse=True)
    return distinct + 1, np.bincount(index, weights=values) / np.bincount(index)


def _begin_curves(curves: Sequence[Curve]) -> tuple[ReportFigure, Axes]:
    figure = new_figure()
    axes = figure.axes[0]
    if spans_decades(np.concatenate([values for _, values in curves])):
        use_log_scale(axes, "y")
    axes.set_xlim(0.5, max(epochs[-1] for epochs, _ in curves) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure, axes


def _draw_line(axes: Axes, curve: Curve, **style: Any) -> None:
    """Draw a curve; one of a single epoch is a dot, since a line through one point is invisible."""
    axes.plot(*curve, marker="o" if len(curve[0]) == 1 else None, markersize=4, **style)
