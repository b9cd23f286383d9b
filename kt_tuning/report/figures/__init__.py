"""The figures of a run: each module computes the content of a figure and draws it."""

from __future__ import annotations

from kt_tuning.report.figures.confusion import ConfusionFigure
from kt_tuning.report.figures.evaluation import ScoreFigures
from kt_tuning.report.figures.hyperparameters import HyperparameterFigures
from kt_tuning.report.figures.search_trials import TrialFigures


class Plots(TrialFigures, HyperparameterFigures, ConfusionFigure, ScoreFigures):
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

    def __repr__(self) -> str:
        kinds = type(self).__mro__
        names = [name for kind in kinds for name in vars(kind) if not name.startswith("_")]
        return f"Plots({', '.join(names)})"
