"""One interface to all oracles: `OptunaOracle` and every oracle of KerasTuner."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage

from kt_tuning.errors import OptionError, SearchError
from kt_tuning.records import FAILED
from kt_tuning.search.distributions import Value
from kt_tuning.search.options import Objectives, find_objectives
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.proposer import Restriction
from kt_tuning.search.rungs import AshaPruner, HalvingRule, RungScores
from kt_tuning.trials import Progress

Source = optuna.Study | str | Path


class OracleAdapter:
    """What a search needs of its oracle; this one works with every oracle of KerasTuner.

    Args:
        oracle: The oracle, or the client of an oracle in another process.

    Attributes:
        oracle: The same.
        keeps_study: Whether the oracle keeps an Optuna study, which `enqueue`, `warm_start` and
            restricted or perturbed configurations need.
        shared: Whether other processes may run trials of the same study.
        storage: Where the study is kept; None for the run directory, or if there is no study.
        default_never_pauses: Whether trial 0 is trained to its end.
        ends_near_best: Whether the last trials of a limited time should perturb the best one.
    """

    keeps_study = False
    shared = False
    storage: str | Path | BaseStorage | None = None
    default_never_pauses = False
    ends_near_best = False

    def __init__(self, oracle: Any) -> None:
        self.oracle = oracle

    @property
    def kind(self) -> str:
        """Name of the kind of oracle in the definition of a search."""
        return type(self.oracle).__name__

    def check_overwrite(self, project_name: str) -> None:
        """Refuse to delete an earlier search that other processes share.

        Raises:
            OptionError: if they do.
        """
        if self.shared:
            raise OptionError(
                "`overwrite` would delete the files of other processes of a shared search, but "
                "not their study. Choose another project_name, or delete the study by `optuna "
                f"delete-study --study-name {project_name}` and the run directory yourself."
            )

    def prepare(self, *, ignore_earlier: bool, warm_start: Source | None) -> None:
        """Set what the study begins with. Nothing is written.

        Args:
            ignore_earlier: Whether trials in the project directory are about to be deleted.
            warm_start: An earlier search to learn from when the study is opened, or None.

        Raises:
            OptionError: if the earlier search had other objectives.
            StorageError: if there is no such search.
            SearchError: if `warm_start` needs a study and the oracle keeps none.
        """
        if warm_start is not None:
            self._refuse("warm_start")

    def restore(self, directory: Path) -> None:
        """Take up the trials in a run directory, in the space as it is now."""
        if (directory / "oracle.json").exists():
            space = self.oracle.get_space()
            self.oracle.reload()
            space.merge(self.oracle.hyperparameters, overwrite=False)
            self.oracle.hyperparameters = space

    def open(self) -> None:
        """Open the study, if the oracle keeps one."""

    @property
    def study(self) -> optuna.Study:
        """The study.

        Raises:
            SearchError: if the oracle keeps none.
        """
        self._refuse("study")

    def known_trials(self) -> Collection[str] | None:
        """Ids of all trials in the run directory; None if other processes may add some."""
        return None

    def enqueue(self, values: Mapping[str, Value]) -> None:
        """Try a configuration next, see `OptunaOracle.enqueue`.

        Raises:
            SearchError: if the oracle keeps no study.
        """
        self._refuse("enqueue")

    def note(self, name: str, content: Any) -> None:
        """Keep an attribute in the study, if there is one."""

    def lock(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Exclude other processes that share the study from blocks of the same name."""
        return contextlib.nullcontext()

    def create_trial(
        self, slot: str, *, near: str | None = None, restriction: Restriction | None = None
    ) -> Trial:
        """Return the next trial, see `OptunaOracle.create_trial`; stock oracles know no hints."""
        return self.oracle.create_trial(slot)

    def halving_rule(self, epochs: int, seconds: float | None) -> HalvingRule | None:
        """When trials pause; None if they do not.

        Args:
            epochs: Epochs of a full training.
            seconds: Time limit of the search times the number of workers, or None.
        """
        return None

    def other_scores(self) -> dict[str, RungScores]:
        """Scores of the trials that other processes run, by trial."""
        return {}

    def report(self, trial_id: str, progress: Progress, *, prune: bool) -> bool:
        """Record the objective of a step; return whether the trial continues."""
        return True

    def rank(self, trial_id: str, rung: int, value: float) -> None:
        """Let the sampler learn from a trial that has reached a rung."""

    def neighbours(self) -> set[str]:
        """Ids of the trials that perturb another trial."""
        return set()

    def cut_short(self, trial_id: str) -> None:
        """Count a running trial as pruned when it ends."""

    def retry_failed(self, exclude: Collection[str]) -> list[str]:
        """Return the trials that failed before now, and hand them out again before new ones.

        Args:
            exclude: Ids of trials that stay failed.
        """
        oracle = self.oracle
        ended = [(name, oracle.trials[name].status) for name in oracle.end_order]
        failed = [
            name for name, status in ended if status == TrialStatus.FAILED and name not in exclude
        ]
        oracle.end_order = [name for name in oracle.end_order if name not in failed]
        # KerasTuner takes the last element first.
        oracle._retry_queue += reversed(failed)
        return failed

    def failed_attempts(self, trial_id: str) -> int | None:
        """Earlier attempts of a trial that failed; None if the oracle does not count them."""
        return None

    def failure(self, status: str) -> str:
        """The status by which the oracle knows a trial without a score."""
        return FAILED

    def _refuse(self, action: str) -> NoReturn:
        raise SearchError(
            f"A {type(self.oracle).__name__} keeps no Optuna study, which `{action}` needs. "
            "Use a strategy by name."
        )


