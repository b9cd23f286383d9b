"""KerasTuner's arguments of a tuner, and its methods that subclasses override."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial
from keras_tuner.src.engine.tuner_utils import TunerCallback

from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import write_json
from kt_tuning.core.records import COMPLETED, TrialRecord
from kt_tuning.data import ImageData
from kt_tuning.execution import Work
from kt_tuning.recipe import Recipe
from kt_tuning.search.budget import default_epochs
from kt_tuning.search.distributed import is_worker
from kt_tuning.search.distributions import SearchSpace
from kt_tuning.search.objectives import objectives_of
from kt_tuning.search.options import check_arrays, check_validation, image_tasks, split_folds
from kt_tuning.search.recipe_hypermodel import HyperParameters
from kt_tuning.search.tuner_results import TunerResults
from kt_tuning.trials import (
    EPOCHS,
    Decision,
    KerasTask,
    Progress,
    Report,
    SharedCallback,
    Task,
    Training,
    TrialFiles,
    TrialSpec,
    best_epoch_of,
    describe_failure,
    has_own_fit,
    metrics_of,
    run_trial,
    weights_file,
)

EPOCH_HOOKS = ("on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end")
"""Methods that KerasTuner calls during a training, as (trial, model, epoch or batch, logs)."""
OVERRIDABLE = ("run_trial", *EPOCH_HOOKS, "_build_and_fit_model")
"""Methods whose overrides need the tuner itself: trials then run in its process."""


class NoHyperModel(keras_tuner.HyperModel):
    """Stands for the hypermodel of a tuner whose `run_trial` needs none."""

    def build(self, hp: keras_tuner.HyperParameters) -> None:
        """Build nothing."""


class OverridableTuner(TunerResults):
    """A tuner that trains trials by methods that subclasses may override, as in KerasTuner."""

    recipe: Recipe
    _epochs: int | None
    _limits: dict[str, float]
    _trainings: int
    _overridden_trials: _OverriddenTrials | None = None

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
        if self._overrides("_build_and_fit_model"):
            results: list[Any] = super().run_trial(trial, *args, **kwargs)
            return results
        data = args[0] if args and isinstance(args[0], ImageData) else None
        planned, fixed = self._planned_epochs(kwargs.pop("epochs", None), data)
        kwargs["callbacks"] = list(kwargs.get("callbacks") or [])
        if self._overrides(*EPOCH_HOOKS):
            kwargs["callbacks"].append(_EpochHooks(self, trial))
        parts = split_folds(data, self._folds, self.seed)
        tasks = self._tasks(parts, args, kwargs, fixed_epochs=fixed)
        running = self._overridden_trials or _OverriddenTrials(self, args, kwargs)
        spec = running.spec
        if spec is None:
            spec = self._spec(trial, number=0, epochs=planned)
        elif fixed and EPOCHS not in trial.hyperparameters.values:
            spec = dataclasses.replace(spec, epochs=planned)
        training = Training(spec, running.report, tasks, self.objectives)
        training.run()
        running.record = training.record()
        return training.results

    def _spec(self, trial: Trial, *, number: int, epochs: int) -> TrialSpec:
        """Return how a trial is trained without a deadline.

        Args:
            trial: KerasTuner's trial, with its configuration.
            number: Order of start, from 0.
            epochs: Epochs of a full training. KerasTuner's Hyperband sets those of each trial, and
                the trial whose weights are taken over.
        """
        values = trial.hyperparameters.values
        earlier = values.get("tuner/trial_id")
        return TrialSpec(
            trial_id=trial.trial_id,
            number=number,
            hp=trial.hyperparameters,
            epochs=values.get(EPOCHS, epochs),
            initial_epoch=values.get("tuner/initial_epoch", 0),
            origin=None if earlier is None else self._run.trial(earlier),
            seed=int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0]),
            directory=self._run.trial(trial.trial_id),
            executions=self.executions_per_trial,
            limits=self._limits,
        )

    def _overrides(self, *names: str) -> list[str]:
        """Return the methods of `names` that a subclass, or the instance, overrides."""
        return [
            name
            for name in names
            if name in vars(self)
            or getattr(type(self), name) is not getattr(OverridableTuner, name)
        ]

    def _work(
        self,
        workers: Any,
        tasks: Sequence[Task],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Work:
        """Return what runs trials, by the methods of a subclass if it overrides some.

        Args:
            workers: A number of processes, or a cluster.
            tasks: See `_tasks`.
            args: Positional arguments of `run_trial`, if it is overridden.
            kwargs: Its keyword arguments.

        Raises:
            OptionError: if methods are overridden, which need this process, and there are workers.
        """
        hooks = self._overrides(*OVERRIDABLE)
        if not hooks:
            return partial(run_trial, tasks=tasks, objectives=self.objectives)
        if workers != 1:
            raise OptionError(
                f"This tuner overrides {', '.join(hooks)}, which is called in this process: pass "
                f"workers=1. Received: workers={workers!r}"
            )
        self._overridden_trials = _OverriddenTrials(self, args, kwargs)
        return self._overridden_trials

    def _planned_epochs(self, epochs: int | None, data: ImageData | None) -> tuple[int, bool]:
        """Return the epochs of a full training, and whether they are passed to `fit`."""
        if data is None and self._follows_oracle:
            # KerasTuner's Hyperband sets the epochs of each trial itself.
            longest = getattr(self.oracle, "max_epochs", None)
            return longest or epochs or 1, epochs is not None
        return epochs or self._epochs or default_epochs(data), True

    def _tasks(
        self,
        parts: Sequence[ImageData],
        args: tuple[Any, ...],
        fit_kwargs: dict[str, Any],
        *,
        fixed_epochs: bool,
    ) -> list[Task]:
        """Return one task a fold for the arguments of `search`.

        Args:
            parts: The images as each fold splits them; empty for data of other kinds.
            args: Positional arguments of `search`.
            fit_kwargs: Keyword arguments that it does not take itself.
            fixed_epochs: Whether `fit` is told the epochs.

        Raises:
            OptionError: if there are no data, folds are requested of other data than images, or as
                `image_tasks` does.
        """
        hypermodel = self._searched
        objectives = [part.name for one in self.objectives for part in objectives_of(one)]
        if parts:
            return image_tasks(
                hypermodel,
                self.recipe,
                parts,
                args[1:],
                dict(fit_kwargs),
                objectives=objectives,
                defaults=self.get_default_hyperparameters(),
            )
        # A hypermodel's own `fit` may have the data itself.
        has_data = args or "x" in fit_kwargs or has_own_fit(hypermodel)
        if not has_data and not self._follows_oracle:
            raise OptionError("`search` needs data: an ImageData, or x and y as for keras' fit.")
        if self._folds is not None:
            raise OptionError(
                "`folds` needs an ImageData, which it can split: ImageData.from_arrays(x, y)."
            )
        if args or "x" in fit_kwargs:
            check_arrays(args[0] if args else fit_kwargs["x"])
        if has_data and not has_own_fit(hypermodel):
            check_validation(objectives, args, fit_kwargs)
        precision, fixed = self.recipe.precision, fixed_epochs
        return [KerasTask(hypermodel, args, fit_kwargs, precision=precision, fixed_epochs=fixed)]

    def get_default_hyperparameters(self) -> keras_tuner.HyperParameters:
        """Return the default configuration: trial 0 of most strategies."""
        space = self.oracle.get_space()
        space.values = SearchSpace(space.space).defaults()
        return space

    @property
    def project_dir(self) -> str:
        """The run directory, which KerasTuner's own property would make."""
        return str(self.run_directory)

    def reload(self) -> None:
        """Find the search space, where KerasTuner would use that of an earlier search.

        Earlier trials are read on first use.
        """
        self._populate_initial_space()

    def save(self) -> None:
        """Write the state of the search atomically."""
        if not is_worker():
            self.oracle.save()
        write_json(self._get_tuner_fname(), self.get_state())

    def _get_checkpoint_fname(self, trial_id: str) -> str:
        """Return where KerasTuner's own `run_trial` and `load_model` keep a trial's weights."""
        return str(weights_file(self._run.trial(trial_id), None))


