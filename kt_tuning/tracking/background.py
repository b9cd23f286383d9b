"""Calls of a tracker in a background thread, so that a search never waits for it."""

from __future__ import annotations

import csv
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from kt_tuning.run.layout import HISTORY
from kt_tuning.tracking.delivered import Delivered
from kt_tuning.tracking.tracker import Epoch, SearchOutcome, TrackedSearch, TrackedTrial, Tracker

logger = logging.getLogger("kt_tuning")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts to reach a tracker; each pause is twice the last one."""
LAST_WAIT, LAST_ATTEMPT = 60.0, 10.0
"""Seconds that the end of a search waits for a tracker; the second if its last call failed."""
INDICES = ("run", "epoch")
"""Columns of `history.csv` that are no metrics."""


class BackgroundTracker:
    """Calls a tracker in its own thread and repeats failed calls.

    The queue holds the latest state of each trial with unsent results; epochs are read from the run
    directory when they are sent. A tracker that is down for hours thus costs no memory and receives
    everything later, at the latest when the search is run again.

    The asynchronous modes of MLflow and Weights & Biases do not replace this: creating runs still
    blocks, and neither repeats calls after the process has ended.

    Args:
        tracker: The tracker.
        search: The search.
    """

    def __init__(self, tracker: Tracker, search: TrackedSearch) -> None:
        self._tracker = tracker
        self._search = search
        self.delivered = Delivered(search.directory, tracker.name)
        self._pending: dict[str, TrackedTrial] = {}
        self._outcome: SearchOutcome | None = None
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._given_up = False
        self._search_began = False
        self._started: set[str] = set()
        self._down = self._warned = False
        # A daemon, as it may hang in the network when the process ends.
        self._thread = threading.Thread(
            target=self._work, name=f"tracker {tracker.name}", daemon=True
        )
        self._thread.start()

    @property
    def takes_models(self) -> bool:
        """Whether the tracker logs the best trial's model."""
        return self._tracker.takes_models

    def tell(self, trial: TrackedTrial) -> None:
        """Queue a trial that has started, finished an epoch or ended."""
        if not self.delivered.ended(trial.trial_id):
            with self._changed:
                self._pending[trial.trial_id] = trial
                self._changed.notify()

    def close(self, outcome: SearchOutcome) -> None:
        """End the search; wait for the tracker, but at most `LAST_WAIT` seconds."""
        with self._changed:
            self._outcome = outcome
            self._changed.notify()
        self._ending.set()
        self._thread.join(LAST_ATTEMPT if self._down else LAST_WAIT)
        if self._thread.is_alive():
            self._given_up = True
            self._warn("it is slow")

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while not self._given_up:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._outcome)
                last = self._outcome
            try:
                self._catch_up()
                if last is not None and not self._given_up:
                    self._tracker.search_ended(last)
                    if last.model is not None and last.best is not None:
                        self.delivered.note_best(last.best.trial_id)
            except Exception as error:
                self._down = True
                self._warn(str(error).partition("\n")[0] or type(error).__name__)
                logger.debug("tracker %s", self._tracker.name, exc_info=True)
                if last is None:
                    self._ending.wait(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if self._down:
                    logger.info(
                        "The tracker %s answers again and has everything.", self._tracker.name
                    )
                self._down, pause = False, FIRST_PAUSE
            if last is not None:
                return

    def _catch_up(self) -> None:
        """Send all queued trials.

        Raises:
            Exception: the first error of the tracker, after all trials were attempted.
        """
        if not self._search_began:
            self._tracker.search_began(self._search)
            self._search_began = True
        with self._changed:
            pending, self._pending = self._pending, {}
        failure: Exception | None = None
        for trial in pending.values():
            try:
                self._log(trial)
            except Exception as error:
                failure = failure or error
                with self._changed:
                    self._pending.setdefault(trial.trial_id, trial)
        if failure is not None:
            raise failure

    def _log(self, trial: TrackedTrial) -> None:
        name, delivered = trial.trial_id, self.delivered
        if self._given_up or delivered.ended(name):
            return
        if name not in self._started:
            # Another process may have logged its first epochs.
            delivered.catch_up()
            self._tracker.trial_began(trial, logged=delivered.epochs(name))
            self._started.add(name)
        began, done = delivered.began(name), delivered.epochs(name)
        for epoch in read_epochs(trial.directory, began, start=done):
            if self._given_up:
                return
            self._tracker.epoch(trial, epoch)
            delivered.note_epoch(name, epoch.step)
        if trial.record is not None:
            self._tracker.trial_ended(trial, trial.record)
            delivered.note_end(name)
            self._started.discard(name)

    def _warn(self, reason: str) -> None:
        """Warn once."""
        if not self._warned:
            self._warned = True
            logger.warning(
                "The tracker %s cannot be reached: %s. The search does not wait for it; missing "
                "results are logged when it answers again, or when the same search is run again.",
                self._tracker.name,
                reason,
            )


def read_epochs(directory: Path, began: float, *, start: int) -> Iterator[Epoch]:
    """Yield the complete rows of a trial's `history.csv`, which the trial may be writing.

    Args:
        directory: Directory of the trial.
        began: Start of the trial in seconds since 1970.
        start: Index of the first epoch to yield.
    """
    try:
        text = (directory / HISTORY).read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    # The last line may be incomplete.
    lines = text[: text.rfind("\n") + 1].splitlines()
    moment = began
    for step, row in enumerate(csv.DictReader(lines)):
        metrics = {
            name: float(number) for name, number in row.items() if number and name not in INDICES
        }
        moment += metrics.get("seconds", 0.0)
        if step >= start:
            yield Epoch(step, metrics, moment)
