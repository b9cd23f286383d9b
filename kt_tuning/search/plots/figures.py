"""What a search has found, as figures: Optuna draws them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from kt_tuning.errors import OptionError, SearchError
from kt_tuning.evaluation import hyperparameter_importances
from kt_tuning.search.plots import details, style
from kt_tuning.search.plots.readable_study import CUT_SHORT, readable
from kt_tuning.search.study.open_study import OBJECTIVES
from kt_tuning.search.study.translation import VALUES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINES_THROUGH = 10
"""Hyperparameters in `parallel_coordinates`, if none are named."""


class Plots:
    """Draws a study. Each figure is a matplotlib Figure, which a notebook shows by itself.

    Trials without a value are left out: failed, infeasible and running ones. Pruned ones count
    with their best value, as in `results()`, except where a figure would compare it with those of
    full trainings. A hyperparameter that not every trial has is shown for those that have it.

    Args:
        study: Of an `OptunaOracle`, or from `study_of`.
        step: What trials reported a value after: an epoch, or one of several trainings.
    """

    def __init__(self, study: optuna.Study, *, step: str = "Epoch") -> None:
        self._study = study
        self._step = step

    def __repr__(self) -> str:
        names = [name for name in vars(type(self)) if not name.startswith("_")]
        return f"Plots({', '.join(names)})"

    def history(self, *, objective: str | None = None) -> Figure:
        """The value of each trial, and the best so far.

        Args:
            objective: The first one if None.

        Raises:
            SearchError: if no trial has a value.
            OptionError: if there is no such objective.
        """
        from optuna.visualization.matplotlib import plot_optimization_history

        study, name = self._single(objective)
        trials = _scored(study)
        with style.drawing():
            axes = plot_optimization_history(study, target_name=name)
            figure = style.finish(axes, f"Best {name} so far")
            details.history(axes, [CUT_SHORT in trial.user_attrs for trial in trials])
        return figure

    def importances(self, *, objective: str | None = None) -> Figure:
        """How much each hyperparameter tells the best 30% of the trials from all, as shares of 1.

        As in the report; see `hyperparameter_importances`. Of few trials it says little.

        Args:
            objective: The first one if None.

        Raises:
            SearchError: if there are no two trials with values that differ in a hyperparameter.
            OptionError: if there is no such objective.
        """
        import matplotlib.pyplot as plt

        study, name = self._single(objective)
        shares = self._importances(objective)
        if not shares:
            _varying(_scored(study))
        with style.drawing(height=1.2 + 0.26 * len(shares)):
            axes = plt.figure().subplots()
            figure = style.finish(axes, f"Importance for {name}")
            details.importances(axes, shares)
        return figure

    def slice(self, *names: str, objective: str | None = None) -> Figure:
        """The value of each trial by each of its hyperparameters; the darker, the later.

        Args:
            *names: Of hyperparameters; all that vary if there are none.
            objective: The first one if None.

        Raises:
            SearchError: if no trial has a value, or nothing varies.
            OptionError: if there is no such hyperparameter or objective.
        """
        from optuna.visualization.matplotlib import plot_slice

        study, name = self._single(objective)
        trials = _scored(study)
        chosen = _named(trials, names) or _varying(trials)
        with style.drawing():
            axes = plot_slice(study, chosen, target_name=name)
            figure = style.finish(axes, f"{name} by hyperparameter")
            details.slices(figure, axes, _pruned(trials), trials[-1].number)
        return figure

    def parallel_coordinates(self, *names: str, objective: str | None = None) -> Figure:
        """Each completed trial as a line through its hyperparameters.

        Args:
            *names: Of hyperparameters; the ten most important ones if there are none.
            objective: The first one if None.

        Raises:
            SearchError: if no trial has completed, or nothing varies.
            OptionError: if there is no such hyperparameter or objective.
        """
        from optuna.visualization.matplotlib import plot_parallel_coordinate

        study, name = self._single(objective, pruned=False)
        trials = _scored(study)
        chosen = _named(trials, names) or self._most_important(objective, trials)
        with style.drawing(width=max(style.WIDTH, 1.5 + 0.8 * len(chosen)), height=4.8):
            axes = plot_parallel_coordinate(study, chosen, target_name=name)
            figure = style.finish(axes, f"{name} and hyperparameters")
            maximise = study.direction == StudyDirection.MAXIMIZE
            details.parallel(figure, axes, sorted(chosen), maximise=maximise)
        return figure

    def intermediate_values(self) -> Figure:
        """The objective of each trial after each epoch, or training, that it reported.

        Raises:
            SearchError: if none did.
        """
        from optuna.visualization.matplotlib import plot_intermediate_values

        study, name = self._single(None)
        trials = study.get_trials(deepcopy=False)
        if not any(trial.intermediate_values for trial in trials):
            raise SearchError(
                "No trial has reported a value before its end. With several objectives none does: "
                "see `history()` of the tuner."
            )
        scored = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        with style.drawing():
            axes = plot_intermediate_values(study)
            figure = style.finish(axes, f"{name} by {self._step.lower()}")
            axes.set(xlabel=self._step, ylabel=name)
            details.curves(axes, _pruned(scored), study.best_trial.number if scored else None)
        return figure

    def pareto(self) -> Figure:
        """The trials by two or three objectives, and the front: those that no other one dominates.

        Raises:
            SearchError: if no trial has a value.
            OptionError: if the search has another number of objectives.
        """
        from optuna.visualization.matplotlib import plot_pareto_front

        names = self._objectives
        if len(names) not in (2, 3):
            raise OptionError(
                "A Pareto front is drawn of 2 or 3 objectives. Received: a search for "
                f"{', '.join(names)}."
            )
        study = readable(self._study)
        _scored(study)
        with style.drawing(width=6.5, height=4.5):
            axes = plot_pareto_front(study, target_names=names)
            figure = style.finish(axes, "Pareto front")
            details.pareto(axes)
        return figure

    def contour(self, a: str, b: str, *, objective: str | None = None) -> Figure:
        """The value over two hyperparameters, interpolated between the completed trials.

        Args:
            a: Name of a hyperparameter.
            b: Name of another one.
            objective: The first one if None.

        Raises:
            SearchError: if no two completed trials have both and differ in them.
            OptionError: if there is no such hyperparameter or objective.
        """
        from optuna.visualization.matplotlib import plot_contour

        study, name = self._single(objective, pruned=False)
        trials = _scored(study)
        _named(trials, (a, b))
        both = [trial for trial in trials if a in trial.params and b in trial.params]
        if a == b or not {a, b} <= set(_several_valued(both)):
            raise SearchError(
                "A contour needs two hyperparameters that completed trials have both and differ "
                f"in. Received: {a!r} and {b!r}, which {len(both)} trials have. See `slice`."
            )
        with style.drawing(width=6.5, height=4.5):
            axes = plot_contour(study, [a, b], target_name=name)
            figure = style.finish(axes, f"{name} by {a} and {b}")
            details.contour(figure)
        return figure

    @property
    def _objectives(self) -> list[str]:
        return [name for name, _ in self._study.user_attrs[OBJECTIVES]]

    def _single(self, objective: str | None, *, pruned: bool = True) -> tuple[optuna.Study, str]:
        """The trials by one objective, and its name."""
        names = self._objectives
        name = names[0] if objective is None else objective
        if name not in names:
            raise OptionError(f"No such objective: {objective!r}. Known: {', '.join(names)}.")
        return readable(self._study, names.index(name), pruned=pruned), name

    def _importances(self, objective: str | None) -> dict[str, float]:
        """The share of each hyperparameter, by the values and scores of all trials with a score."""
        study, _ = self._single(objective)
        trials = [(trial.user_attrs[VALUES], trial.values[0]) for trial in _scored(study)]
        maximise = study.direction == StudyDirection.MAXIMIZE
        return hyperparameter_importances(trials, maximise=maximise)

    def _most_important(self, objective: str | None, shown: list[FrozenTrial]) -> list[str]:
        """Of what varies in the trials that are shown, as far as all trials tell."""
        names = _varying(shown)
        if len(names) <= LINES_THROUGH:
            return names
        ranked = [
            name
            for share in self._importances(objective)
            for name in names
            if name == share or name.startswith(f"{share} [")
        ]
        return ranked[:LINES_THROUGH]


def _scored(study: optuna.Study) -> list[FrozenTrial]:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not trials:
        raise SearchError("No trial has completed yet: call `search` first.")
    return trials


def _pruned(trials: Iterable[FrozenTrial]) -> set[int]:
    return {trial.number for trial in trials if CUT_SHORT in trial.user_attrs}


def _known(trials: Iterable[FrozenTrial]) -> list[str]:
    return sorted({name for trial in trials for name in trial.params})


def _several_valued(trials: Iterable[FrozenTrial]) -> list[str]:
    values: dict[str, set[object]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            values.setdefault(name, set()).add(value)
    return sorted(name for name, seen in values.items() if len(seen) > 1)


def _varying(trials: list[FrozenTrial]) -> list[str]:
    """Names of the hyperparameters that tell trials apart."""
    names = _several_valued(trials)
    if not names:
        raise SearchError(
            "This needs at least two completed trials that differ in a hyperparameter. Received: "
            f"{len(trials)}. Let the search go on."
        )
    return names


def _named(trials: Iterable[FrozenTrial], names: tuple[str, ...]) -> list[str]:
    """The study's parameters of these names: one with other ranges in other scopes is several."""
    known = _known(trials)
    found: list[str] = []
    for name in names:
        scopes = [one for one in known if one == name or one.startswith(f"{name} [")]
        if not scopes:
            raise OptionError(
                f"No completed trial has a hyperparameter {name!r}. Known: {', '.join(known)}."
            )
        found += scopes
    return sorted(set(found))
