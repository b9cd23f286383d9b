import os

import keras_tuner
import pytest

from kt_tuning.core.records import TrialRecord
from kt_tuning.search.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path, keras_tuner.Objective("val_loss", "min"), overwrite=False)


def finish(run, number, began, seconds, name="result.json", status="COMPLETED"):
    record = TrialRecord(
        trial_id=str(number),
        number=number,
        status=status,
        values={},
        metrics={"val_loss": 0.5},
        best_epoch=0,
        epochs=1,
        seconds=seconds,
        parameters=1,
        began=began,
    )
    record.save(run.trial(record.trial_id) / name)


def interrupt(run, number, ended, seconds):
    rows = "".join(f"{epoch},0.5,{each}\n" for epoch, each in enumerate(seconds))
    path = run.trial(str(number)) / "history.csv"
    path.write_text(f"epoch,val_loss,seconds\n{rows}", encoding="utf-8")
    os.utime(path, (ended, ended))


def test_what_ran_side_by_side_counts_once(run):
    finish(run, 0, began=100, seconds=50)
    finish(run, 1, began=120, seconds=50)
    finish(run, 2, began=200, seconds=10)
    assert run.seconds_spent() == 80


def test_trials_that_were_interrupted_count_until_their_last_epoch(run):
    finish(run, 0, began=100, seconds=50)
    interrupt(run, 1, ended=170, seconds=[15, 25])
    interrupt(run, 2, ended=300, seconds=[30])
    run.trial("3")
    assert run.seconds_spent() == 50 + 20 + 30
    # It has gone on and ended since.
    finish(run, 2, began=270, seconds=90)
    assert run.seconds_spent() == 50 + 20 + 90


def test_what_has_gone_on_after_a_pause_counts_too(run):
    finish(run, 0, began=100, seconds=50, name="paused.json", status="PAUSED")
    interrupt(run, 0, ended=150, seconds=[40])
    assert run.seconds_spent() == 50
    interrupt(run, 0, ended=300, seconds=[40, 30, 20])
    assert run.seconds_spent() == 50 + 50
