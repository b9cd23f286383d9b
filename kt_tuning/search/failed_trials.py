"""Trials of earlier runs that failed are tried again."""

from __future__ import annotations

import keras_tuner
from keras_tuner.engine.trial import TrialStatus

from kt_tuning.core.records import FAILED, TrialRecord
from kt_tuning.search.deaths import MOST, DeathNotes
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.run_directory import RunDirectory


def retry_failed(oracle: keras_tuner.Oracle, run: RunDirectory) -> list[str]:
    """Have an oracle hand out the trials that failed in earlier runs again, before new ones.

    Not those over a limit, and not those that killed a process in their last attempt, too.

    Args:
        oracle: Ours, or one of KerasTuner's.
        run: Where the trials are.

    Returns:
        Their ids.
    """
    final = {record.trial_id for record in run.trials() if not _may_be_tried(record, run)}
    if isinstance(oracle, OptunaOracle):
        return oracle.retry_failed(but=final)
    ended = [(name, oracle.trials[name].status) for name in oracle.end_order]
    failed = [name for name, status in ended if status == TrialStatus.FAILED and name not in final]
    oracle.end_order = [name for name in oracle.end_order if name not in failed]
    # KerasTuner takes the last one first.
    oracle._retry_queue += reversed(failed)
    return failed


def _may_be_tried(record: TrialRecord, run: RunDirectory) -> bool:
    deaths = DeathNotes(run.trial(record.trial_id)).read().count
    return record.status == FAILED and deaths <= MOST
