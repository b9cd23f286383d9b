import pandas as pd

from kt_tuning.core.records import FAILED
from kt_tuning.tracking import find_trackers


def log(run, *trials, known=()):
    tracking = run.tracking(*find_trackers("csv"), trials=known)
    for trial in trials:
        tracking.tell(trial)
    tracking.close(None, lambda: None)


def test_a_row_an_epoch_and_a_row_a_trial(run):
    log(
        run,
        run.end(run.train(0, 0.5, 0.75)),
        run.end(run.train(1, 0.6), status=FAILED, message="two\nlines, and a comma"),
    )
    epochs = pd.read_csv(run.directory / "csv" / "epochs.csv")
    assert list(epochs["step"]) == [0, 1, 0]
    assert list(epochs["val_accuracy"]) == [0.5, 0.75, 0.6]
    trials = pd.read_csv(run.directory / "csv" / "trials.csv", index_col="trial_id")
    assert list(trials["status"]) == ["COMPLETED", "FAILED"]
    assert list(trials["hp/units"]) == [4, 4]
    assert trials["message"].iloc[1] == "two\nlines, and a comma"


def test_columns_that_come_later_are_added_and_rows_stay(run):
    log(run, run.end(run.train(0, 0.5)), run.end(run.train(1, 0.6, depth=3)))
    trials = pd.read_csv(run.directory / "csv" / "trials.csv")
    assert trials["hp/depth"].isna().tolist() == [True, False]
    assert list(trials["val_accuracy"]) == [0.75, 0.75]


def test_rows_that_were_written_but_not_noted_before_a_kill_are_not_doubled(run):
    trial = run.end(run.train(0, 0.5, 0.75))
    log(run, trial)
    (run.directory / "tracking" / "csv.jsonl").unlink()
    path = run.directory / "csv" / "trials.csv"
    path.write_text(path.read_text() + "1,1,COMP")
    log(run, run.end(run.train(1, 0.6)), known=[trial.record])
    assert len(pd.read_csv(run.directory / "csv" / "epochs.csv")) == 3
    assert list(pd.read_csv(path)["trial_id"]) == [0, 1]
