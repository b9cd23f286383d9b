"""Configurations that were asked for, and their turn."""

from __future__ import annotations

import optuna

from kt_tuning.search.distributions import Values

QUEUE = "queue"
"""Attribute of a study: every configuration that was enqueued, in order."""
ENQUEUED = "enqueued"
"""Attribute of a trial: the element of the queue that it was made for."""


class Enqueued:
    """The queue of a study. An element's turn is over in the very transaction that makes its trial.

    Args:
        study: Keeps the queue.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._queue: list[Values] = study.user_attrs.get(QUEUE, [])

    def add(self, values: Values) -> None:
        """Ask for a configuration; one that was enqueued before is not tried again.

        A script that is run again to go on with its search enqueues the same again.
        """
        if values not in self._queue:
            self._replace([*self._queue, values])

    def remove(self, values: Values) -> None:
        """Give up what cannot be tried."""
        self._replace([other for other in self._queue if other != values])

    def waiting(self) -> list[Values]:
        """What no trial has been made for, in order."""
        trials = self._study.get_trials(deepcopy=False) if self._queue else []
        taken = [trial.user_attrs.get(ENQUEUED) for trial in trials]
        return [values for values in self._queue if values not in taken]

    def _replace(self, queue: list[Values]) -> None:
        self._study.set_user_attr(QUEUE, queue)
        self._queue = queue