class OptunaAdapter(OracleAdapter):
    """The interface to an `OptunaOracle`."""

    keeps_study = True
    oracle: OptunaOracle

    def __init__(self, oracle: OptunaOracle) -> None:
        super().__init__(oracle)
        self.shared = oracle.shared
        self.storage = oracle.storage
        self.default_never_pauses = oracle.default_never_pauses
        self.ends_near_best = oracle.ends_near_best
        self._warm_start: Source | None = None

    @property
    def kind(self) -> str:
        """Name of the kind of oracle in the definition of a search."""
        return "optuna"

    def prepare(self, *, ignore_earlier: bool, warm_start: Source | None) -> None:  # noqa: D102
        self.oracle.ignores_earlier = ignore_earlier
        self._warm_start = warm_start
        if warm_start is not None:
            self.oracle.check_source(warm_start)

    def restore(self, directory: Path) -> None:
        """Do nothing: the study is read when it is opened."""

    def open(self) -> None:
        """Open the study and warm-start it once."""
        self.oracle.ignores_earlier = False
        self.oracle.reload()
        if self._warm_start is not None:
            self.oracle.warm_start(self._warm_start)
            self._warm_start = None

    @property
    def study(self) -> optuna.Study:  # noqa: D102
        return self.oracle.study

    def known_trials(self) -> Collection[str] | None:  # noqa: D102
        return None if self.shared else self.oracle.trials

    def enqueue(self, values: Mapping[str, Value]) -> None:  # noqa: D102
        self.oracle.enqueue(values)

    def note(self, name: str, content: Any) -> None:  # noqa: D102
        self.oracle.note(name, content)

    def lock(self, name: str) -> contextlib.AbstractContextManager[None]:  # noqa: D102
        return self.oracle.lock(name) if self.shared else contextlib.nullcontext()

    def create_trial(  # noqa: D102
        self, slot: str, *, near: str | None = None, restriction: Restriction | None = None
    ) -> Trial:
        return self.oracle.create_trial(slot, near, restriction)

    def halving_rule(self, epochs: int, seconds: float | None) -> HalvingRule | None:  # noqa: D102
        objectives = self.oracle.objectives
        if len(objectives) > 1 or not isinstance(self.oracle.pruner, AshaPruner):
            return None
        maximise = objectives[0].direction == "max"
        return HalvingRule.of(epochs, maximise=maximise, seconds=seconds)

    def other_scores(self) -> dict[str, RungScores]:  # noqa: D102
        return self.oracle.other_scores()

    def report(self, trial_id: str, progress: Progress, *, prune: bool) -> bool:  # noqa: D102
        assert progress.step is not None
        return self.oracle.report(trial_id, progress.step, progress.value, prune=prune)

    def rank(self, trial_id: str, rung: int, value: float) -> None:  # noqa: D102
        self.oracle.rank(trial_id, rung, value)

    def neighbours(self) -> set[str]:  # noqa: D102
        return self.oracle.neighbours()

    def cut_short(self, trial_id: str) -> None:  # noqa: D102
        self.oracle.cut_short(trial_id)

    def retry_failed(self, exclude: Collection[str]) -> list[str]:  # noqa: D102
        return self.oracle.retry_failed(exclude=exclude)

    def failed_attempts(self, trial_id: str) -> int | None:  # noqa: D102
        return self.oracle.failures(trial_id)

    def failure(self, status: str) -> str:
        """The status itself: the oracle knows "INFEASIBLE" as well."""
        return status


def make_adapter(
    strategy: str | BaseSampler | keras_tuner.Oracle, *, objective: Objectives, **options: Any
) -> OracleAdapter:
    """Return the adapter of a strategy.

    Args:
        strategy: A name, a sampler of Optuna or an oracle; see `Tuner`.
        objective: One or several, see `find_objectives`; an oracle has its own.
        **options: Arguments of `OptunaOracle`.

    Raises:
        OptionError: if an argument is wrong.
    """
    if not isinstance(strategy, (str, BaseSampler)):
        return adapt(strategy)
    found = find_objectives(objective)
    return adapt(OptunaOracle(strategy, objective=found if len(found) > 1 else found[0], **options))


@functools.singledispatch
def adapt(oracle: Any) -> OracleAdapter:
    """Return the adapter of an oracle.

    Raises:
        OptionError: if `oracle` is no oracle.
    """
    if not hasattr(oracle, "create_trial"):
        raise OptionError(
            "`strategy` is a name in STRATEGIES, a sampler of Optuna or a keras_tuner.Oracle. "
            f"Received: {oracle!r}"
        )
    return OracleAdapter(oracle)


@adapt.register
def _(oracle: OptunaOracle) -> OracleAdapter:
    return OptunaAdapter(oracle)
