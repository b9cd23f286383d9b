"""The figures of a run: each module computes the content of a figure and draws it."""

from __future__ import annotations

from kt_tuning.report.figures.confusion import ConfusionFigure
from kt_tuning.report.figures.evaluation import ScoreFigures
from kt_tuning.report.figures.hyperparameters import HyperparameterFigures
from kt_tuning.report.figures.search_trials import TrialFigures


class Plots(TrialFigures, HyperparameterFigures, ConfusionFigure, ScoreFigures):
    """The figures of a run. Each method returns a matplotlib Figure, which a notebook displays.

    The report has the same figures. Pruned trials are shown with their best value, as in
    `results()`, except where a figure would compare it with those of full trainings. A
    hyperparameter that only some trials have is shown for these.

    If the data for a figure are missing, a SearchError is raised that says what to do.

    Args:
        run: A run directory, or the summary of one.
        objectives: (name, direction) of each objective of the search, the first one first;
            directions are "max" or "min". By default the objective that `search.json` names.
    """

    def __repr__(self) -> str:
        kinds = type(self).__mro__
        names = [name for kind in kinds for name in vars(kind) if not name.startswith("_")]
        return f"Plots({', '.join(names)})"
