"""A run directory with trials in it that nobody trained, and a tracker that writes things down."""

import csv
import json

from kt_tuning.core.records import COMPLETED, SearchRecord, TrialRecord
from kt_tuning.run.layout import HISTORY, RESULT
from kt_tuning.tracking import TrackedTrial, Tracker, Tracking

SEARCH = SearchRecord(
    objective="val_accuracy",
    direction="max",
    strategy="tpe",
    seed=3,
    epochs=2,
    max_trials=4,
    time_limit=None,
    hypermodel="tiny",
    versions={"keras": "3.15"},
)


class FakeRun:
    """Writes what a search would write."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(exist_ok=True)

    def tracking(self, *trackers, trials=()):
        return Tracking(trackers, self.directory, SEARCH, trials)

    def begin(self, number, **values):
        folder = self.directory / f"trial_{number}"
        folder.mkdir(exist_ok=True)
        return TrackedTrial(str(number), number, {"units": 4, **values}, folder)

    def epoch(self, trial, accuracy):
        path = trial.directory / HISTORY
        new = not path.exists()
        epoch = 0 if new else len(path.read_text().splitlines()) - 1
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["epoch", "seconds", "data_wait", "val_accuracy"])
            writer.writerow([epoch, 2.0, "", accuracy])

    def train(self, number, *accuracies, **values):
        """A trial with an epoch a value."""
        trial = self.begin(number, **values)
        for accuracy in accuracies:
            self.epoch(trial, accuracy)
        return trial

    def end(self, trial, status=COMPLETED, **more):
        """The same trial, with a record."""
        record = TrialRecord(
            trial_id=trial.trial_id,
            number=trial.number,
            status=status,
            values=trial.values,
            metrics={"val_accuracy": 0.75} if status == COMPLETED else {},
            best_epoch=1,
            epochs=2,
            seconds=4.0,
            parameters=50,
            began=1000.0,
            **more,
        )
        (trial.directory / RESULT).write_text(json.dumps(record.to_json()))
        return TrackedTrial(trial.trial_id, trial.number, trial.values, trial.directory, record)


class Recorder(Tracker):
    """Writes down what it is told, as long as it is not down."""

    name = "recorder"

    def __init__(self):
        self.calls = []
        self.down = False
        self.hates = None

    def _hear(self, *call, trial=None):
        if self.down or (trial is not None and trial == self.hates):
            raise ConnectionError("no route to host\nand more")
        self.calls.append(call)

    def search_began(self, search):
        self._hear("search began", search.name)

    def trial_began(self, trial, *, logged):
        self._hear("began", trial.trial_id, logged, trial=trial.trial_id)

    def epoch(self, trial, epoch):
        value = epoch.metrics["val_accuracy"]
        self._hear("epoch", trial.trial_id, epoch.step, value, trial=trial.trial_id)

    def trial_ended(self, trial, record):
        self._hear("ended", trial.trial_id, record.status, trial=trial.trial_id)

    def search_ended(self, outcome):
        self._hear("search ended", outcome.best and outcome.best.trial_id, outcome.finished)
