"""All figures of a run: `tuner.plot`, and those of the report."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

from kt_tuning.core.errors import OptionError
from kt_tuning.report.figures.confusion import draw_confusion
from kt_tuning.report.figures.evaluation import (
    draw_attacks,
    draw_confidence,
    draw_corruptions,
    draw_precision_recall,
    draw_reliability,
    draw_roc,
)
from kt_tuning.report.figures.hyperparameters import (
    MOST_COLUMNS,
    draw_contour,
    draw_parallel_coordinates,
    draw_slices,
)
from kt_tuning.report.figures.scored_trials import ScoredTrials
from kt_tuning.report.figures.search_trials import (
    draw_history,
    draw_importances,
    draw_intermediate_values,
    draw_losses,
    draw_pareto,
)
from kt_tuning.report.figures.style import ReportFigure
from kt_tuning.report.run_summary import RunSummary, load_run


class Plots:
    """The figures of a run. Each is a matplotlib Figure that a notebook shows by itself.

    The report has the same figures. Pruned trials count with their best value, as in `results()`,
    except where a figure would compare it with those of full trainings. A hyperparameter that not
    every trial has is shown for those that have it.

    A figure whose content is not there yet raises a SearchError that says what to do.

    Args:
        run: A run directory, or the summary of one.
        objectives: (name, direction) of each objective of the search, the first one first;
            directions are "max" or "min". By default the objective that `search.json` names.
    """

    def __init__(
        self, run: RunSummary | str | Path, *, objectives: Sequence[tuple[str, str]] = ()
    ) -> None:
        self._source = run
        self._asked = tuple(objectives)

    def __repr__(self) -> str:
        names = [name for name in vars(type(self)) if not name.startswith("_")]
        return f"Plots({', '.join(names)})"

    def history(self, *, objective: str | None = None) -> ReportFigure:
        """Draw the value of each trial in order of start, and the best so far.

        Args:
            objective: Name of an objective; the first one if None.
        """
        return draw_history(self._trials(objective))

    def importances(self, *, objective: str | None = None) -> ReportFigure:
        """Draw how well each hyperparameter alone tells the best 30% of the trials from all.

        Shares of 1, by PED-ANOVA; see `kt_tuning.evaluation.hyperparameter_importances`. Of few
        trials they say little.

        Args:
            objective: Name of an objective; the first one if None.
        """
        return draw_importances(self._trials(objective))

    def slice(self, *names: str, objective: str | None = None) -> ReportFigure:
        """Draw the value of each trial against each hyperparameter.

        Args:
            *names: Hyperparameters; all that vary if there are none.
            objective: Name of an objective; the first one if None.
        """
        trials = self._trials(objective).with_score()
        return draw_slices(trials, _known(trials, names) or trials.varying())

    def parallel_coordinates(self, *names: str, objective: str | None = None) -> ReportFigure:
        """Draw each completed trial as a line through its hyperparameters and its value.

        Args:
            *names: Hyperparameters; the seven most important ones if there are none.
            objective: Name of an objective; the first one if None.
        """
        every = self._trials(objective)
        trials = every.with_score(completed=True)
        chosen = _known(trials, names)
        if not chosen:
            varying = trials.varying()
            chosen = [name for name in every.importances() if name in varying][:MOST_COLUMNS]
        return draw_parallel_coordinates(trials, chosen)

    def intermediate_values(self) -> ReportFigure:
        """Draw the first objective of each trial by epoch."""
        return draw_intermediate_values(self._run)

    def losses(self) -> ReportFigure:
        """Draw training and validation loss of the best trial by epoch."""
        return draw_losses(self._run)

    def pareto(self) -> ReportFigure:
        """Draw the trials by two or three objectives, and those that no other one dominates."""
        return draw_pareto(self._run, self._objectives)

    def contour(self, a: str, b: str, *, objective: str | None = None) -> ReportFigure:
        """Draw the value over two hyperparameters, interpolated between the completed trials.

        Args:
            a: Name of a hyperparameter.
            b: Name of another one.
            objective: Name of an objective; the first one if None.
        """
        trials = self._trials(objective).with_score(completed=True)
        _known(trials, (a, b))
        return draw_contour(trials, a, b)

    def confusion(self) -> ReportFigure:
        """Draw the confusion matrix, of the test split or, before evaluation, of validation.

        Blue is right, orange is mistaken; counts are printed for up to 20 classes.
        """
        return draw_confusion(self._run)

    def roc(self) -> ReportFigure:
        """Draw the ROC curve of each class on the test split, the hardest one in orange."""
        return draw_roc(self._run)

    def precision_recall(self) -> ReportFigure:
        """Draw precision by recall of each class on the test split, the hardest one in orange."""
        return draw_precision_recall(self._run)

    def reliability(self) -> ReportFigure:
        """Draw the accuracy of predictions by their confidence."""
        return draw_reliability(self._run)

    def confidence(self) -> ReportFigure:
        """Draw the share of the images by the confidence of their predictions."""
        return draw_confidence(self._run)

    def corruptions(self) -> ReportFigure:
        """Draw the score on corrupted test images by severity."""
        return draw_corruptions(self._run)

    def attacks(self) -> ReportFigure:
        """Draw the accuracy under attack by the largest change of a pixel."""
        return draw_attacks(self._run)

    @functools.cached_property
    def _run(self) -> RunSummary:
        source = self._source
        return source if isinstance(source, RunSummary) else load_run(source)

    @property
    def _objectives(self) -> tuple[tuple[str, str], ...]:
        search = self._run.search
        return self._asked or ((search.objective, search.direction),)

    def _trials(self, objective: str | None) -> ScoredTrials:
        directions = dict(self._objectives)
        name = self._objectives[0][0] if objective is None else objective
        if name not in directions:
            raise OptionError(f"No such objective: {name!r}. Known: {', '.join(directions)}.")
        return ScoredTrials.of(self._run, name, directions[name])


def _known(trials: ScoredTrials, names: Iterable[str]) -> list[str]:
    known = {name for trial in trials.trials for name in trial.record.values}
    for name in names:
        if name not in known:
            raise OptionError(
                f"No completed trial has a hyperparameter {name!r}. "
                f"Known: {', '.join(sorted(known))}."
            )
    return list(dict.fromkeys(names))
