"""Figures of the score by hyperparameters: slices, contour, parallel coordinates."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from kt_tuning.core.errors import SearchError
from kt_tuning.core.units import count
from kt_tuning.report.figures.scored_trials import RunFigures, ScoredTrials
from kt_tuning.report.figures.style import (
    BLUE,
    FAINT,
    FONT_SIZE,
    HEIGHT,
    INK,
    MUTED,
    RULE,
    SHADES,
    WIDTH,
    ReportFigure,
    default_style,
    name_axes,
    new_figure,
    spans_decades,
    use_log_scale,
)
from kt_tuning.report.formatting import metric_label, shorten, value_text
from kt_tuning.report.run_summary import FloatArray

LABEL_LENGTH = 10
MOST_CATEGORIES, MOST_NUMBERS = 8, 4
"""Values that are all ticks of an axis from 0 to 1; else no category is, and three numbers are."""
PANEL_WIDTH, PANEL_HEIGHT = 260, 200
COLUMNS = 4
CHARACTERS_ACROSS = 20
"""Characters of tick labels that fit along one panel."""
LEVELS = 12
COLUMN_WIDTH, WIDEST_COLUMN, FIGURE_WIDTH, FIGURE_HEIGHT = 120, 200, 960, 300
MOST_COLUMNS = 7
GOOD = 0.3
"""Share of the trials that are drawn as the best ones."""
NAME_LENGTH = 16
"""Characters of a name that fit in `COLUMN_WIDTH`."""


@dataclasses.dataclass(frozen=True)
class ValueAxis:
    """Numbers at their value and everything else by category.

    Attributes:
        positions: (n,) each value, or the index of its category; not-a-number where it is missing.
        categories: Names of the categories by index, sorted; empty for numbers.
        log: Whether the numbers need a logarithmic axis.
    """

    positions: FloatArray
    categories: tuple[str, ...] = ()
    log: bool = False

    @classmethod
    def of(cls, values: Sequence[Any]) -> Self:
        """Place `values`, of which some may be None."""
        present = [value for value in values if value is not None]
        if all(
            isinstance(value, (int, float)) and not isinstance(value, bool) for value in present
        ):
            numbers = np.array([np.nan if value is None else float(value) for value in values])
            return cls(numbers, log=spans_decades(numbers))
        names = sorted({value_text(value) for value in present})
        index = {name: float(position) for position, name in enumerate(names)}
        places = [np.nan if value is None else index[value_text(value)] for value in values]
        return cls(np.array(places), tuple(names))

    @property
    def distinct(self) -> FloatArray:
        """Positions without repetitions, sorted."""
        return np.unique(self.positions[np.isfinite(self.positions)])

    def unit(self, positions: FloatArray) -> FloatArray:
        """Return `positions` scaled to 0..1, by their logarithm where the axis is logarithmic."""
        known = np.log(self.distinct) if self.log else self.distinct
        scaled = np.log(positions) if self.log else positions
        span = known[-1] - known[0]
        return (scaled - known[0]) / span if span > 0 else scaled - known[0] + 0.5

    def label(self, position: float) -> str:
        """Return the text of a tick."""
        if self.categories:
            return shorten(self.categories[int(position)], LABEL_LENGTH)
        return f"{position:.6g}"

    def unit_ticks(self) -> list[tuple[float, str]]:
        """Return (place in 0..1, label) of the ticks of an axis from 0 to 1."""
        shown = self.distinct
        if self.categories:
            shown = shown if len(shown) <= MOST_CATEGORIES else shown[:0]
            labels = [self.label(position) for position in shown]
        else:
            if len(shown) > MOST_NUMBERS:
                low, high = shown[0], shown[-1]
                middle = np.sqrt(low * high) if self.log else (low + high) / 2
                shown = np.array([low, middle, high])
            labels = [f"{value:.3g}" for value in shown]
        return list(zip(self.unit(shown).tolist(), labels, strict=True))


class HyperparameterFigures(RunFigures):
    """Figures of the score by hyperparameters."""

    @default_style()
    def slice(self, *names: str, objective: str | None = None) -> ReportFigure:
        """Draw the value of each trial against each hyperparameter.

        Args:
            *names: Names of hyperparameters; all that vary if none are given.
            objective: Name of an objective; the first one if None.
        """
        trials = self._trials(objective).with_score()
        shown = self._known(trials, names) or trials.varying()
        columns = min(COLUMNS, len(shown))
        rows = math.ceil(len(shown) / columns)
        width, height = columns * PANEL_WIDTH, rows * PANEL_HEIGHT
        figure = new_figure(width, height, rows=rows, columns=columns)
        for axes, name in zip(figure.axes, shown, strict=False):
            _draw_panel(axes, trials, name)
        for axes in figure.axes[len(shown) :]:
            axes.remove()
        figure.description = (
            f"{metric_label(trials.objective)} against {', '.join(shown)}, "
            f"{count(len(trials.trials), 'trial')}."
        )
        return figure

    @default_style()
    def parallel_coordinates(self, *names: str, objective: str | None = None) -> ReportFigure:
        """Draw each completed trial as a line through its hyperparameters and its value.

        Args:
            *names: Names of hyperparameters; the seven most important ones if none are given.
            objective: Name of an objective; the first one if None.
        """
        every = self._trials(objective)
        trials = every.with_score(completed=True)
        chosen = self._known(trials, names)
        if not chosen:
            varying = trials.varying()
            chosen = [name for name in every.importances() if name in varying][:MOST_COLUMNS]
        columns = {name: ValueAxis.of(trials.values(name)) for name in chosen}
        metric = metric_label(trials.objective.removeprefix("val_"))
        axes_of = [*columns.items(), (metric, ValueAxis.of(trials.scores.tolist()))]
        places = np.stack([axis.unit(axis.positions) for _, axis in axes_of])
        column = min(WIDEST_COLUMN, max(COLUMN_WIDTH, FIGURE_WIDTH / len(axes_of)))
        figure = new_figure(column * len(axes_of), FIGURE_HEIGHT)
        axes = figure.axes[0]
        x = np.arange(len(axes_of))
        for index, style in _worst_first(trials):
            axes.plot(x, places[:, index], marker="o", markersize=2.5, **style)
        for position, (_, axis) in enumerate(axes_of):
            axes.axvline(position, color=RULE, linewidth=1.0, zorder=0)
            for place, label in axis.unit_ticks():
                axes.annotate(
                    label,
                    (position, place),
                    xytext=(4, 2),
                    textcoords="offset points",
                    fontsize=FONT_SIZE,
                    color=MUTED,
                    parse_math=False,
                )
        length = int(NAME_LENGTH * column / COLUMN_WIDTH)
        axes.set_xticks(x, [shorten(name, length) for name, _ in axes_of], parse_math=False)
        axes.tick_params(
            axis="x", top=False, labeltop=True, bottom=False, labelbottom=False, length=0
        )
        axes.tick_params(axis="x", labelcolor=INK)
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_xlim(-0.3, len(axes_of) - 0.45)
        axes.set_ylim(-0.06, 1.1)
        figure.description = (
            f"{count(len(trials.trials), 'trial')} as lines through {', '.join(chosen)} and "
            f"{metric_label(trials.objective)}, the best 30% in blue."
        )
        return figure

    @default_style()
    def contour(self, a: str, b: str, *, objective: str | None = None) -> ReportFigure:
        """Draw the objective over two hyperparameters, interpolated between completed trials.

        Args:
            a: Name of a hyperparameter.
            b: Name of another one.
            objective: Name of an objective; the first one if None.
        """
        trials = self._trials(objective).with_score(completed=True)
        self._known(trials, (a, b))
        x, y = ValueAxis.of(trials.values(a)), ValueAxis.of(trials.values(b))
        both = np.isfinite(x.positions) & np.isfinite(y.positions)
        if a == b or any(len(np.unique(axis.positions[both])) < 2 for axis in (x, y)):
            raise SearchError(
                "A contour needs two hyperparameters that have at least two values each in the "
                f"completed trials that have both. Received: {a!r} and {b!r}, which "
                f"{count(int(both.sum()), 'trial')} have. See `slice`."
            )
        figure = new_figure(WIDTH, 1.15 * HEIGHT)
        axes = figure.axes[0]
        places = x.unit(x.positions[both]), y.unit(y.positions[both])
        scores = trials.scores[both]
        shades = LinearSegmentedColormap.from_list(
            "shades", SHADES if trials.maximise else SHADES[::-1]
        )
        # Raised for points on one line.
        with contextlib.suppress(RuntimeError, ValueError):
            axes.tricontourf(*places, scores, levels=LEVELS, cmap=shades)
        points = axes.scatter(
            *places, c=scores, s=18, cmap=shades, edgecolors="white", clip_on=False
        )
        bar = figure.colorbar(points, ax=axes, fraction=0.03, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(metric_label(trials.objective), fontsize=FONT_SIZE, color=MUTED)
        bar.ax.tick_params(labelsize=FONT_SIZE, color=RULE, labelcolor=MUTED)
        name_axes(axes, f"{metric_label(trials.objective)} by {a} and {b}", a)
        axes.set_ylabel(b, fontsize=FONT_SIZE, color=MUTED, parse_math=False)
        for axis, values in ((axes.xaxis, x), (axes.yaxis, y)):
            ticks = values.unit_ticks()
            axis.set_ticks([place for place, _ in ticks])
            axis.set_ticklabels([label for _, label in ticks], parse_math=False)
        axes.grid(visible=False)
        figure.description = f"{metric_label(trials.objective)} over {a} and {b}."
        return figure


def _draw_panel(axes: Axes, trials: ScoredTrials, name: str) -> None:
    axis = ValueAxis.of(trials.values(name))
    active = np.isfinite(axis.positions)
    if axis.log:
        use_log_scale(axes, "x")
    if spans_decades(trials.scores):
        use_log_scale(axes, "y")
    positions, scores = axis.positions, trials.scores
    axes.plot(positions[active], scores[active], "o", color=FAINT, markersize=4.5, alpha=0.75)
    best = trials.best
    if best is not None and active[best]:
        axes.plot(positions[best], scores[best], "o", color=BLUE, markersize=6.5)
    limits = (scores.min(), scores.max())
    axes.update_datalim([(positions[active][0], score) for score in limits])
    _set_ticks(axes, axis)
    axes.margins(x=0.12)
    name_axes(axes, shorten(name, 30), "")
    axes.tick_params(labelsize=FONT_SIZE, labelcolor=MUTED)


def _set_ticks(axes: Axes, axis: ValueAxis) -> None:
    """Put a tick at each value where the labels do not overlap, and at each category."""
    places = axis.distinct
    labels = [axis.label(position) for position in places]
    gap = np.diff(axis.unit(places)).min(initial=1.0)
    clear = gap >= max(map(len, labels)) / CHARACTERS_ACROSS
    if clear or axis.categories:
        tilt: dict[str, Any] = {"rotation": 30, "rotation_mode": "anchor", "ha": "right"}
        axes.set_xticks(places, labels, parse_math=False, **({} if clear else tilt))
        axes.minorticks_off()


def _worst_first(trials: ScoredTrials) -> list[tuple[int, dict[str, Any]]]:
    """Return (index, style of the line) of each trial, so that the best is drawn last."""
    order = np.argsort(trials.scores if trials.maximise else -trials.scores, kind="stable")
    good = max(1, round(GOOD * len(order)))
    others = {"color": FAINT, "linewidth": 0.8, "alpha": 0.45}
    better = {"color": BLUE, "linewidth": 1.2, "alpha": 0.6}
    best = {"color": BLUE, "linewidth": 2.6, "alpha": 1.0}
    styles = [others] * (len(order) - good) + [better] * (good - 1) + [best]
    return list(zip(order.tolist(), styles, strict=True))
