"""The score of each trial in order of start, and the best so far."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from kt_tuning.core.records import COMPLETED
from kt_tuning.core.units import count
from kt_tuning.palette import BLUE, FAINT, ORANGE
from kt_tuning.report.figures.scored_trials import ScoredTrials
from kt_tuning.report.figures.style import (
    ReportFigure,
    add_legend,
    default_style,
    name_axes,
    new_figure,
    spans_decades,
    use_log_scale,
)
from kt_tuning.report.formatting import metric_label, number


@default_style()
def draw_history(trials: ScoredTrials) -> ReportFigure:
    """Draw a point a trial and the best so far as steps; pruned trials are hollow points."""
    figure = new_figure()
    axes = figure.axes[0]
    numbers, scores, best = np.array(trials.numbers), trials.scores, trials.best
    scored = np.isfinite(scores)
    whole = np.array([trial.record.status == COMPLETED for trial in trials.trials])
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
    figure.description = _describe(trials)
    return figure


def _describe(trials: ScoredTrials) -> str:
    best = trials.best
    found = (
        "none has a score"
        if best is None
        else f"the best is {number(trials.scores[best])} in trial {trials.numbers[best]}"
    )
    return (
        f"{metric_label(trials.objective)} of {count(len(trials.trials), 'trial')} in order of "
        f"start: {found}; {int(np.isnan(trials.scores).sum())} without a score."
    )
