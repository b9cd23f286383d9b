"""Telling one tracker of a search without ever waiting for it."""

from __future__ import annotations

import logging
import threading

from kt_tuning.tracking.curves import read_epochs
from kt_tuning.tracking.ledger import Ledger
from kt_tuning.tracking.tracker import SearchOutcome, TrackedSearch, TrackedTrial, Tracker

logger = logging.getLogger("kt_tuning")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts to reach a tracker; each pause is twice the one before."""
LAST_WAIT, LAST_ATTEMPT = 60.0, 10.0
"""Seconds that a search waits in the end for a tracker that has not taken everything yet; and for
one that did not answer the last time."""


class Relay:
    """Tells a tracker what is new, in a thread of its own.

    What waits to be told is not the news but which trials have some: one entry a trial, the
    latest state of it. All else is read from the run directory when its turn comes. So a tracker
    that is down for hours costs no memory, and has everything when it is back; what it still
    lacks in the end it gets when the search is run again.

    Args:
        tracker: The tracker.
        search: The search.
    """

    def __init__(self, tracker: Tracker, search: TrackedSearch) -> None:
        self._tracker = tracker
        self._search = search
        self.ledger = Ledger(search.directory, tracker.name)
        self._news: dict[str, TrackedTrial] = {}
        self._outcome: SearchOutcome | None = None
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._given_up = False
        self._began = False
        self._underway: set[str] = set()
        self._down = self._warned = False
        # A daemon: it may hang in the network when the process ends.
        self._thread = threading.Thread(
            target=self._work, name=f"tracker {tracker.name}", daemon=True
        )
        self._thread.start()

    @property
    def takes_models(self) -> bool:
        """Whether the tracker wants the best trial's model."""
        return self._tracker.takes_models

    def tell(self, trial: TrackedTrial) -> None:
        """A trial has news."""
        if not self.ledger.ended(trial.trial_id):
            with self._changed:
                self._news[trial.trial_id] = trial
                self._changed.notify()

    def close(self, outcome: SearchOutcome) -> None:
        """The search has ended; wait for the tracker, within reason."""
        with self._changed:
            self._outcome = outcome
            self._changed.notify()
        self._ending.set()
        self._thread.join(LAST_ATTEMPT if self._down else LAST_WAIT)
        if self._thread.is_alive():
            self._given_up = True
            self._complain("it is slow")

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while not self._given_up:
            with self._changed:
                self._changed.wait_for(lambda: self._news or self._outcome)
                last = self._outcome
            try:
                self._catch_up()
                if last is not None and not self._given_up:
                    self._tracker.search_ended(last)
                    if last.model is not None and last.best is not None:
                        self.ledger.note_best(last.best.trial_id)
            except Exception as error:
                self._down = True
                self._complain(str(error).partition("\n")[0] or type(error).__name__)
                logger.debug("tracker %s", self._tracker.name, exc_info=True)
                if last is None:
                    self._ending.wait(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if self._down:
                    logger.info("%s answers again and has everything.", self._tracker.name)
                self._down, pause = False, FIRST_PAUSE
            if last is not None:
                return

    def _catch_up(self) -> None:
        """Tell everything that is new.

        Raises:
            Exception: the first one that the tracker raises; the other trials had their turn.
        """
        if not self._began:
            self._tracker.search_began(self._search)
            self._began = True
        with self._changed:
            news, self._news = self._news, {}
        failure: Exception | None = None
        for trial in news.values():
            try:
                self._log(trial)
            except Exception as error:
                failure = failure or error
                with self._changed:
                    self._news.setdefault(trial.trial_id, trial)
        if failure is not None:
            raise failure

    def _log(self, trial: TrackedTrial) -> None:
        name, ledger = trial.trial_id, self.ledger
        if self._given_up or ledger.ended(name):
            return
        if name not in self._underway:
            # It may have been taken over from another process.
            ledger.catch_up()
            self._tracker.trial_began(trial, logged=ledger.epochs(name))
            self._underway.add(name)
        began, done = ledger.began(name), ledger.epochs(name)
        for epoch in read_epochs(trial.directory, began, start=done):
            if self._given_up:
                return
            self._tracker.epoch(trial, epoch)
            ledger.note_epoch(name, epoch.step)
        if trial.record is not None:
            self._tracker.trial_ended(trial, trial.record)
            ledger.note_end(name)
            self._underway.discard(name)

    def _complain(self, reason: str) -> None:
        """Warn, the first time."""
        if not self._warned:
            self._warned = True
            logger.warning(
                "The tracker %s does not take what it is told: %s. The search does not wait for "
                "it; what is missing there is logged when it answers again, or when the same "
                "search is run again.",
                self._tracker.name,
                reason,
            )
