"""Finished trials of a run by one of its objectives; the run of some figures."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.records import COMPLETED, TrialRecord
from kt_tuning.evaluation.importances import BOOKKEEPING, hyperparameter_importances
from kt_tuning.report.run_summary import FloatArray, RunSummary, load_run


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredTrials:
    """Trials and their scores, in order of start.

    Attributes:
        objective: Name of the metric that is the score.
        maximise: Whether a higher score is better.
        trials: The trials.
        scores: (trials,) the metric at the best epoch; not-a-number where a trial has none.
    """

    objective: str
    maximise: bool
    trials: tuple[TrialRecord, ...]
    scores: FloatArray

    @classmethod
    def of(cls, run: RunSummary, objective: str, direction: str) -> Self:
        """Return all finished trials of a run."""
        if not run.trials:
            raise SearchError("No trial has finished yet: call `search` first.")
        scores = [
            trial.metrics.get(objective, np.nan) if trial.usable else np.nan for trial in run.trials
        ]
        return cls(objective, direction == "max", run.trials, np.array(scores, dtype=float))

    def with_score(self, *, completed: bool = False) -> Self:
        """Return the trials that have a score."""
        kept = np.isfinite(self.scores)
        if completed:
            kept &= np.array([trial.status == COMPLETED for trial in self.trials])
        if not kept.any():
            raise SearchError("No trial has completed with a score yet: let the search continue.")
        trials = tuple(trial for trial, keep in zip(self.trials, kept, strict=True) if keep)
        return dataclasses.replace(self, trials=trials, scores=self.scores[kept])

    @property
    def best(self) -> int | None:
        """Index of the best trial, the earliest of equals; None if none has a score."""
        if not np.isfinite(self.scores).any():
            return None
        return int(np.nanargmax(self.scores) if self.maximise else np.nanargmin(self.scores))

    @property
    def numbers(self) -> list[int]:
        """Number of each trial."""
        return [trial.number for trial in self.trials]

    def values(self, name: str) -> list[Any]:
        """Return each trial's value of a hyperparameter; None where it is inactive."""
        return [trial.values.get(name) for trial in self.trials]

    def varying(self) -> list[str]:
        """Return the hyperparameters with two or more values, in order of declaration."""
        names = dict.fromkeys(name for trial in self.trials for name in trial.values)
        found = [
            name
            for name in names
            if not name.startswith(BOOKKEEPING)
            and len({str(value) for value in self.values(name) if value is not None}) > 1
        ]
        if not found:
            raise SearchError(
                "This figure needs at least two completed trials that differ in a hyperparameter. "
                f"Received: {len(self.trials)}. Let the search continue."
            )
        return found

    def importances(self) -> dict[str, float]:
        """Return each varying hyperparameter's share of 1, the largest first.

        See `kt_tuning.evaluation.hyperparameter_importances`.
        """
        shown = self.with_score()
        scored = [
            (trial.values, score)
            for trial, score in zip(shown.trials, shown.scores.tolist(), strict=True)
        ]
        return hyperparameter_importances(scored, maximise=self.maximise)


class RunFigures:
    """The run of some figures.

    Args:
        run: A run directory, or the summary of one.
        objectives: (name, direction) of each objective; by default the one in `search.json`.
    """

    def __init__(
        self, run: RunSummary | str | Path, *, objectives: Sequence[tuple[str, str]] = ()
    ) -> None:
        self._source = run
        self._asked = tuple(objectives)

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

    @staticmethod
    def _known(trials: ScoredTrials, names: Iterable[str]) -> list[str]:
        known = {name for trial in trials.trials for name in trial.values}
        for name in names:
            if name not in known:
                raise OptionError(
                    f"No completed trial has a hyperparameter {name!r}. "
                    f"Known: {', '.join(sorted(known))}."
                )
        return list(dict.fromkeys(names))
