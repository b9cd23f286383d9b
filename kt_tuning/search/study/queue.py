"""The queue of enqueued configurations, kept in the study."""

from __future__ import annotations

import optuna

from kt_tuning.search.distributions import Values

QUEUE = "queue"
"""Attribute of a study: all configurations that were ever enqueued, in order."""
ENQUEUED = "enqueued"
"""Attribute of a trial: the element of the queue that it tries."""


class Queue:
    """The queue of a study; an element is done in the transaction that creates its trial.

    Args:
        study: The study that keeps the queue.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._queue: list[Values] = study.user_attrs.get(QUEUE, [])

    def add(self, values: Values) -> None:
        """Add a configuration, unless it was added before: resumed scripts enqueue again."""
        if values not in self._queue:
            self._replace([*self._queue, values])

    def remove(self, values: Values) -> None:
        """Remove a configuration that cannot be tried."""
        self._replace([other for other in self._queue if other != values])

    def waiting(self) -> list[Values]:
        """The configurations without a trial, in order."""
        trials = self._study.get_trials(deepcopy=False) if self._queue else []
        taken = [trial.user_attrs.get(ENQUEUED) for trial in trials]
        return [values for values in self._queue if values not in taken]

    def _replace(self, queue: list[Values]) -> None:
        self._study.set_user_attr(QUEUE, queue)
        self._queue = queue
