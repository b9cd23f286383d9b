"""Failed trials are tried again; crashes of their processes are counted."""

import json

import keras
import keras_tuner
import pytest
from search_spaces import finish, make_oracle, mixed, space_of

from kt_tuning.core.errors import SearchError
from kt_tuning.core.records import TrialRecord
from kt_tuning.search.loop import SearchLoop
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.session import retry_failed
from kt_tuning.trials.spec import CrashLog


class Faulty(keras.callbacks.Callback):
    """Raises in the second epoch of the trainings with these numbers, counted from 0."""

    began, faults = 0, ()

    def on_train_begin(self, logs=None):
        self.number = Faulty.began
        Faulty.began += 1

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and self.number in Faulty.faults:
            raise ValueError("a fault")


@pytest.fixture
def faulty():
    def make(*faults):
        Faulty.began, Faulty.faults = 0, faults
        return Faulty()

    return make


def stock():
    return keras_tuner.oracles.RandomSearchOracle(objective="val_accuracy", max_trials=2, seed=1)


@pytest.mark.parametrize("strategy", [lambda: "random", stock])
def test_after_the_fault_is_mended_the_same_search_succeeds(
    strategy, make_tuner, stripes, faulty, caplog
):
    first = make_tuner(strategy=strategy())
    with pytest.raises(SearchError, match="a fault"):
        first.search(stripes, callbacks=[faulty(0, 1)])
    before = first.results()
    again = make_tuner(strategy=strategy())
    again.search(stripes, callbacks=[faulty()])
    results = again.results()
    assert "2 trials failed in an earlier run; they are tried again." in caplog.text
    # The same trials with the same configurations, each in one row.
    assert list(results.index) == list(before.index)
    assert list(results["number"]) == [0, 1]
    assert list(results["status"]) == ["COMPLETED"] * 2
    assert list(results["hp/units"]) == list(before["hp/units"])
    assert list(again.history()["epoch"]) == [0, 1] * 2
    # What it was like before is kept.
    kept = TrialRecord.load(again.run_directory / f"trial_{results.index[0]}" / "failed_1.json")
    assert kept.message == "ValueError: a fault"
    # What has succeeded is not trained again.
    make_tuner(strategy=strategy()).search(stripes, callbacks=[callback := faulty()])
    assert callback.began == 0


def test_a_trial_that_fails_is_tried_once_a_search(make_tuner, stripes, faulty):
    make_tuner().search(stripes, callbacks=[faulty(0)])
    again = make_tuner(max_trials=3)
    again.search(stripes, callbacks=[faulty(0)])
    # Trial 0 once more, and a new one.
    assert Faulty.began == 2
    assert list(again.results()["status"]) == ["FAILED", "COMPLETED", "COMPLETED"]
    assert [t.state.name for t in again.study.trials] == ["FAIL", "COMPLETE", "FAIL", "COMPLETE"]


def test_many_earlier_failures_do_not_end_a_search(make_tuner, stripes, faulty):
    # Five without any success end one.
    with pytest.raises(SearchError):
        make_tuner(max_trials=7).search(stripes, callbacks=[faulty(*range(5))])
    again = make_tuner(max_trials=7)
    again.search(stripes, callbacks=[faulty()])
    assert list(again.results()["status"]) == ["COMPLETED"] * 7


def test_killed_while_it_is_tried_again_a_trial_goes_on(make_tuner, stripes, faulty, monkeypatch):
    with pytest.raises(SearchError):
        make_tuner(max_trials=1).search(stripes, callbacks=[faulty(0)])

    class Killed(BaseException):
        pass

    def killed(*arguments):
        raise Killed

    # After the study has the attempt, and before the old result is set aside.
    monkeypatch.setattr(RunDirectory, "set_aside", killed)
    with pytest.raises(Killed):
        make_tuner(max_trials=1).search(stripes)
    monkeypatch.undo()
    again = make_tuner(max_trials=1)
    again.search(stripes)
    assert list(again.results()["status"]) == ["COMPLETED"]
    assert [trial.state.name for trial in again.study.trials] == ["FAIL", "COMPLETE"]


