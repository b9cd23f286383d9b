"""Calls of a tracker in a background thread, and the log of what it has received."""

from __future__ import annotations

import collections
import contextlib
import json
import logging
import math
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kt_tuning.core.json_record import content_checked, read_json, write_json
from kt_tuning.run.layout import HISTORY
from kt_tuning.run.reader import read_history
from kt_tuning.tracking.tracker import Epoch, SearchOutcome, TrackedSearch, TrackedTrial, Tracker

logger = logging.getLogger("kt_tuning")

FOLDER = "tracking"
"""Folder of the logs in a run directory."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts to reach a tracker; each pause is twice the last one."""
LAST_WAIT, LAST_ATTEMPT = 60.0, 10.0
"""Seconds that the end of a search waits for a tracker; the second if its last call failed."""
INDICES = ("run", "epoch")
"""Columns of `history.csv` that are no metrics."""
NOT_LOGGED = "Remove it: the search is then logged again from its beginning."
"""What the user can do about a damaged log."""


class Delivery:
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
        self._received = Received(search.directory / FOLDER / f"{tracker.name}.jsonl")
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

    def wants_model(self, trial_id: str) -> bool:
        """Whether the tracker logs the best trial's model and lacks that of this trial."""
        return self._tracker.takes_models and self._received.best != trial_id

    def tell(self, trial: TrackedTrial) -> None:
        """Queue a trial that has started, finished an epoch or ended."""
        if not self._received.trials[trial.trial_id].get("ended"):
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
                self._send_all()
                if last is not None and not self._given_up:
                    self._tracker.search_ended(last)
                    if last.model is not None and last.best is not None:
                        self._received.note(best=last.best.trial_id)
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

    def _send_all(self) -> None:
        """Send all queued trials; then raise the first error, if there was one."""
        if not self._search_began:
            self._tracker.search_began(self._search)
            self._search_began = True
        with self._changed:
            pending, self._pending = self._pending, {}
        failure: Exception | None = None
        for trial in pending.values():
            try:
                self._send(trial)
            except Exception as error:
                failure = failure or error
                with self._changed:
                    self._pending.setdefault(trial.trial_id, trial)
        if failure is not None:
            raise failure

    def _send(self, trial: TrackedTrial) -> None:
        name, received = trial.trial_id, self._received
        if name not in self._started:
            # Another process may have logged its first epochs.
            received.read()
        known = received.trials[name]
        if self._given_up or known.get("ended"):
            return
        if name not in self._started:
            self._tracker.trial_began(trial, logged=known.get("epochs", 0))
            self._started.add(name)
        if "began" not in known:
            received.note(trial=name, began=round(time.time(), 3))
        for epoch in _epochs(trial.directory / HISTORY, known["began"]):
            if epoch.step < known.get("epochs", 0):
                continue
            if self._given_up:
                return
            self._tracker.epoch(trial, epoch)
            received.note(trial=name, epochs=epoch.step + 1)
        if trial.record is not None:
            self._tracker.trial_ended(trial, trial.record)
            received.note(trial=name, ended=True)
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


class Received:
    """The log of what a tracker has received, a file of JSON lines.

    An incomplete last line, which a kill has left, is removed.

    Args:
        path: The file; its folder exists.

    Attributes:
        trials: By id: "began", when it was first logged in seconds since 1970; "epochs", their
            number; "ended", whether the tracker has the whole trial; as far as they are known.
        best: Id of the trial whose model the tracker has, or None.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self.trials: dict[str, dict[str, Any]] = collections.defaultdict(dict)
        self.best: str | None = None
        self.read()
        if path.exists():
            os.truncate(path, self._size)

    def read(self) -> None:
        """Read new lines, perhaps of another process."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._size)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._size += len(whole)
            with content_checked(self._path, way_on=NOT_LOGGED):
                for line in whole.splitlines():
                    self._apply(json.loads(line))

    def note(self, **content: Any) -> None:
        """Append a line: facts of a `trial`, or the `best` trial."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(content) + "\n")
        self._apply(content)

    def _apply(self, content: dict[str, Any]) -> None:
        if "trial" in content:
            self.trials[content.pop("trial")].update(content)
        else:
            self.best = content["best"]


def search_key(run_directory: Path) -> str:
    """Return the key of a search, which is made by the first call.

    Raises:
        StorageError: if it cannot be read.
    """
    path = run_directory / FOLDER / "search.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        key = secrets.token_hex(6)
        mine = path.with_name(f"{key}.json")
        write_json(mine, {"key": key})
        try:
            # Of several processes that share the search the first one counts.
            with contextlib.suppress(FileExistsError):
                os.link(mine, path)
        except OSError:
            # A file system without hard links.
            write_json(path, {"key": key})
        mine.unlink(missing_ok=True)
    with content_checked(path, way_on=NOT_LOGGED):
        return str(read_json(path)["key"])


def _epochs(history: Path, began: float) -> Iterator[Epoch]:
    """Yield the complete rows of a file that the trial may be writing.

    Args:
        history: The trial's `history.csv`.
        began: Start of the trial in seconds since 1970.
    """
    if not history.is_file():
        return
    columns = read_history(history)
    ends = began + np.cumsum(columns.get("seconds", ()))
    for step, end in enumerate(ends.tolist()):
        row = {name: float(column[step]) for name, column in columns.items()}
        metrics = {
            name: number
            for name, number in row.items()
            if name not in INDICES and not math.isnan(number)
        }
        yield Epoch(step, metrics, end)
