"""All trackers by name, and passing a search to those that are chosen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.records import PAUSED, SearchRecord, TrialRecord
from kt_tuning.run.layout import trial_folder
from kt_tuning.tracking.csv import CsvTracker
from kt_tuning.tracking.delivery import Delivery, search_key
from kt_tuning.tracking.mlflow import MlflowTracker
from kt_tuning.tracking.tensorboard import TensorBoardTracker
from kt_tuning.tracking.tracker import SearchOutcome, TrackedSearch, TrackedTrial, Tracker
from kt_tuning.tracking.wandb import WandbTracker

logger = logging.getLogger("kt_tuning")

TRACKERS: dict[str, Callable[[], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "csv": CsvTracker,
    "mlflow": MlflowTracker,
    "wandb": WandbTracker,
}


def find_trackers(trackers: str | Tracker | Sequence[str | Tracker] | None) -> list[Tracker]:
    """Return trackers for names in `TRACKERS`.

    Args:
        trackers: Names or trackers; one, several or None.

    Raises:
        OptionError: if there is no such tracker, or one is passed twice.
        MissingExtraError: if one needs a package that is not installed.
    """
    if trackers is None:
        return []
    several = isinstance(trackers, Sequence) and not isinstance(trackers, str)
    wanted: Any = trackers if several else [trackers]
    found: list[Tracker] = []
    for one in wanted:
        if not isinstance(one, Tracker):
            one = TRACKERS[find_name(one, TRACKERS, "tracker", hint="or a Tracker")]()
        if one.name in {other.name for other in found}:
            raise OptionError(f"The tracker {one.name!r} is passed twice. Pass it once.")
        found.append(one)
    return found


class Tracking:
    """Passes results to trackers without waiting for them before `close`.

    Args:
        trackers: Any number of trackers.
        directory: The run directory.
        record: Settings of the search.
        trials: Finished and paused trials of earlier runs, which trackers may lack.

    Attributes:
        finished: Whether the search has ended; set by the search.
    """

    def __init__(
        self,
        trackers: Sequence[Tracker],
        directory: Path,
        record: SearchRecord,
        trials: Iterable[TrialRecord] = (),
    ) -> None:
        self.finished = False
        self._deliveries: list[Delivery] = []
        if trackers:
            key = search_key(directory)
            search = TrackedSearch(key, directory.resolve().name, directory, record)
            self._deliveries = [Delivery(tracker, search) for tracker in trackers]
            for trial in trials:
                folder = trial_folder(directory, trial.trial_id)
                ended = None if trial.status == PAUSED else trial
                self.tell(TrackedTrial(trial.trial_id, trial.number, trial.values, folder, ended))

    def tell(self, trial: TrackedTrial) -> None:
        """Log a trial that has started, finished an epoch or ended."""
        for delivery in self._deliveries:
            delivery.tell(trial)

    def close(self, best: TrialRecord | None, model: Callable[[], Any]) -> None:
        """Log the end of the search and wait for the trackers, with a time limit.

        Args:
            best: The best trial, or None.
            model: Makes the best trial's model; called only if a tracker takes it.
        """
        wanting: list[Delivery] = []
        if self.finished and best:
            wanting = [each for each in self._deliveries if each.wants_model(best.trial_id)]
        made = None
        if wanting:
            try:
                made = model()
            except Exception as error:
                logger.warning("The best model is not logged: it cannot be made (%s).", error)
        for delivery in self._deliveries:
            wanted = made if delivery in wanting else None
            delivery.close(SearchOutcome(best, self.finished, wanted))
