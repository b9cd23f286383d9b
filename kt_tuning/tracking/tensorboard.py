"""Tracker for TensorBoard: one curve per trial, and the table of its HParams plugin."""

from __future__ import annotations

import time
from typing import Any

from kt_tuning.core.records import TrialRecord
from kt_tuning.tracking.tracker import (
    Epoch,
    SearchOutcome,
    TrackedSearch,
    TrackedTrial,
    Tracker,
    best_metrics,
)

FOLDER = "tensorboard"


class TensorBoardTracker(Tracker):
    """Writes `tensorboard/trial_<id>/` in the run directory: `tensorboard --logdir runs/photos`.

    TensorBoard's tab HParams lists the trials with their hyperparameters and metrics.
    """

    name = "tensorboard"

    def search_began(self, search: TrackedSearch) -> None:
        """Set the folder of the files."""
        self._folder = search.directory / FOLDER
        self._writers: dict[str, Any] = {}

    def trial_began(self, trial: TrackedTrial, *, logged: int) -> None:
        """Open the trial's file, and write its hyperparameters if it is new."""
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.plugins.hparams import summary_v2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = self._folder / f"trial_{trial.trial_id}"
        self._writers[trial.trial_id] = EventFileWriter(str(folder))
        # A second START makes readers drop earlier events from this step on, which a process wrote
        # that was killed before it recorded them.
        self._write(trial, logged, session_log=SessionLog(status=SessionLog.START))
        if not logged:
            summary = summary_v2.hparams_pb(trial.values, trial_id=trial.trial_id)
            self._write(trial, 0, summary=summary)
        self._writers[trial.trial_id].flush()

    def epoch(self, trial: TrackedTrial, epoch: Epoch) -> None:
        """Write the metrics."""
        self._scalars(trial, epoch.step, epoch.metrics, epoch.time)
        self._writers[trial.trial_id].flush()

    def trial_ended(self, trial: TrackedTrial, record: TrialRecord) -> None:
        """Write the metrics at the best epoch and the end of the trial."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        self._scalars(trial, record.best_epoch, best_metrics(record), time.time())
        status = api_pb2.STATUS_SUCCESS if record.usable else api_pb2.STATUS_FAILURE
        info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
        content = plugin_data_pb2.HParamsPluginData(session_end_info=info)
        summary = Summary()
        summary.value.add(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=metadata.create_summary_metadata(content),
            tensor=metadata.NULL_TENSOR,
        )
        self._write(trial, record.best_epoch, summary=summary)
        self._writers.pop(trial.trial_id).close()

    def search_ended(self, outcome: SearchOutcome) -> None:
        """Close the files of trials that were interrupted."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _scalars(
        self, trial: TrackedTrial, step: int, metrics: dict[str, float], moment: float
    ) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in metrics.items()]
        self._write(trial, step, wall_time=moment, summary=Summary(value=values))

    def _write(self, trial: TrackedTrial, step: int, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        event = Event(**{"step": step, "wall_time": time.time(), **content})
        self._writers[trial.trial_id].add_event(event)
