"""Retrying trials of earlier runs that failed or lost their results."""

from __future__ import annotations

import keras_tuner
from keras_tuner.engine.trial import TrialStatus

from kt_tuning.core.records import FAILED, TrialRecord
from kt_tuning.search.deaths import MOST, DeathNotes
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.run_directory import RunDirectory


def retry_failed(oracle: keras_tuner.Oracle, run: RunDirectory) -> list[str]:
    """Have an oracle hand out trials of earlier runs again, before new ones.

    Those are trials that failed, unless they are over a limit or killed a process in their last
    attempt, too; and trials that ended but whose files cannot be read.

    Args:
        oracle: Ours, or one of KerasTuner's.
        run: Where the trials are.

    Returns:
        The ids of the trials that failed; those with unreadable files are named in the log.
    """
    lost = run.discard_damaged()
    final = {record.trial_id for record in run.trials() if not _may_be_tried(record, run)}
    if isinstance(oracle, OptunaOracle):
        retried = oracle.retry_failed(but=final, lost=lost)
        return [trial_id for trial_id in retried if trial_id not in lost]
    ended = [(name, oracle.trials[name].status) for name in oracle.end_order]
    failed = [
        name
        for name, status in ended
        if (status == TrialStatus.FAILED and name not in final) or name in lost
    ]
    oracle.end_order = [name for name in oracle.end_order if name not in failed]
    # KerasTuner takes the last one first.
    oracle._retry_queue += reversed(failed)
    return [trial_id for trial_id in failed if trial_id not in lost]


def _may_be_tried(record: TrialRecord, run: RunDirectory) -> bool:
    deaths = DeathNotes(run.trial(record.trial_id)).read().count
    return record.status == FAILED and deaths <= MOST
