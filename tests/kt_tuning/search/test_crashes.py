"""Processes that died while they ran a trial are counted, and in the end it has failed."""

import keras
import pytest

from kt_tuning.search.loop import SearchLoop
from kt_tuning.search.trial_starter import CrashLog


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
    # It has failed and is not begun.
    assert notes.count == 2
    # Tried again, the third death counts on.
    assert notes.begin(0) == 0
    assert notes.begin(0) == 3


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


def test_a_trial_that_kills_the_search_twice_has_failed_and_the_search_goes_on(
    make_tuner, stripes, monkeypatch, caplog
):
    def search(epoch=None):
        tuner = make_tuner()
        tuner.search(stripes, callbacks=[] if epoch is None else [KillInEpoch(epoch)])
        return tuner

    with monkeypatch.context() as patch:
        patch.setattr(SearchLoop, "leave", lambda loop: None)
        for _ in range(2):
            with pytest.raises(Killed):
                search(1)
    assert "trial 0: its process died while it was trained; it goes on" in caplog.text
    results = search().results()
    assert list(results["status"]) == ["FAILED", "COMPLETED"]
    message = results["message"].iloc[0]
    assert message.startswith("its process died while it was trained, twice. Memory may have run")
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