class _EpochHooks(SharedCallback, TunerCallback):
    """Calls the tuner's `on_epoch_begin`, `on_epoch_end`, `on_batch_begin` and `on_batch_end`."""


class _OverriddenTrials:
    """Runs trials by a tuner's own `run_trial`, in this process, with the arguments of `search`."""

    def __init__(
        self, tuner: keras_tuner.Tuner, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self._tuner = tuner
        self._args = args
        self._kwargs = dict(kwargs)
        self.spec: TrialSpec | None = None
        self.report: Report = _always_continue
        self.record: TrialRecord | None = None

    def __call__(self, spec: TrialSpec, report: Report) -> TrialRecord:
        """Run one trial; the record is written as `result.json`.

        Raises:
            KtTuningError: if the cause is in the arguments or data.
            keras_tuner.errors.FatalError: if nothing can work, e.g. as `run_trial` returns None.
        """
        began = time.monotonic()
        trial = self._tuner.oracle.get_trial(spec.trial_id)
        trial.hyperparameters = HyperParameters.sharing(spec.hp)
        self.spec, self.record = spec, None

        def without_pause(progress: Progress) -> Decision:
            # What the subclass does after a training could not be repeated when it goes on.
            decision = report(progress)
            return Decision.CONTINUE if decision is Decision.PAUSE else decision

        self.report = without_pause
        status, message, epoch = COMPLETED, None, 0
        metrics: dict[str, float] = {}
        try:
            results = self._tuner.run_trial(trial, *self._args, **self._kwargs)
            metrics, epoch = self._measured(trial, results)
        except Exception as error:
            status, message = describe_failure(error, spec.directory)
        finally:
            self.spec, self.report = None, _always_continue
        seconds = time.monotonic() - began
        record = spec.record(
            status,
            metrics=metrics,
            best_epoch=epoch,
            seconds=round(seconds, 3),
            message=message,
            began=time.time() - seconds,
        )
        if (trained := self.record) is not None and status == COMPLETED:
            record = dataclasses.replace(
                trained,
                values=record.values,
                metrics={**trained.metrics, **metrics},
                seconds=max(trained.seconds, record.seconds),
            )
        return TrialFiles(spec.directory).end(record)

    def _measured(self, trial: Trial, results: Any) -> tuple[dict[str, float], int]:
        objective = self._tuner.oracle.objective
        if trial.metrics.exists(objective.name):
            warnings.warn(
                "Calling `self.oracle.update_trial(trial_id, metrics)` in `Tuner.run_trial()` is "
                "deprecated by KerasTuner. Please remove the call and return the metrics.",
                DeprecationWarning,
                stacklevel=2,
            )
            best = trial.metrics.get_best_step(objective.name) or 0
            names = trial.metrics.metrics
            return {name: trial.metrics.get_best_value(name) for name in names}, best
        metrics = metrics_of(results, objective, "Tuner.run_trial()")
        return metrics, best_epoch_of(results, objective)


def _always_continue(progress: Progress) -> Decision:
    """Continue a training outside a search."""
    return Decision.CONTINUE
