"""How much each hyperparameter tells good trials from the others."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kt_tuning.errors import StorageError
from kt_tuning.palette import BLUE, INK
from kt_tuning.report.figures.style import (
    FONT_SIZE,
    default_style,
    name_axes,
    new_figure,
    spans_decades,
)
from kt_tuning.report.load import as_summary
from kt_tuning.report.summary import RunSummary, TrialRun
from kt_tuning.report.text import metric_label, percent, shorten

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

WIDTH, ROW_HEIGHT = 420, 24
MOST_BARS = 12
NAME_LENGTH = 24
FEWEST_TRIALS = 6
"""The best 30% of fewer are a single trial, which tells nothing."""
GOOD = 0.3
"""Share of the trials that are told from all: as in `tuner.plot.importances()`."""


@dataclasses.dataclass(frozen=True)
class ImportancesData:
    """What is plotted.

    Attributes:
        objective: Name of the objective.
        shares: Hyperparameter -> its share of the importance, the largest first; they sum to 1.
    """

    objective: str
    shares: dict[str, float]

    @property
    def description(self) -> str:
        """The figure in words, for readers who do not see it."""
        listed = ", ".join(
            f"{name} {percent(share)}" for name, share in list(self.shares.items())[:5]
        )
        return f"Importance of hyperparameters for {metric_label(self.objective)}: {listed}."


def importances_data(run: RunSummary) -> ImportancesData | None:
    """Compute what `draw_importances` draws; None if there are too few trials, or nothing varies.

    By PED-ANOVA, which knows what to make of conditional hyperparameters (Watanabe, Bansal and
    Hutter, 2023, https://arxiv.org/abs/2304.10255), over the ranges that were tried.
    """
    scored = [trial for trial in run.trials if np.isfinite(trial.score)]
    spaces = _distributions(scored)
    if len(scored) < FEWEST_TRIALS or not spaces:
        return None
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    with _quiet():
        study = optuna.create_study(
            direction="maximize" if run.search.direction == "max" else "minimize"
        )
        study.add_trials([_frozen(trial, spaces) for trial in scored])
        evaluator = PedAnovaImportanceEvaluator(target_quantile=GOOD)
        found = get_param_importances(study, evaluator=evaluator, params=list(spaces))
    shares = dict(sorted(found.items(), key=lambda item: -item[1]))
    return ImportancesData(run.search.objective, shares)


def _distributions(trials: list[TrialRun]) -> dict[str, BaseDistribution]:
    """Return where the values of each hyperparameter that varies lie."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values: dict[str, list[Any]] = {}
    for trial in trials:
        for name, value in trial.record.values.items():
            values.setdefault(name, []).append(value)
    spaces: dict[str, BaseDistribution] = {}
    for name, seen in values.items():
        if name.startswith("tuner/"):
            continue  # Hyperband's bookkeeping
        if all(_is_number(value) for value in seen):
            low, high = float(min(seen)), float(max(seen))
            if low < high:
                spaces[name] = FloatDistribution(low, high, log=spans_decades(seen))
        elif len(names := sorted({str(value) for value in seen})) > 1:
            spaces[name] = CategoricalDistribution(names)
    return spaces


def _frozen(trial: TrialRun, spaces: dict[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    import optuna
    from optuna.distributions import CategoricalDistribution

    active = {name: space for name, space in spaces.items() if name in trial.record.values}
    return optuna.create_trial(
        params={
            name: str(trial.record.values[name])
            if isinstance(space, CategoricalDistribution)
            else float(trial.record.values[name])
            for name, space in active.items()
        },
        distributions=active,
        value=trial.score,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what Optuna says of a new study and of few trials."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)


def natural_height(data: ImportancesData) -> int:
    """Height in CSS pixels at which the bars are easily read."""
    return 60 + ROW_HEIGHT * min(len(data.shares), MOST_BARS)


def draw_importances(axes: Axes, data: ImportancesData) -> None:
    """Draw the data on `axes`, a bar a hyperparameter."""
    shares = list(data.shares.items())[:MOST_BARS]
    rows = np.arange(len(shares))
    axes.barh(rows, [share for _, share in shares], color=BLUE, height=0.6)
    for row, (_, share) in zip(rows, shares, strict=True):
        axes.annotate(
            percent(share),
            (share, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_SIZE,
            color=INK,
        )
    names = [shorten(name, NAME_LENGTH) for name, _ in shares]
    axes.set_yticks(rows, names, parse_math=False)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.margins(x=0.12)
    axes.grid(visible=False)
    title = f"Importance for {metric_label(data.objective)}"
    name_axes(axes, title, "Share")


@default_style()
def plot_importances(run: RunSummary | str | Path) -> Figure:
    """Plot how much each hyperparameter tells the best 30% of the trials from all.

    Args:
        run: A run directory, or what `load_run` read from one.

    Returns:
        A figure that is not registered with pyplot.

    Raises:
        StorageError: if the directory is no run directory, or holds too few trials.
    """
    data = importances_data(as_summary(run))
    if data is None:
        raise StorageError(
            f"Importances need {FEWEST_TRIALS} trials with a score that differ in a "
            "hyperparameter. Received a run with fewer; let the search go on."
        )
    figure = new_figure(WIDTH, natural_height(data))
    draw_importances(figure.axes[0], data)
    return figure