def test_a_trial_over_a_limit_is_not_tried_again():
    oracle = make_oracle(max_trials=3, hyperparameters=space_of(mixed))
    for status in ("FAILED", "INFEASIBLE", "COMPLETED"):
        finish(oracle, oracle.create_trial("tuner"), 1.0, status=status)
    assert oracle.retry_failed() == ["0"]
    trial = oracle.create_trial("tuner")
    assert (trial.trial_id, trial.status) == ("0", "RUNNING")
    finish(oracle, trial, 1.0)
    assert oracle.create_trial("tuner").status == "STOPPED"
    assert oracle.end_order == ["1", "2", "0"]


@pytest.mark.parametrize(("crashes", "retried"), [(0, True), (3, True), (4, False)])
def test_what_has_killed_its_process_four_times_is_given_up(crashes, retried, make_tuner, stripes):
    tuner = make_tuner(max_trials=1)
    tuner.search(stripes)
    oracle, (folder,) = tuner.oracle, tuner.run_directory.glob("trial_*")
    record = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**record, "status": "FAILED"}))
    for _ in range(crashes):
        CrashLog(folder).add(0)
    heard = []
    oracle.retry_failed = lambda exclude, lost: heard.extend(exclude) or []
    run = RunDirectory(tuner.run_directory, tuner.objectives[0], overwrite=False)
    retry_failed(oracle, run)
    assert heard == ([] if retried else [record["trial_id"]])


def test_a_search_whose_defaults_failed_says_so_at_its_end(make_tuner, stripes, faulty, caplog):
    tuner = make_tuner()
    tuner.search(stripes, callbacks=[faulty(0)])
    assert "Trial 0, the default configuration, failed: ValueError: a fault" in caplog.text
    assert "Trial 0, the default configuration, failed" in tuner.report().path.read_text()


@pytest.fixture
def notes(tmp_path):
    return CrashLog(tmp_path)


def test_a_trial_that_ends_leaves_no_note(notes, tmp_path):
    assert notes.begin(0) == 0
    assert list(tmp_path.iterdir())
    notes.end()
    assert not list(tmp_path.iterdir())


def test_a_note_that_is_still_there_is_a_death(notes):
    notes.begin(0)
    assert notes.begin(0) == 1
    assert notes.begin(0) == 2
    assert notes.begin(0) == 3
    # It has failed and is not begun.
    assert notes.count == 3
    # Tried again, the fourth death counts on.
    assert notes.begin(0) == 0
    assert notes.begin(0) == 4


def test_the_count_is_read_back(notes, tmp_path):
    notes.add(3)
    assert CrashLog(tmp_path).add(3) == 2


def test_a_further_epoch_between_two_deaths_makes_the_second_one_the_first(notes):
    notes.begin(0)
    assert notes.begin(0) == 1
    assert notes.begin(4) == 1
    assert notes.begin(4) == 2


def test_an_end_in_order_keeps_the_number_of_deaths(notes, tmp_path):
    assert notes.add(3) == 1
    assert notes.begin(3) == 0
    notes.end()
    assert notes.add(3) == 2
    notes.remove()
    assert not list(tmp_path.iterdir())


class Killed(BaseException):
    """The process is gone: nobody notes anything any more."""


class KillInEpoch(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Killed


def test_a_trial_that_kills_the_search_three_times_has_failed_and_the_search_goes_on(
    make_tuner, stripes, monkeypatch, caplog
):
    def search(epoch=None):
        tuner = make_tuner()
        tuner.search(stripes, callbacks=[] if epoch is None else [KillInEpoch(epoch)])
        return tuner

    with monkeypatch.context() as patch:
        patch.setattr(SearchLoop, "leave", lambda loop: None)
        for _ in range(3):
            with pytest.raises(Killed):
                search(1)
    assert "trial 0: its process died while it was trained; it continues" in caplog.text
    results = search().results()
    assert list(results["status"]) == ["FAILED", "COMPLETED"]
    message = results["message"].iloc[0]
    assert message.startswith("its process died while it was trained, 3 times. Memory may have")
    assert "TF_ENABLE_ONEDNN_OPTS=0" in message
    # Another search tries it once more, from its last epoch on.
    tuner = search()
    assert list(tuner.results()["status"]) == ["COMPLETED"] * 2
    assert not list(tuner.run_directory.glob("trial_*/deaths.json"))


def test_an_interrupt_is_no_death(make_tuner, stripes):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise KeyboardInterrupt

    tuner = make_tuner()
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            tuner.search(stripes, callbacks=[Interrupt()])
    assert not list(tuner.run_directory.glob("trial_*/deaths.json"))
    assert tuner.results().empty
