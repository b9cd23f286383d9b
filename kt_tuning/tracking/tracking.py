"""Telling all trackers of a search."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kt_tuning.core.records import PAUSED, SearchRecord, TrialRecord
from kt_tuning.tracking.ledger import search_key
from kt_tuning.tracking.relay import Relay
from kt_tuning.tracking.tracker import SearchOutcome, TrackedSearch, TrackedTrial, Tracker

logger = logging.getLogger("kt_tuning")


class Tracking:
    """What a search tells its trackers through; it never waits for one until `close`.

    Args:
        trackers: None or more.
        directory: The run directory.
        record: How the search was asked for.
        trials: Finished and paused ones of earlier runs: what a tracker lacks of them is made up
            for.

    Attributes:
        finished: Whether the search has come to its end; the search says so.
    """

    def __init__(
        self,
        trackers: Sequence[Tracker],
        directory: Path,
        record: SearchRecord,
        trials: Iterable[TrialRecord] = (),
    ) -> None:
        self.finished = False
        self._relays: list[Relay] = []
        if trackers:
            key = search_key(directory)
            search = TrackedSearch(key, directory.resolve().name, directory, record)
            self._relays = [Relay(tracker, search) for tracker in trackers]
            for trial in trials:
                folder = directory / f"trial_{trial.trial_id}"
                ended = None if trial.status == PAUSED else trial
                self.tell(TrackedTrial(trial.trial_id, trial.number, trial.values, folder, ended))

    def tell(self, trial: TrackedTrial) -> None:
        """A trial has begun, has done an epoch, or is over."""
        for relay in self._relays:
            relay.tell(trial)

    def close(self, best: TrialRecord | None, model: Callable[[], Any]) -> None:
        """The search has ended; wait for the trackers, but not for long.

        Args:
            best: The best trial, or None.
            model: Makes the best trial's model; called only if a tracker wants it.
        """
        wanting = [
            relay
            for relay in self._relays
            if self.finished and best and relay.takes_models and relay.ledger.best != best.trial_id
        ]
        made = None
        if wanting:
            try:
                made = model()
            except Exception as error:
                logger.warning("The best model is not logged: it cannot be made (%s).", error)
        for relay in self._relays:
            wanted = made if relay in wanting else None
            relay.close(SearchOutcome(best, self.finished, wanted))
