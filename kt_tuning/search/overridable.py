"""The methods of a tuner that subclasses override, as in KerasTuner."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
from keras_tuner.engine.trial import Trial

from kt_tuning.core.errors import OptionError
from kt_tuning.data import ImageData
from kt_tuning.search.auto import AUTO
from kt_tuning.search.data_tasks import make_tasks, split_folds
from kt_tuning.search.keras_tuner_api import (
    EPOCH_HOOKS,
    OVERRIDABLE,
    EpochHooks,
    NoHyperModel,
    OverriddenTrials,
    always_continue,
    overridden,
    specify_alone,
)
from kt_tuning.search.objectives import objectives_of
from kt_tuning.search.tuner_results import TunerResults
from kt_tuning.trials import EPOCHS, Task, train_trial, weights_file

DEFAULT_EPOCHS = 30
"""Epochs of a full training if none are given."""


class OverridableTuner(TunerResults):
    """A tuner that trains trials by methods that subclasses may override, as in KerasTuner."""

    _epochs: int | None
    _folds: int | None
    _overridden_trials: OverriddenTrials | None = None

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> list[Any]:
        """Train one configuration; for subclasses to override, as in KerasTuner.

        An override may return a `keras.callbacks.History`, a number, a dict of metrics, or a list
        of these. It runs in this process.

        Args:
            trial: Its `hyperparameters` have the values.
            *args: Positional arguments of `search`.
            **kwargs: Keyword arguments of `search` that `fit` takes.

        Returns:
            What `HyperModel.fit` returned, for each execution.
        """
        if overridden(self, OverridableTuner, ("_build_and_fit_model",)):
            results: list[Any] = super().run_trial(trial, *args, **kwargs)
            return results
        data = args[0] if args and isinstance(args[0], ImageData) else None
        epochs = kwargs.pop("epochs", None)
        planned, fixed = self._planned_epochs(epochs, data)
        kwargs["callbacks"] = list(kwargs.get("callbacks") or [])
        if overridden(self, OverridableTuner, EPOCH_HOOKS):
            kwargs["callbacks"].append(EpochHooks(self, trial))
        tasks = self._tasks(
            split_folds(data, self._folds, self.seed), args, kwargs, fixed_epochs=fixed
        )
        running = self._overridden_trials
        if running is None or running.spec is None:
            spec = specify_alone(trial, self._run, self._options, planned)
            return train_trial(spec, always_continue, tasks=tasks, objectives=self.objectives)[0]
        spec = running.spec
        if fixed and EPOCHS not in trial.hyperparameters.values:
            spec = dataclasses.replace(spec, epochs=planned)
        results, running.record = train_trial(
            spec, running.report, tasks=tasks, objectives=self.objectives
        )
        return results

    def _overridden_methods(self, workers: Any) -> list[str]:
        """Return the names of the overridden methods, which need this process.

        Raises:
            OptionError: if there are some and trials run elsewhere.
        """
        hooks = overridden(self, OverridableTuner, OVERRIDABLE)
        if hooks and workers != 1:
            raise OptionError(
                f"This tuner overrides {', '.join(hooks)}, which is called in this process: pass "
                f"workers=1. Received: workers={workers!r}"
            )
        return hooks

    def _run_overridden(
        self,
        args: tuple[Any, ...],
        epochs: int | None,
        callbacks: list[keras.callbacks.Callback] | None,
        fit_kwargs: dict[str, Any],
    ) -> OverriddenTrials:
        """Return what runs trials by the overridden methods, with the arguments of `search`."""
        passed = {name: value for name, value in fit_kwargs.items() if name != "callbacks"}
        if callbacks is not None:
            passed["callbacks"] = callbacks
        if epochs is not None:
            passed = {"epochs": epochs, **passed}
        self._overridden_trials = OverriddenTrials(self, args, passed)
        return self._overridden_trials

    def _planned_epochs(self, epochs: int | None, data: ImageData | None) -> tuple[int, bool]:
        """Return the epochs of a full training, and whether they are passed to `fit`."""
        if data is None and self._follows_oracle:
            # KerasTuner's Hyperband sets the epochs of each trial itself.
            longest = getattr(self.oracle, "max_epochs", None)
            return longest or epochs or 1, epochs is not None
        return epochs or self._epochs or DEFAULT_EPOCHS, True

    def _default_hypermodel(self) -> Any:
        if overridden(self, OverridableTuner, ("run_trial",)):
            return NoHyperModel()
        if self._follows_oracle:
            raise OptionError(
                "Received `hypermodel=None`. It is needed unless a subclass overrides "
                "`Tuner.run_trial()`."
            )
        return AUTO

    def _get_checkpoint_fname(self, trial_id: str) -> str:
        """Return where KerasTuner's own `run_trial` and `load_model` keep a trial's weights."""
        return str(weights_file(self._run.trial(trial_id), None))

    def _tasks(
        self,
        parts: Sequence[ImageData],
        args: tuple[Any, ...],
        fit_kwargs: dict[str, Any],
        *,
        fixed_epochs: bool,
    ) -> list[Task]:
        """Return one task a fold."""
        return make_tasks(
            self._searched,
            parts,
            args,
            dict(fit_kwargs),
            folds=self._folds,
            fixed_epochs=fixed_epochs,
            needs_data=not self._follows_oracle,
            objectives=[part.name for one in self.objectives for part in objectives_of(one)],
            defaults=self.get_default_hyperparameters(),
        )
