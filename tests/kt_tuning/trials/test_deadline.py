"""When a training is given up as too slow: the clock is the test's own."""

import math

import keras
import pytest

from kt_tuning.trials import callbacks as module
from kt_tuning.trials.callbacks import PROBE, Deadline
from kt_tuning.trials.checkpoint import RunState
from kt_tuning.trials.spec import InfeasibleError


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def steps(clock, seconds, *, longest=math.inf, at=math.inf, least_epochs=5, count=PROBE, each=100):
    """An epoch's first steps, of 100; each takes so many seconds, the first one an hour."""
    made = Deadline(RunState(0, 30, 0), at, planned=30, least_epochs=least_epochs, longest=longest)
    made.set_model(keras.Sequential())
    made.set_params({"steps": each})
    clock.now = -3600.0
    made.on_epoch_begin(0)
    for batch in range(count + 1):
        clock.now = batch * seconds
        made.on_train_batch_end(batch)
    return made


def test_five_epochs_must_fit_into_the_longest_training(clock):
    steps(clock, 0.1, longest=51)
    with pytest.raises(InfeasibleError, match=r"5 epochs would take 0:50, .* more than 0:49 of it"):
        steps(clock, 0.1, longest=49)


def test_what_does_not_fit_in_stops_within_the_epoch(clock):
    # Measuring the images after an epoch of 100 s may take a fifth of that.
    made = steps(clock, 1.0, at=27, least_epochs=0, count=7)
    assert made.is_cut
    assert made.model.stop_training
    assert made._state.message == "cut short by the time limit after 8 steps"
    made._state.done = 1
    made.epoch_ended(10.0)
    assert made._state.epochs == 1


def test_the_last_step_of_an_epoch_cuts_nothing_short(clock):
    assert not steps(clock, 1.0, at=8, least_epochs=0, count=7, each=8).is_cut
    assert steps(clock, 1.0, at=7, least_epochs=0, count=7, each=8).is_cut


def test_what_cannot_be_measured_in_time_is_given_up_if_there_is_another_model(clock):
    # An hour and a second are over after the second step, and measuring takes 20 s more.
    clock.now = -3600.0
    assert steps(clock, 1.0, at=1, least_epochs=0, count=1).is_cut
    clock.now = -3600.0
    assert steps(clock, 1.0, at=1, least_epochs=5, count=1).is_cut
    # A tenth of the time is 10 s.
    clock.now = -99.0
    with pytest.raises(InfeasibleError, match="not one epoch fits into 1:40"):
        steps(clock, 1.0, at=1, least_epochs=5, count=1)


def test_what_is_hopeless_is_seen_at_the_second_step(clock):
    steps(clock, 0.1, longest=49, count=PROBE - 1)
    with pytest.raises(InfeasibleError):
        steps(clock, 0.1 * PROBE, longest=49, count=1)


def test_a_trial_that_is_worth_any_time_is_not_given_up(clock):
    steps(clock, 100.0, longest=1, at=2000, least_epochs=0)
